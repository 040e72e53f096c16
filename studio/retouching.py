"""What capabilities share that run one tool over one picture: opening it, and what is said of the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from studio.capability import Context, Request
from studio.errors import StudioError
from studio.media.files import MAX_PIXELS
from studio.models.families import SMALLEST

if TYPE_CHECKING:
    from PIL.Image import Image


def opened(context: Context, id: str, scale: int = 1) -> Image:
    """The picture, "RGBA" where parts of it are transparent, else "RGB".

    Raises `StudioError` where ``scale`` times its size is less or more than a finished picture may have.
    """
    image = context.unmarked(id, alpha=True)
    width, height = (scale * side for side in image.size)
    told = f"This picture has {image.width} x {image.height} pixels"
    if min(width, height) < SMALLEST:
        least = -(-SMALLEST // scale)
        raise StudioError(f"{told}; choose one of at least {least} x {least}.", field="picture")
    if width * height > MAX_PIXELS:
        raise StudioError(
            f"{told}, and {scale} times as wide and high it would have {width * height / 1e6:.0f} million where "
            f"{MAX_PIXELS / 1e6:.0f} are the most; choose a smaller one"
            + (" or a smaller scale." if scale > 2 else "."),
            field="picture",
        )
    return image


def finished(
    capability: str, request: Request, context: Context, tool: str, image: Image, **more: Any
) -> dict[str, Any]:
    """`Output.parameters` of a picture made by the tool with id ``tool``; ``more`` is what else was decided."""
    family = context.catalog.get(tool)
    return {
        "capability": capability,
        "width": image.width,
        "height": image.height,
        "model": family.id,
        "model_hash": context.models.weights_hash(family.id),
        "tool": family.name,
        "licence": family.licence,
        **more,
        "requested": request.model_dump(mode="json"),
    }


def notes(context: Context, tool: str, *more: str) -> tuple[str, ...]:
    """`Output.notes`: what had to be done to fit into memory, and ``more``."""
    return tuple(each for each in (context.models.note(tool), *more) if each)
