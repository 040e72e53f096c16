"""What a gallery picture's own parameters say of how it was drawn, so that it can be drawn again. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from studio.capability import Source
from studio.drawing.prompts import has_choices
from studio.errors import StudioError

LONGEST = 64
"""Steps from neighbour to neighbour that are walked again."""


@dataclass(frozen=True)
class Noise:
    """Where a picture starts: the noise of ``seed``, moved by a share of the way, 0..1, towards that of each further
    seed in turn."""

    seed: int
    towards: tuple[tuple[int, float], ...] = ()

    def moved(self, seed: int, distance: float) -> Noise:
        return Noise(self.seed, (*self.towards, (seed, distance)))

    def told(self) -> dict[str, Any]:
        """For a picture's parameters; `drawn` reads it again."""
        return {"seed": self.seed, "towards": [list(each) for each in self.towards]}


@dataclass(frozen=True)
class Drawn:
    """How a picture was drawn from noise and words alone."""

    model: str
    model_hash: str
    prompt: str
    """As it was drawn: styles merged in, choices made."""
    negative_prompt: str
    width: int
    height: int
    steps: int
    guidance_scale: float
    sampler: str
    noise: Noise

    @property
    def settings(self) -> dict[str, Any]:
        """As fields of a `studio.drawing.request.DrawingRequest`, but for the words."""
        names = ("model", "width", "height", "steps", "guidance_scale", "sampler")
        return {name: getattr(self, name) for name in names} | {"seed": self.noise.seed}


def drawn(source: Source, why: str) -> Drawn:
    """How ``source`` was drawn. ``why`` says in a clause what needs to know: "A neighbour starts from its noise".

    Raises `StudioError` (field "picture") for uploads and for what was not drawn from noise and words alone.
    """
    told = source.parameters
    if not told:
        raise StudioError(
            f"{why}, and of an upload that is not known; choose a picture that was drawn here.", field="picture"
        )
    made = told.get("capability")
    if made != "text-to-image" and "noise" not in told:
        raise StudioError(
            f"{why}, and this picture was made by '{made}'; choose one that was drawn from words alone, "
            "or go on from this one with image-to-image.",
            field="picture",
        )
    try:
        found = Drawn(
            model=str(told["model"]),
            model_hash=str(told.get("model_hash") or ""),
            prompt=str(told["prompt"]),
            negative_prompt=str(told.get("negative_prompt") or ""),
            width=int(told["width"]),
            height=int(told["height"]),
            steps=int(told["steps"]),
            guidance_scale=float(told["guidance_scale"]),
            sampler=str(told["sampler"]),
            noise=_noise(told["noise"]) if "noise" in told else Noise(int(told["seed"])),
        )
    except (KeyError, TypeError, ValueError):
        raise StudioError(
            f"{why}, and this picture does not tell all of its settings; draw it again first.", field="picture"
        ) from None
    if len(found.noise.towards) > LONGEST:
        raise StudioError(
            f"This picture is {len(found.noise.towards)} neighbours away from its seed; start again from one nearer.",
            field="picture",
        )
    return found


def as_typed(prompt: str, *, braces: bool) -> str:
    """A ``prompt`` that was drawn, so that drawing it again makes no choice in it: braces that were text stay text."""
    if not has_choices(prompt, braces=braces):
        return prompt
    return prompt.replace("{", "\\{").replace("}", "\\}")


def changed(request: Any, found: Mapping[str, Any], why: str) -> None:
    """Raise `StudioError` for a field of ``request`` that was given and differs from ``found``."""
    for name, value in found.items():
        given = getattr(request, name)
        if given not in (None, "") and given != value:
            raise StudioError(f"{why}: its {name} is {value}, not {given}; leave '{name}' out.", field=name)


def _noise(told: Any) -> Noise:
    return Noise(int(told["seed"]), tuple((int(seed), float(distance)) for seed, distance in told["towards"]))
