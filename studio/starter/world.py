# transformers, diffusers and Pillow type these calls wider than they are.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportOperatorIssue=false
"""The world that the starter models learn from: small scenes of cut-out objects on a plain background.

A `Scene` is plain data made from a seed; a `World` reads from it whatever a capability needs to learn (picture,
captions, masks, depth, edges, questions, edits, motion). Reading never changes a scene, so every example can be made
again from its seed, and a later capability only adds a reader.
"""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from studio.starter import figure, placing
from studio.starter.art import Art
from studio.starter.figure import PERSON, Figure
from studio.starter.language import Phrasing
from studio.starter.placing import CELLS, Box, Layout
from studio.starter.questions import Question, questions
from studio.starter.vocabulary import COLOURS, STYLES, UNCOUNTED, article

Split = Literal["train", "held_out", "any"]
HELD_OUT_SHARE = 0.1
LAYOUT_MIX: dict[Layout, float] = {
    "single": 0.46, "left_right": 0.11, "above_below": 0.11, "large_small": 0.08, "count": 0.12, "figure": 0.12,
}  # fmt: skip


@dataclass(frozen=True)
class Placed:
    """One object: `box` is (left, top, right, bottom) in 0..1 of the picture, tight around the sprite."""

    name: str
    style: str
    box: tuple[float, float, float, float]

    @property
    def centre(self) -> tuple[float, float]:
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    @property
    def area(self) -> float:
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])


@dataclass(frozen=True)
class Scene:
    """Objects painted in their `order` on a named background colour.

    A person is an object too (`PERSON`); `person` then holds clothes, pose words and the joints.
    """

    objects: tuple[Placed, ...]
    background: str
    layout: Layout
    style: str
    seed: int
    person: Figure | None = None
    first_in_front: bool = False

    @property
    def order(self) -> tuple[int, ...]:
        """The objects' numbers from the farthest to the nearest."""
        numbers = tuple(range(len(self.objects)))
        return numbers[::-1] if self.first_in_front else numbers


@dataclass(frozen=True)
class Edit:
    """A change in words and both of its sides; what the words leave out is the same in both."""

    before: Scene
    instruction: str
    after: Scene


@dataclass(frozen=True)
class Motion:
    """A short movement: one scene per frame and the sentence that tells it."""

    caption: str
    frames: tuple[Scene, ...]


def _hashed(*parts: str) -> float:
    digest = hashlib.blake2b("|".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def held_out(scene: Scene) -> bool:
    """Whether the scene holds a combination that no model may train on.

    One tenth of all (object, style, background) triples, one tenth of all pairs of objects, and for persons one tenth
    of all (shirt, trousers, background) triples are kept back.
    """
    if scene.person:
        return _hashed("person", scene.person.shirt, scene.person.trousers, scene.background) < HELD_OUT_SHARE
    if any(_hashed("triple", o.name, o.style, scene.background) < HELD_OUT_SHARE for o in scene.objects):
        return True
    names = sorted({o.name for o in scene.objects})
    return len(names) == 2 and _hashed("pair", *names) < HELD_OUT_SHARE


class World:
    """Makes scenes out of the art and reads them. Every method is pure: the same arguments give the same bytes."""

    def __init__(
        self, art: Art, names: tuple[str, ...] | None = None, styles: tuple[str, ...] = STYLES, free: bool = True
    ) -> None:
        """`names` and `styles` narrow what scenes are made of; by default everything that the art has.

        Without `free`, every layout has one place and size, and nobody is in it: the world of the first pack.
        """
        self.art, self.styles, self.free = art, styles, free
        self.names = art.names if names is None else tuple(n for n in names if n in art.names)
        self._cuts: dict[tuple[str, str], Image.Image] = {}
        self._scaled: dict[tuple[str, str, int, int], Image.Image] = {}

    @property
    def nouns(self) -> tuple[str, ...]:
        """Everything that can be named in a picture: the objects and, last, the person."""
        return (*self.names, PERSON)

    # -- making scenes ------------------------------------------------------------------------------------------

    def scene(self, seed: int, layout: Layout | None = None, split: Split = "any") -> Scene:
        """The scene of `seed`; `split` keeps to the trained or to the held-out combinations."""
        rng = random.Random(f"scene-{seed}")
        mix = {k: v for k, v in LAYOUT_MIX.items() if self.free or k != "figure"}
        while True:
            kind = layout or rng.choices(tuple(mix), tuple(mix.values()))[0]
            made = self._compose(rng, kind, seed)
            if split == "any" or held_out(made) == (split == "held_out"):
                return made

    def compose(self, layout: Layout, names: tuple[str, ...], style: str, background: str, seed: int) -> Scene:
        """A scene with the given content; only the placing is drawn from the seed."""
        return self._place(random.Random(f"place-{seed}"), layout, names, style, background, seed)

    def _compose(self, rng: random.Random, layout: Layout, seed: int) -> Scene:
        style, background = rng.choice(self.styles), rng.choice(tuple(COLOURS))
        if layout == "figure":
            person = figure.figure(rng.randrange(1 << 40), background, roam=True)
            return Scene((Placed(PERSON, "cartoon", person.box),), background, layout, "cartoon", seed, person)
        if layout == "count":
            countable = [n for n in self.names if n not in UNCOUNTED]
            names = (rng.choice(countable),) * rng.choice((2, 3))
        elif layout == "single":
            names = (rng.choice(self.names),)
        else:
            names = tuple(rng.sample(self.names, 2))
        return self._place(rng, layout, names, style, background, seed)

    def _place(
        self, rng: random.Random, layout: Layout, names: tuple[str, ...], style: str, background: str, seed: int
    ) -> Scene:
        if self.free:
            spots = placing.spots(layout, len(names), rng, [self.shape(n, style) for n in names])
        else:
            spots = placing.FIXED[layout, len(names)]
        placed = tuple(
            Placed(n, style, self._box(n, style, x / CELLS, y / CELLS, s / CELLS))
            for n, (x, y, s) in zip(names, spots, strict=True)
        )
        # The small one is never hidden by the large one.
        in_front = self.free and layout in ("left_right", "above_below") and rng.random() < 0.5
        return Scene(placed, background, layout, style, seed, first_in_front=in_front)

    def shape(self, name: str, style: str) -> tuple[float, float]:
        """Width and height of the sprite relative to its longer side."""
        w, h = self.cut(name, style).size
        return w / max(w, h), h / max(w, h)

    def _box(self, name: str, style: str, x: float, y: float, side: float, snap: bool = True) -> Box:
        return placing.box(self.shape(name, style), x, y, side, snap)

    # -- reading scenes -----------------------------------------------------------------------------------------

    def picture(self, scene: Scene, size: int = 64) -> Image.Image:
        """The scene as an RGB picture of `size` x `size`."""
        canvas = Image.new("RGB", (size, size), COLOURS[scene.background])
        for i in scene.order:
            cut, at = self._fitted(scene, i, size)
            canvas.paste(cut, at, cut)
        return canvas

    def masks(self, scene: Scene, size: int = 64) -> NDArray[np.bool_]:
        """What is visible of each object: bool [objects, size, size], in the order of `scene.objects`."""
        owner = self.owners(scene, size)
        return np.stack([owner == i for i in range(len(scene.objects))])

    def owners(self, scene: Scene, size: int = 64) -> NDArray[np.int16]:
        """The index of the object that each pixel shows, -1 for the background: int16 [size, size]."""
        owner = np.full((size, size), -1, np.int16)
        for i in scene.order:
            cut, (x, y) = self._fitted(scene, i, size)
            solid = np.asarray(cut.getchannel("A")) > 127
            owner[y : y + cut.height, x : x + cut.width][solid] = i
        return owner

    def caption(self, scene: Scene, variant: int = 0) -> str:
        """One of endlessly many natural descriptions; `variant` picks which."""
        return Phrasing(self.art, random.Random(f"caption-{scene.seed}-{variant}"), self.free).describe(scene)

    def depth(self, scene: Scene, size: int = 64) -> NDArray[np.float32]:
        """Nearness, float32 [size, size]: 0 for the background, up to 1 for the nearest object.

        What covers something is nearer than what it covers; of the rest, the larger is nearer.
        """
        near = np.zeros(len(scene.objects) + 1, np.float32)  # the last slot is the background (owner -1)
        alone = [self.owners(replace(scene, objects=(o,)), size) == 0 for o in scene.objects]
        for rank, i in enumerate(scene.order):
            covered = [near[k] for k in scene.order[:rank] if (alone[k] & alone[i]).any()]
            area = scene.objects[i].area
            near[i] = min(1.0, max(0.25 + 0.6 * math.sqrt(area), max(covered, default=0.0) + 0.06))
        return near[self.owners(scene, size)]

    def edges(self, scene: Scene, size: int = 64) -> NDArray[np.uint8]:
        """White outlines on black, uint8 [size, size]: where the picture changes sharply or one thing ends."""
        fine = np.asarray(self.picture(scene, 2 * size), np.float32)
        dx = np.abs(fine[:, 2:] - fine[:, :-2]).max(-1)[1:-1]
        dy = np.abs(fine[2:] - fine[:-2]).max(-1)[:, 1:-1]
        strong = np.pad(np.hypot(dx, dy) > 60, 1)
        owner = self.owners(scene, 2 * size)
        strong[1:] |= owner[1:] != owner[:-1]
        strong[:, 1:] |= owner[:, 1:] != owner[:, :-1]
        return (strong.reshape(size, 2, size, 2).mean((1, 3)) >= 0.5).astype(np.uint8) * 255

    def sketch(self, scene: Scene, size: int = 64) -> Image.Image:
        """Soft dark lines on white paper, mode L: the edges as a pencil would draw them."""
        lines = Image.fromarray(255 - self.edges(scene, 2 * size))
        return lines.resize((size, size), Image.Resampling.BOX).point(lambda v: max(30, v))

    def questions(self, scene: Scene) -> list[Question]:
        """Questions that the picture answers, with their answers."""
        return questions(scene, self.names, self.styles, placed=self.free)

    def edit(self, seed: int, split: Split = "any") -> Edit:
        """One change to a scene: its ground, an object, the style, something added or taken away."""
        rng = random.Random(f"edit-{seed}")
        kind = rng.choice(("background", "background", "replace", "replace", "style", "add", "remove"))
        while True:
            if kind in ("add", "remove"):
                full = self.scene(rng.randrange(1 << 40), rng.choice(("left_right", "above_below")), split)
                kept, gone = full.objects if rng.random() < 0.5 else full.objects[::-1]
                part = replace(full, objects=(kept,), layout="single")
                where = self._where(gone, kept)
                if kind == "add":
                    say = rng.choice((f"add {article(gone.name)} {where}", f"put {article(gone.name)} {where}"))
                    made = Edit(part, say, full)
                else:
                    made = Edit(full, rng.choice((f"remove the {gone.name}", f"take the {gone.name} away")), part)
            else:
                layout: Layout = rng.choice(("single", "single", "left_right", "above_below"))
                made = self._change(rng, kind, self.scene(rng.randrange(1 << 40), layout, split))
            if split == "any" or all(held_out(s) == (split == "held_out") for s in (made.before, made.after)):
                return made

    def _change(self, rng: random.Random, kind: str, before: Scene) -> Edit:
        if kind == "background":
            colour = rng.choice([c for c in COLOURS if c != before.background])
            say = rng.choice(
                ("make the background {c}", "change the background to {c}", "{c} background", "turn the background {c}")
            )
            return Edit(before, say.format(c=colour), replace(before, background=colour))
        if kind == "style":
            style = rng.choice([s for s in self.styles if s != before.style])
            objects = tuple(self._put(o.name, style, o) for o in before.objects)
            say = rng.choice(("make it {s}", "in {s} style", "turn it into {s} style"))
            return Edit(before, say.format(s=style), replace(before, objects=objects, style=style))
        old = rng.choice(before.objects)
        new = rng.choice([n for n in self.names if n not in {o.name for o in before.objects}])
        objects = tuple(self._put(new, o.style, o) if o is old else o for o in before.objects)
        say = rng.choice(("replace the {a} with {b}", "turn the {a} into {b}", "swap the {a} for {b}"))
        return Edit(before, say.format(a=old.name, b=article(new)), replace(before, objects=objects))

    def motion(self, seed: int, frames: int = 8, split: Split = "any") -> Motion:
        """One object that moves, grows or shrinks over `frames` scenes."""
        rng = random.Random(f"motion-{seed}")
        scene = self.scene(rng.randrange(1 << 40), "single", split)
        (placed,) = scene.objects
        kind = rng.choice(("right", "left", "up", "down", "grows", "shrinks", "bounces"))
        moved = []
        for i in range(frames):
            t = i / max(1, frames - 1)
            x, y, side = 0.5, 0.5, 0.42
            if kind in ("right", "left"):
                x = 0.29 + 0.42 * (t if kind == "right" else 1 - t)
            elif kind in ("up", "down"):
                y = 0.29 + 0.42 * (t if kind == "down" else 1 - t)
            elif kind == "bounces":
                y = 0.68 - 0.36 * abs(math.sin(math.pi * 2 * t))
            else:
                side = 0.3 + 0.5 * (t if kind == "grows" else 1 - t)
            box = self._box(placed.name, placed.style, x, y, side, snap=False)
            moved.append(replace(scene, objects=(replace(placed, box=box),)))
        verb = f"moves {kind}" if kind in ("right", "left", "up", "down") else kind
        ground = f"on {article(scene.background)} background"
        return Motion(f"{article(placed.name)} that {verb} {ground}, {scene.style}", tuple(moved))

    def _put(self, name: str, style: str, like: Placed) -> Placed:
        left, top, right, bottom = like.box
        return Placed(name, style, self._box(name, style, *like.centre, max(right - left, bottom - top), snap=False))

    @staticmethod
    def _where(thing: Placed, other: Placed) -> str:
        dx, dy = thing.centre[0] - other.centre[0], thing.centre[1] - other.centre[1]
        if abs(dx) >= abs(dy):
            return f"to the {'right' if dx > 0 else 'left'} of the {other.name}"
        return f"{'below' if dy > 0 else 'above'} the {other.name}"

    # -- sprites ------------------------------------------------------------------------------------------------

    def cut(self, name: str, style: str) -> Image.Image:
        """The object's sprite, cropped to its opaque box; shared, so not to be changed."""
        key = (name, style)
        if key not in self._cuts:
            self._cuts[key] = self.art.sprite(name, style)
        return self._cuts[key]

    def _fitted(self, scene: Scene, number: int, size: int) -> tuple[Image.Image, tuple[int, int]]:
        """One object's cut-out at its size in the picture, and where its corner lies, in pixels."""
        placed = scene.objects[number]
        if scene.person:
            return figure.layer(scene.person, size), (0, 0)
        left, top, right, bottom = (v * size for v in placed.box)
        w, h = max(1, round(right - left)), max(1, round(bottom - top))
        key = (placed.name, placed.style, w, h)
        if key not in self._scaled:
            if len(self._scaled) > 20_000:
                self._scaled.clear()
            self._scaled[key] = self.cut(placed.name, placed.style).resize((w, h), Image.Resampling.LANCZOS)
        return self._scaled[key], (round(left), round(top))
