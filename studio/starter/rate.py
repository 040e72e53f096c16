"""How often something was right, and the sentences that scenes are asked for with."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from studio.starter import vocabulary
from studio.starter.vocabulary import article
from studio.starter.world import Scene


@dataclass(frozen=True)
class Rate:
    """Successes among trials with the 95 % Wilson interval."""

    hits: int
    trials: int

    @property
    def value(self) -> float:
        return self.hits / self.trials if self.trials else 0.0

    def interval(self) -> tuple[float, float]:
        if not self.trials:
            return 0.0, 1.0
        z, n, p = 1.96, self.trials, self.value
        centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)


def prompt(scene: Scene, rng: random.Random) -> str:
    """A plain sentence that names everything the scene holds."""
    style = rng.choice(vocabulary.STYLE_WORDS[scene.style])
    ground = f"on {'an' if scene.background == 'orange' else 'a'} {scene.background} background"
    names = [o.name for o in scene.objects]
    a = article(names[0])
    if scene.layout == "single":
        return rng.choice((f"{article(f'{style} {names[0]}')} {ground}", f"{a} {ground}, {style}",
                           f"{a} in {style} style {ground}"))  # fmt: skip
    if scene.layout == "count":
        number = {2: "two", 3: "three"}[len(names)]
        return f"{number} {vocabulary.plural(names[0])} {ground}, {style}"
    b = article(names[1])
    phrase = {
        "left_right": f"{a} to the left of {b}",
        "above_below": f"{a} above {b}",
        "large_small": f"a large {names[0]} and a small {names[1]}",
    }[scene.layout]
    return f"{phrase} {ground}, {style}"
