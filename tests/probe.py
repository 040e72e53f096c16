"""Real capabilities that need no model: one draws, one answers, one is hidden; slow and failing on demand."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from studio.capability import Capability, Context, Output, PicturesRequest, Record, Request
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.references import BoardOf, PictureId


class GradientRequest(Request):
    prompt: str = Field(default="a gradient", max_length=200)
    model: str = ""
    steps: int = Field(default=6, ge=1, le=1000)
    seed: int | None = Field(default=None, ge=0)
    count: int = Field(default=1, ge=1, le=8)
    step_seconds: float = Field(default=0.0, ge=0, le=10)
    fault: Literal["", "die-once", "die-always", "hang-once", "error", "refuse"] = ""
    fault_step: int = 2


class Gradient(Capability):
    name = "gradient"
    title = "Gradient"
    summary = "Draw a gradient."
    request = GradientRequest
    makes = "pictures"

    def prepare(self, request: GradientRequest, catalog: Catalog) -> GradientRequest:
        if request.prompt == "forbidden":
            raise StudioError("This prompt is refused: write another one.", field="prompt")
        seed = request.seed if request.seed is not None else int.from_bytes(os.urandom(4))
        return request.model_copy(update={"seed": seed, "model": request.model or "starter"})

    def work(self, request: GradientRequest) -> float:
        return request.count * request.steps

    def run(self, request: GradientRequest, context: Context) -> Iterator[Output]:
        assert request.seed is not None
        trace = context.settings.data_dir / f"trace-{request.seed}"  # which steps were really made, over all attempts
        total = request.count * request.steps
        for picture in range(request.count):
            generator = np.random.default_rng(request.seed + picture)
            canvas, image = np.zeros((256, 256, 3)), Image.new("RGB", (256, 256))
            for step in range(1, request.steps + 1):
                time.sleep(request.step_seconds)
                canvas += generator.random(3) * np.linspace(0, 1, 256)[:, None, None]
                image = Image.fromarray((canvas / step * 255).astype(np.uint8))
                done = picture * request.steps + step
                with open(trace, "a") as file:
                    file.write(f"{done}\n")
                if done == request.fault_step:
                    self._fail(request.fault, context)
                context.progress(done, total, image)
            parameters = {"capability": self.name, "prompt": request.prompt, "seed": request.seed + picture}
            yield Output(image, request.seed + picture, parameters, notes=("Drawn by a probe.",))

    def _fail(self, fault: str, context: Context) -> None:
        first = context.settings.data_dir / "fault-happened"
        if fault == "error":
            raise ValueError("the probe was told to fail")
        if fault == "refuse":
            raise StudioError("The probe refuses: ask for no fault.", field="fault")
        if fault == "die-always" or (fault == "die-once" and not first.exists()):
            first.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "hang-once" and not first.exists():
            first.touch()
            time.sleep(3600)


class LookRequest(PicturesRequest):
    others: tuple[PictureId, ...] = Field(default=(), max_length=5, description="More pictures.")
    other_board: Annotated[str, BoardOf("others")] = Field(default="", max_length=64, description="More pictures.")
    model: str = Field(default="", description="Not used.")
    step_seconds: float = Field(default=0.0, ge=0, le=10, description="Seconds for each picture.")
    die_before: int = Field(default=-1, description="Die once before this record.")


class Look(Capability):
    """One record a picture: its mean colour."""

    name = "look"
    title = "Look"
    summary = "Tell the colour of pictures."
    light = 2
    request = LookRequest
    makes = "records"
    priority = 10

    def prepare(self, request: LookRequest, catalog: Catalog) -> LookRequest:
        if not request.pictures:
            raise StudioError("Choose at least one picture.", field="pictures")
        return request.model_copy(update={"model": request.model or "starter"})

    def work(self, request: LookRequest) -> float:
        return len(request.pictures)

    def run(self, request: LookRequest, context: Context) -> Iterator[Record]:
        first = context.settings.data_dir / "fault-happened"
        for index, id in enumerate(request.pictures):
            if index in context.kept:
                continue
            with open(context.settings.data_dir / "looked", "a") as file:
                file.write(f"{index}\n")
            if index == request.die_before and not first.exists():
                first.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(request.step_seconds)
            source = context.source(id)
            try:
                mean = np.asarray(context.picture(id)).mean((0, 1)).round().astype(int).tolist()
                said = {"colour": mean}
            except StudioError as error:
                said = {"error": error.message}
            context.progress(index + 1, len(request.pictures))
            yield Record(index, {"picture": id, "name": source.name, **said}, (f"Looked at {source.name}.",))


class Hush(Capability):
    """Keeps a vector of each picture."""

    name = "hush"
    title = "Hush"
    summary = "Work nobody asked for."
    request = PicturesRequest
    makes = "records"
    priority = -10
    hidden = True

    def prepare(self, request: PicturesRequest, catalog: Catalog) -> PicturesRequest:
        return request

    def run(self, request: PicturesRequest, context: Context) -> Iterator[Record]:
        for id in request.pictures:
            assert context.file(id).is_file()
            context.keep_vectors("probe", {(id, 0.0): np.array([0.6, 0.8], np.float32)})
            yield Record(0, {"heard": id})


ALL = (Gradient(), Look(), Hush())
