"""Clips as pictures with a time: MP4, WebM, MOV through OpenCV, animated GIF, WebP, AVIF through Pillow. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageSequence

from studio.errors import StudioError
from studio.media.files import AVIF, MAX_PIXELS, ftyp

_UNREADABLE = "This clip cannot be read; export it again as MP4 or WebM and choose the new file."
ANIMATED = ("GIF", "WEBP", "PNG", *(("AVIF",) if AVIF else ()))
"""Formats of Pillow that hold clips."""
_STILL = 0.1
"""Seconds that a frame without a duration is shown, as browsers do."""


@dataclass(frozen=True)
class Frame:
    time: float
    """Seconds from the start of the clip at which it appears."""
    image: Image.Image
    """RGB."""


class Clip:
    """A clip on disk. Raises `StudioError` 422 for what is no clip; nothing stays open between calls."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._animation = _is_animation(path)
        self.seconds = self._measure()
        """How long it plays: as its header says, else counted."""

    def frames(self, every: float, most: int) -> Iterator[Frame]:
        """A frame each ``every`` seconds from the first one on; further apart where a clip gives more than ``most``."""
        every = max(every, self.seconds / most)
        due, given = 0.0, 0
        for time, picture in self._pictures() if self._animation else self._shots():
            # Half a millisecond, as times are kept in whole ones.
            if time + 5e-4 >= due and given < most:
                yield Frame(round(time, 3), picture())
                given += 1
                due = max(due + every, time)
        if not given:
            raise StudioError(_UNREADABLE, field="pictures")

    def _measure(self) -> float:
        if self._animation:
            with _open_animation(self.path) as image:
                return sum(_shown(frame) for frame in ImageSequence.Iterator(image))
        import cv2

        with _open_video(self.path) as video:
            rate, count = video.get(cv2.CAP_PROP_FPS), video.get(cv2.CAP_PROP_FRAME_COUNT)
            if rate > 0 and count > 0:
                return count / rate
            last, frames = 0.0, 0
            while video.grab():  # a stream without an index, such as what browsers record
                last, frames = max(last, video.get(cv2.CAP_PROP_POS_MSEC) / 1000), frames + 1
        return last + (last / (frames - 1) if frames > 1 else 0.0)

    def _pictures(self) -> Iterator[tuple[float, Any]]:
        with _open_animation(self.path) as image:
            time = 0.0
            for frame in ImageSequence.Iterator(image):
                yield time, lambda frame=frame: frame.convert("RGB")
                time += _shown(frame)

    def _shots(self) -> Iterator[tuple[float, Any]]:
        import cv2

        with _open_video(self.path) as video:
            rate, index, time = video.get(cv2.CAP_PROP_FPS), 0, -1.0
            while video.grab():
                told = video.get(cv2.CAP_PROP_POS_MSEC) / 1000
                time = told if told > time else max(time, index / rate if rate > 0 else 0.0)
                index += 1
                yield time, lambda: _shot(video)


def _is_animation(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        raise StudioError("The file of this clip is gone; upload it again.", field="pictures", status=410) from None
    return (
        head.startswith((b"GIF8", b"\x89PNG")) or head[:4] + head[8:12] == b"RIFFWEBP" or ftyp(head) in ("avif", "avis")
    )


@contextmanager
def _open_animation(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path, formats=ANIMATED) as image:
            if image.width * image.height > MAX_PIXELS:
                raise StudioError(
                    f"Each frame of this clip may have {MAX_PIXELS / 1e6:.0f} megapixels; scale it down.",
                    field="pictures",
                )
            yield image
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise StudioError(_UNREADABLE, field="pictures") from error


@contextmanager
def _open_video(path: Path) -> Iterator[Any]:
    import cv2

    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        width, height = video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if not video.isOpened() or width * height < 1:
            raise StudioError(_UNREADABLE, field="pictures")
        if width * height > MAX_PIXELS:
            raise StudioError(
                f"Each frame of this clip may have {MAX_PIXELS / 1e6:.0f} megapixels; scale it down.", field="pictures"
            )
        yield video
    finally:
        video.release()


def _shown(frame: Image.Image) -> float:
    frame.load()  # frames of WebP tell their duration only then
    return (frame.info.get("duration") or 0) / 1000 or _STILL


def _shot(video: Any) -> Image.Image:
    """The frame that was grabbed last."""
    import cv2

    good, pixels = video.retrieve()
    if not good:
        raise StudioError(_UNREADABLE, field="pictures")
    return Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
