"""A simple drawn person in any pose, with the 18 joints that pose models speak of.

The joints come in OpenPose's order (COCO, 18 points), so the skeleton picture fits what pose-guided models expect.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw

from studio.starter.vocabulary import COLOURS, article

PERSON = "person"
JOINTS = (
    "nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist",
    "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle", "right eye", "left eye",
    "right ear", "left ear",
)  # fmt: skip
# Pairs of joints and their colours, as OpenPose draws them.
BONES = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0),
    (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
HUES = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0), (0, 255, 85),
    (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255), (170, 0, 255),
    (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip
SKINS = ((255, 219, 172), (241, 194, 125), (198, 134, 66), (141, 85, 36))
HAIR = ((40, 26, 20), (94, 60, 30), (200, 160, 80), (120, 50, 30))


@dataclass(frozen=True)
class Figure:
    """One person: `joints` are 18 (x, y) in 0..1 of the picture."""

    joints: tuple[tuple[float, float], ...]
    shirt: str
    trousers: str
    skin: tuple[int, int, int]
    hair: tuple[int, int, int]
    background: str
    arms: str
    legs: str
    seed: int

    @property
    def unit(self) -> float:
        """The torso's length, in 0..1 of the picture."""
        at = self.joints
        return math.dist(at[1], ((at[8][0] + at[11][0]) / 2, (at[8][1] + at[11][1]) / 2))

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the drawing, in 0..1: the joints with hands, hair and shoes around them."""
        xs, ys, unit = [x for x, _ in self.joints], [y for _, y in self.joints], self.unit
        top = min(min(ys) - 0.11 * unit, self.joints[0][1] - 0.36 * unit)
        return min(xs) - 0.13 * unit, top, max(xs) + 0.13 * unit, max(ys) + 0.17 * unit

    def caption(self) -> str:
        return (
            f"a person in {article(self.shirt)} shirt and {self.trousers} trousers, {self.arms}, "
            f"on {article(self.background)} background"
        )


def figure(seed: int, background: str = "", roam: bool = False) -> Figure:
    """A person in a random pose, scaled so that every joint lies inside the picture; `roam` lets it stand off the
    middle and be smaller."""
    rng = random.Random(f"figure-{seed}")
    raw = _pose(rng)
    xs, ys = [x for x, _ in raw], [y for _, y in raw]
    wide, high = max(xs) - min(xs), max(ys) - min(ys)
    # The head reaches above the eyes and the hands beyond the wrists: leave room for them.
    scale = rng.uniform(0.58 if roam else 0.62, 0.72) / max(high, wide * 0.9)
    mid_x, mid_y = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2
    if roam:
        x_room, y_room = max(0.0, 0.4 - scale * wide / 2), max(0.0, 0.38 - scale * high / 2)
        cx, cy = 0.5 + rng.uniform(-x_room, x_room), 0.53 + rng.uniform(-y_room, y_room)
    else:
        cx, cy = 0.5 + rng.uniform(-0.03, 0.03), 0.53 + rng.uniform(-0.02, 0.02)
    joints = tuple((cx + (x - mid_x) * scale, cy + (y - mid_y) * scale) for x, y in raw)
    background = background or rng.choice(tuple(COLOURS))
    free = [c for c in COLOURS if c != background]
    shirt = rng.choice(free)
    trousers = rng.choice([c for c in free if c != shirt])
    raised = sum(joints[w][1] < joints[1][1] for w in (4, 7))
    arms = ("arms down", "one arm raised", "both arms raised")[raised]
    legs = "legs apart" if abs(joints[10][0] - joints[13][0]) > 0.85 * scale else "legs together"
    # Hands and face must stand out from the ground.
    skins = [s for s in SKINS if max(abs(a - b) for a, b in zip(s, COLOURS[background], strict=True)) > 50]
    return Figure(joints, shirt, trousers, rng.choice(skins), rng.choice(HAIR), background, arms, legs, seed)


def _pose(rng: random.Random) -> list[tuple[float, float]]:
    """Joints in torso lengths, y downwards; the person faces us, so the right side is on the picture's left."""

    def step(origin: tuple[float, float], angle: float, length: float) -> tuple[float, float]:
        return origin[0] + length * math.sin(angle), origin[1] + length * math.cos(angle)  # 0 points down

    lean = rng.gauss(0, 0.10)
    neck = (0.0, 0.0)
    waist = step(neck, lean, 1.0)
    sides: dict[str, list[tuple[float, float]]] = {}
    for side, sign in (("right", -1), ("left", 1)):
        shoulder = (sign * 0.36 * math.cos(lean), sign * -0.36 * math.sin(lean) + 0.02)
        upper = sign * rng.choice((rng.uniform(0.1, 0.6), rng.uniform(0.6, 1.7), rng.uniform(1.7, 2.9)))
        elbow = step(shoulder, upper, 0.52)
        wrist = step(elbow, upper + sign * rng.uniform(-0.3, 1.5), 0.48)
        hip = (waist[0] + sign * 0.22, waist[1])
        thigh = sign * rng.uniform(-0.05, 0.55)
        knee = step(hip, thigh, 0.72)
        ankle = step(knee, thigh - sign * rng.uniform(0.0, 0.5), 0.70)
        sides[side] = [shoulder, elbow, wrist, hip, knee, ankle]
    tilt = lean + rng.gauss(0, 0.12)
    nose = step(neck, math.pi + tilt, 0.42)

    def head(x: float, y: float) -> tuple[float, float]:
        return nose[0] + x * math.cos(tilt) + y * math.sin(-tilt), nose[1] + x * math.sin(tilt) * -1 + y * math.cos(
            tilt
        )

    r, left = sides["right"], sides["left"]
    return [nose, neck, *r[:3], *left[:3], *r[3:], *left[3:], head(-0.1, -0.08), head(0.1, -0.08), head(-0.22, -0.03),
            head(0.22, -0.03)]  # fmt: skip


def picture(person: Figure, size: int = 64) -> Image.Image:
    """The person as an RGB drawing, `size` x `size`."""
    canvas = Image.new("RGB", (size, size), COLOURS[person.background])
    drawn = layer(person, size)
    canvas.paste(drawn, (0, 0), drawn)
    return canvas


def layer(person: Figure, size: int = 64) -> Image.Image:
    """The person alone as RGBA, `size` x `size`, nothing around it."""
    big = size * 4
    canvas = Image.new("RGBA", (big, big), (*COLOURS[person.background], 0))
    pen = ImageDraw.Draw(canvas)
    at = [(x * big, y * big) for x, y in person.joints]
    unit = person.unit * big
    shirt, trousers = COLOURS[person.shirt], COLOURS[person.trousers]

    def limb(points: list[int], width: float, fill: tuple[int, int, int]) -> None:
        path = [at[i] for i in points]
        pen.line(path, fill=fill, width=max(1, round(width)), joint="curve")
        for x, y in path:
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=fill)

    for hip, knee, ankle in ((8, 9, 10), (11, 12, 13)):
        limb([hip, knee, ankle], 0.26 * unit, trousers)
        x, y = at[ankle]
        pen.ellipse((x - 0.17 * unit, y - 0.02 * unit, x + 0.17 * unit, y + 0.17 * unit), fill=(45, 45, 50))
    for shoulder, elbow, wrist in ((2, 3, 4), (5, 6, 7)):
        limb([elbow, wrist], 0.17 * unit, person.skin)
        limb([shoulder, elbow], 0.21 * unit, shirt)
        x, y = at[wrist]
        pen.ellipse((x - 0.11 * unit, y - 0.11 * unit, x + 0.11 * unit, y + 0.11 * unit), fill=person.skin)
    limb([1, 0], 0.17 * unit, person.skin)
    pen.polygon([at[2], at[5], at[11], at[8]], fill=shirt)
    for i in (2, 5, 8, 11):
        x, y = at[i]
        pen.ellipse((x - 0.1 * unit, y - 0.1 * unit, x + 0.1 * unit, y + 0.1 * unit), fill=shirt)
    x, y = at[0]
    pen.ellipse((x - 0.27 * unit, y - 0.36 * unit, x + 0.27 * unit, y + 0.2 * unit), fill=person.hair)
    pen.ellipse((x - 0.23 * unit, y - 0.24 * unit, x + 0.23 * unit, y + 0.24 * unit), fill=person.skin)
    for i in (14, 15):
        ex, ey = at[i]
        pen.ellipse((ex - 0.035 * unit, ey - 0.035 * unit, ex + 0.035 * unit, ey + 0.035 * unit), fill=(30, 30, 34))
    pen.arc((x - 0.1 * unit, y - 0.06 * unit, x + 0.1 * unit, y + 0.12 * unit), 20, 160, fill=(150, 50, 50),
            width=max(1, round(0.03 * unit)))  # fmt: skip
    return canvas.resize((size, size), Image.Resampling.LANCZOS)


def skeleton(person: Figure, size: int = 64) -> Image.Image:
    """The joints and bones in OpenPose's colours on black, `size` x `size`."""
    big = size * 4
    canvas = Image.new("RGB", (big, big))
    pen = ImageDraw.Draw(canvas)
    at = [(x * big, y * big) for x, y in person.joints]
    width = max(2, round(big * 0.016))
    for (a, b), hue in zip(BONES, HUES, strict=False):
        pen.line((at[a], at[b]), fill=tuple(int(v * 0.6) for v in hue), width=width)
    for (x, y), hue in zip(at, HUES, strict=True):
        pen.ellipse((x - width / 2 - 1, y - width / 2 - 1, x + width / 2 + 1, y + width / 2 + 1), fill=hue)
    return canvas.resize((size, size), Image.Resampling.LANCZOS)
