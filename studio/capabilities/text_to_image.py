"""Text to image: a sentence becomes pictures."""

from __future__ import annotations

from collections.abc import Iterator

from studio.capability import Capability, Context, Output, Words
from studio.drawing.plan import Plan
from studio.drawing.request import DrawingRequest, check_words, check_work, fill
from studio.drawing.sizes import check_size
from studio.models.catalog import Catalog


class TextToImageRequest(DrawingRequest):
    """What to draw and how. Everything but the prompt may be left out; the model's own defaults fill it."""


class TextToImage(Capability):
    """See `TextToImageRequest`."""

    name = "text-to-image"
    title = "Text to image"
    summary = "Draw pictures from a sentence."
    request = TextToImageRequest
    makes = "pictures"

    def prepare(self, request: TextToImageRequest, catalog: Catalog) -> TextToImageRequest:
        family = catalog.get(request.model)
        filled = fill(request, catalog, "text-to-image")
        width = request.width if request.width is not None else family.native_size
        height = request.height if request.height is not None else family.native_size
        check_size(family, width, height)
        filled = filled.model_copy(update={"width": width, "height": height})
        check_work(self.work(filled))
        return filled

    def check(self, request: TextToImageRequest, words: Words, catalog: Catalog) -> None:
        check_words(request, words, catalog)

    def work(self, request: TextToImageRequest) -> float:
        """Pictures x steps x pixels of a prepared request."""
        return float(request.count * (request.steps or 1) * (request.width or 1) * (request.height or 1))

    def run(self, request: TextToImageRequest, context: Context) -> Iterator[Output]:
        family = context.catalog.require(request.model)
        size = request.width or family.native_size, request.height or family.native_size
        return Plan(self.name, self.name, request, context, family, *size).run()
