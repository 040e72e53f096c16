"""What can be asked about a scene, with the answers that its picture gives."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from studio.starter import placing
from studio.starter.vocabulary import COLOURS, UNCOUNTED, article, plural

if TYPE_CHECKING:
    from studio.starter.world import Placed, Scene

SIDES = {"top": "at the top", "bottom": "at the bottom", "left": "on the left", "right": "on the right",
         "middle": "in the middle"}  # fmt: skip


@dataclass(frozen=True)
class Question:
    text: str
    answer: str
    kind: Literal["what", "colour", "where", "count", "exists", "relation", "size", "pose"]


def questions(scene: Scene, names: tuple[str, ...], styles: tuple[str, ...], placed: bool) -> list[Question]:
    """Questions about `scene` of a world of `names` and `styles`; with `placed`, also where a lone thing is and how
    large, which only a world with more than one place and size can teach."""
    rng = random.Random(f"questions-{scene.seed}")
    shown = list(dict.fromkeys(o.name for o in scene.objects))
    absent = rng.choice([n for n in names if n not in shown])
    ground = rng.choice([c for c in COLOURS if c != scene.background])
    style = rng.choice([s for s in styles if s != scene.style])
    asked = [
        Question("what colour is the background?", scene.background, "colour"),
        Question(f"is the background {scene.background}?", "yes", "colour"),
        Question(f"is the background {ground}?", "no", "colour"),
        Question("what style is the picture in?", scene.style, "what"),
        Question(f"is it {scene.style} style?", "yes", "what"),
        Question(f"is it {style} style?", "no", "what"),
        Question("what is in the picture?", " and ".join(shown), "what"),
        Question(f"is there {article(shown[0])}?", "yes", "exists"),
        Question(f"is there {article(absent)}?", "no", "exists"),
    ]
    for name in shown:
        if name not in UNCOUNTED:
            number = sum(o.name == name for o in scene.objects)
            other = rng.choice([n for n in (1, 2, 3) if n != number])
            asked += [
                Question(f"how many {plural(name)} are there?", str(number), "count"),
                Question(_exactly(number, name), "yes", "count"),
                Question(_exactly(other, name), "no", "count"),
            ]
    if absent not in UNCOUNTED:
        asked.append(Question(f"how many {plural(absent)} are there?", "0", "count"))
    if len(shown) == 2:
        asked += _of_two(scene, *scene.objects)
    if scene.person:
        asked += [
            Question("what colour is the shirt?", scene.person.shirt, "pose"),
            Question("what colour are the trousers?", scene.person.trousers, "pose"),
            Question("what are the arms doing?", scene.person.arms, "pose"),
            Question("are the legs apart?", "yes" if scene.person.legs == "legs apart" else "no", "pose"),
        ]
    if placed and len(scene.objects) == 1:
        asked += _of_one(scene.objects[0], rng)
    return asked


def _exactly(number: int, name: str) -> str:
    return f"is there exactly 1 {name}?" if number == 1 else f"are there exactly {number} {plural(name)}?"


def _of_one(thing: Placed, rng: random.Random) -> list[Question]:
    asked = []
    size, place = placing.size_word(thing.box), placing.place_word(thing.box)
    if size != "medium":
        other = "large" if size == "small" else "small"
        asked += [
            Question(f"is the {thing.name} large or small?", size, "size"),
            Question(f"is the {thing.name} {size}?", "yes", "size"),
            Question(f"is the {thing.name} {other}?", "no", "size"),
        ]
    if place:
        elsewhere = rng.choice([p for p in placing.PLACES if not set(p.split()) & set(place.split())])
        asked += [
            Question(f"where is the {thing.name}?", where(place), "where"),
            Question(f"is the {thing.name} {where(place)}?", "yes", "where"),
            Question(f"is the {thing.name} {where(elsewhere)}?", "no", "where"),
        ]
    return asked


def where(place: str) -> str:
    """`on the left`, `at the top right`: one of `placing.PLACES` with its preposition."""
    return SIDES.get(place, f"at the {place}")


def _of_two(scene: Scene, a: Placed, b: Placed) -> list[Question]:
    horizontal = abs(a.centre[0] - b.centre[0]) >= abs(a.centre[1] - b.centre[1])
    axis, before, after = (0, "left", "right") if horizontal else (1, "above", "below")
    first, last = (a, b) if a.centre[axis] < b.centre[axis] else (b, a)
    side = ("on the left", "on the right") if horizontal else ("at the top", "at the bottom")
    of = " of" if horizontal else ""
    asked = [
        Question(f"is the {a.name} {before} or {after}{of} the {b.name}?", before if a is first else after, "relation"),
        Question(f"is the {first.name} {before}{of} the {last.name}?", "yes", "relation"),
        Question(f"is the {last.name} {before}{of} the {first.name}?", "no", "relation"),
        Question(f"what is {side[0]}?", first.name, "where"),
        Question(f"what is {side[1]}?", last.name, "where"),
        Question(f"where is the {first.name}?", side[0], "where"),
        Question(f"where is the {last.name}?", side[1], "where"),
    ]
    if scene.layout == "large_small":
        asked += [
            Question(f"which is larger, the {b.name} or the {a.name}?", a.name, "size"),
            Question(f"which is larger, the {a.name} or the {b.name}?", a.name, "size"),
            Question(f"is the {a.name} larger than the {b.name}?", "yes", "size"),
            Question(f"is the {b.name} larger than the {a.name}?", "no", "size"),
        ]
    return asked
