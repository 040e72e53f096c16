"""The one way out: every picture is judged, watermarked and stamped here before it is kept or shown.

`gallery.add` takes only `Released`, and only `Trust.release` can make one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import InitVar, asdict, dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from studio.media.images import write_png
from studio.trust import watermark
from studio.trust.safety import ClassifierChecker, SafetyChecker, Verdict, judge

if TYPE_CHECKING:
    from studio.settings import Settings

__all__ = ["Released", "SafetyChecker", "Trust", "Verdict", "read_watermark"]

_SEAL = object()


@dataclass(frozen=True)
class Released:
    """A finished picture as it is stored and sent: PNG bytes with watermark and metadata inside."""

    png: bytes
    width: int
    height: int
    sha256: str
    """Of ``png``."""
    parameters: dict[str, Any]
    """As written into the PNG: those given, and the watermark's key."""
    watermark: dict[str, Any]
    """method, key, bits_right; empty when the watermark is switched off."""
    verdict: dict[str, Any]
    """decision, scores, model of the safety checker; empty when none is configured."""
    seal: InitVar[object] = None

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("a Released comes only from Trust.release")


class Trust:
    """Safety, then watermark, then metadata. Lives in the worker; loads nothing heavy before its first picture."""

    def __init__(self, settings: Settings, checker: SafetyChecker | None = None) -> None:
        self._watermark = settings.watermark
        self._checker = checker or (ClassifierChecker(settings.safety_model) if settings.safety_model else None)

    def release(self, image: Image.Image, *, parameters: Mapping[str, Any]) -> Released:
        """``image`` as a releasable PNG; the same picture and parameters give the same bytes.

        ``parameters`` holds JSON types only, and neither times nor ids. Raises `StudioError` when the safety checker
        does not allow the picture, or when the watermark cannot be read back from it.
        """
        image = image if image.mode in ("RGB", "RGBA") else image.convert("RGB")
        verdict = asdict(judge(self._checker, image.convert("RGB"))) if self._checker else {}
        stamped, mark = dict(parameters), {}
        identity = json.dumps(stamped, sort_keys=True, allow_nan=False).encode()
        if self._watermark:
            key = watermark.make_key(hashlib.sha256(image.tobytes() + identity).digest())
            marked = watermark.embed(image, key)
            image = marked.image
            stamped["watermark"] = {"method": watermark.METHOD, "key": key}
            mark = {**stamped["watermark"], "bits_right": marked.bits_right}
        png = write_png(image, stamped)
        return Released(
            png, image.width, image.height, hashlib.sha256(png).hexdigest(), stamped, mark, verdict, seal=_SEAL
        )


def read_watermark(image: Image.Image) -> str | None:
    """The 8 hex digits in ``image``, or None when it carries no watermark of ours (or one too damaged to read)."""
    return watermark.read(image)
