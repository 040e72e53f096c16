"""What the starter models promise to draw: objects, styles, background colours and layouts.

The lists are the one source for the world's scenes, the judge's classes and `assets/starter/vocabulary.json`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# name -> the slug that the three SVG sets share; its code point is looked up in emojibase-data.
OBJECTS: dict[str, str] = {
    # fruit and vegetables
    "apple": "red-apple", "banana": "banana", "grapes": "grapes", "watermelon": "watermelon", "lemon": "lemon",
    "pineapple": "pineapple", "strawberry": "strawberry", "cherries": "cherries", "pear": "pear",
    "avocado": "avocado", "carrot": "carrot", "eggplant": "eggplant",
    "broccoli": "broccoli", "mushroom": "mushroom",
    # food and drink
    "pizza": "pizza", "burger": "hamburger", "fries": "french-fries", "taco": "taco", "croissant": "croissant",
    "cheese": "cheese-wedge", "donut": "doughnut",
    "cake": "birthday-cake", "cupcake": "cupcake", "lollipop": "lollipop", "ice cream": "soft-ice-cream",
    "popcorn": "popcorn", "coffee": "hot-beverage", "teapot": "teapot", "cocktail": "cocktail-glass",
    "beer": "beer-mug",
    # animals
    "dog": "dog-face", "cat": "cat-face", "fox": "fox", "lion": "lion", "tiger": "tiger-face",
    "unicorn": "unicorn", "cow": "cow-face", "pig": "pig-face", "sheep": "ewe", "mouse": "mouse-face",
    "rabbit": "rabbit-face", "panda": "panda", "koala": "koala", "monkey": "monkey-face", "frog": "frog",
    "penguin": "penguin", "owl": "owl", "flamingo": "flamingo",
    "turtle": "turtle", "snake": "snake", "dolphin": "dolphin",
    "fish": "tropical-fish", "octopus": "octopus", "crab": "crab", "snail": "snail", "butterfly": "butterfly",
    "bee": "honeybee", "elephant": "elephant", "giraffe": "giraffe",
    "dinosaur": "t-rex",
    # plants and sky
    "rose": "rose", "sunflower": "sunflower", "tulip": "tulip", "cactus": "cactus", "palm tree": "palm-tree",
    "pine tree": "evergreen-tree", "clover": "four-leaf-clover", "maple leaf": "maple-leaf", "sun": "sun",
    "moon": "crescent-moon", "star": "star", "cloud": "cloud", "rainbow": "rainbow", "fire": "fire",
    # vehicles
    "car": "automobile", "bus": "bus", "fire truck": "fire-engine", "tractor": "tractor",
    "bicycle": "bicycle", "train": "locomotive", "sailboat": "sailboat",
    "airplane": "airplane", "helicopter": "helicopter", "rocket": "rocket", "ufo": "flying-saucer",
    # buildings
    "house": "house", "castle": "castle", "tent": "tent",
    # things
    "clock": "alarm-clock", "balloon": "balloon", "gift": "wrapped-gift", "trophy": "trophy",
    "soccer ball": "soccer-ball", "basketball": "basketball", "guitar": "guitar", "trumpet": "trumpet",
    "drum": "drum", "teddy bear": "teddy-bear", "key": "key", "lock": "locked", "hammer": "hammer",
    "scissors": "scissors", "pencil": "pencil", "magnet": "magnet", "light bulb": "light-bulb",
    "camera": "camera", "television": "television", "laptop": "laptop",
    "envelope": "envelope", "crown": "crown", "top hat": "top-hat", "shirt": "t-shirt",
    "shoe": "running-shoe", "glasses": "glasses", "diamond": "gem-stone",
    "bell": "bell", "anchor": "anchor", "heart": "red-heart", "snowman": "snowman", "pumpkin": "jack-o-lantern",
    "robot": "robot", "ghost": "ghost",
}  # fmt: skip

# What the shipped pack promises: the objects and styles that its painter had the time to learn. The tokenizer, CLIP and
# the judge know all of `OBJECTS` and `STYLES`, so a longer training can promise them all.
PROMISED: tuple[str, ...] = (
    "apple", "banana", "grapes", "watermelon", "lemon", "pineapple", "strawberry", "carrot", "eggplant", "mushroom",
    "pizza", "burger", "donut", "cupcake", "popcorn", "cheese",
    "dog", "cat", "fox", "lion", "pig", "panda", "koala", "monkey", "frog", "penguin", "owl", "rabbit", "flamingo",
    "turtle", "octopus", "butterfly", "bee", "dinosaur",
    "rose", "sunflower", "tulip", "cactus", "pine tree", "clover", "sun", "moon", "star", "cloud", "rainbow", "fire",
    "car", "fire truck", "rocket", "house", "balloon", "gift", "trophy", "soccer ball", "basketball", "key", "lock",
    "crown", "bell", "heart", "pumpkin", "ghost",
)  # fmt: skip
PROMISED_STYLES: tuple[str, ...] = ("3d", "cartoon", "sticker")

# Words whose plural is not name + "s"; words that are plural or uncountable are phrased without an article.
PLURALS: dict[str, str] = {
    "strawberry": "strawberries", "cherries": "cherries", "grapes": "grapes", "fries": "fries", "sheep": "sheep",
    "mouse": "mice", "fish": "fish", "butterfly": "butterflies", "maple leaf": "maple leaves",
    "bus": "buses", "octopus": "octopuses", "cactus": "cacti", "scissors": "scissors", "glasses": "glasses",
    "fox": "foxes", "person": "people", "broccoli": "broccoli",
    "popcorn": "popcorn", "coffee": "coffees", "cheese": "cheeses",
}  # fmt: skip
NO_ARTICLE = frozenset({
    "cherries", "grapes", "fries", "scissors", "glasses", "broccoli", "popcorn", "cheese", "coffee",
    "fire",
})  # fmt: skip
UNCOUNTED = frozenset({"sun", "rainbow", "popcorn", "broccoli", "grapes", "cherries", "fries", "fire"})

SYNONYMS: dict[str, tuple[str, ...]] = {
    "donut": ("doughnut",), "burger": ("hamburger",), "fries": ("french fries",), "ufo": ("flying saucer",),
    "fire truck": ("fire engine",), "airplane": ("plane", "aeroplane"), "bicycle": ("bike",), "gift": ("present",),
    "television": ("tv",), "soccer ball": ("football",), "diamond": ("gem",), "rabbit": ("bunny",),
    "dog": ("puppy",), "cat": ("kitten",), "car": ("automobile",), "shirt": ("t-shirt",), "shoe": ("sneaker",),
    "clock": ("alarm clock",), "pumpkin": ("jack-o-lantern",), "coffee": ("cup of coffee",), "lock": ("padlock",),
    "dinosaur": ("t-rex",), "teddy bear": ("teddy",), "pine tree": ("fir tree",), "light bulb": ("bulb",),
    "moon": ("crescent moon",), "bee": ("honeybee",),
    "cake": ("birthday cake",), "fire": ("flame",), "eggplant": ("aubergine",), "beer": ("mug of beer",),
    "glasses": ("eyeglasses",), "sailboat": ("boat",), "train": ("locomotive",),
}  # fmt: skip

# sRGB; well apart from one another (the nearest pair is checked by a test).
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (216, 40, 40), "orange": (248, 140, 30), "yellow": (252, 220, 60), "green": (60, 170, 75),
    "teal": (30, 160, 160), "blue": (50, 100, 225), "purple": (130, 70, 190), "pink": (250, 150, 195),
    "brown": (130, 82, 45), "grey": (150, 152, 156), "black": (24, 24, 28), "white": (250, 250, 250),
}  # fmt: skip

STYLES: tuple[str, ...] = ("3d", "flat", "cartoon", "sticker")
STYLE_WORDS: dict[str, tuple[str, ...]] = {
    "3d": ("3d", "3d render", "glossy 3d", "3d rendered"),
    "flat": ("flat", "flat design", "flat vector", "minimal flat"),
    "cartoon": ("cartoon", "cartoon drawing", "drawn cartoon", "comic"),
    "sticker": ("sticker", "die-cut sticker", "sticker art", "vinyl sticker"),
}
LAYOUTS: tuple[str, ...] = ("single", "left_right", "above_below", "large_small", "count")
PAIRS: tuple[str, ...] = ("left_right", "above_below", "large_small")
PROMISED_LAYOUTS: tuple[str, ...] = ("single",)

PROMPT_EXAMPLES: tuple[str, ...] = (
    "a red apple on a blue background", "3d rocket on a purple background", "a sticker of a fox, orange background",
    "a 3d eggplant on a red background", "a cartoon dinosaur on a teal background", "a star on a blue background, 3d",
    "a sticker of a carrot on a green background", "a cartoon pumpkin on a green background",
    "a 3d mushroom on a grey background", "a panda on an orange background, cartoon",
    "a die-cut sticker of a trophy on a pink background", "a 3d cat on a blue background",
    "a cartoon cloud on a brown background", "a sticker of an owl on a grey background",
    "a glossy 3d burger on a teal background", "a strawberry on a white background, cartoon",
    "a sticker of a pig on a blue background", "a 3d frog on a yellow background",
    "a cartoon key on a green background", "a 3d balloon on a white background",
    "a vinyl sticker of a rainbow on a green background", "a cartoon heart on a black background",
    "a clover on a white background, cartoon", "a 3d crown on a red background",
)  # fmt: skip


def limits() -> str:
    """One friendly line: what these models can and cannot draw."""
    pairs = any(name in PROMISED_LAYOUTS for name in PAIRS)
    alone = "one or two" if pairs else "one"
    return (
        f"The starter models draw {alone} of {len(PROMISED)} everyday objects in {len(PROMISED_STYLES)} styles on "
        f"{len(COLOURS)} plain background colours; for people, scenes and anything else choose a real model."
    )


@dataclass(frozen=True)
class Defaults:
    """The settings that the shipped pack was measured with."""

    steps: int = 16
    guidance: float = 3.0
    sampler: str = "dpmpp-2m"


def article(name: str) -> str:
    """`an owl`, `a cat`, `grapes`: the name with the article that English wants."""
    if name in NO_ARTICLE or name.startswith("a "):
        return name
    first = name.split()[0]
    vowel = first[0] in "aeio" or first in ("umbrella",)
    return f"{'an' if vowel else 'a'} {name}"


def plural(name: str) -> str:
    """`owl` -> `owls`."""
    return PLURALS.get(name, name + "s")


def colour_names() -> tuple[str, ...]:
    return tuple(COLOURS)


def object_names() -> tuple[str, ...]:
    return tuple(OBJECTS)


def as_json(native_size: int, defaults: Defaults | None = None) -> dict[str, Any]:
    """The published vocabulary: what the studio shows as suggestions while the starter family is chosen."""
    d = defaults or Defaults()
    return {
        "objects": list(PROMISED),
        "synonyms": {name: list(SYNONYMS[name]) for name in PROMISED if name in SYNONYMS},
        "styles": list(PROMISED_STYLES),
        "style_words": {k: list(STYLE_WORDS[k]) for k in PROMISED_STYLES},
        "colours": {name: "#{:02x}{:02x}{:02x}".format(*rgb) for name, rgb in COLOURS.items()},
        "layouts": list(PROMISED_LAYOUTS),
        "native_size": native_size,
        "default": {"steps": d.steps, "guidance": d.guidance, "sampler": d.sampler},
        "prompt_examples": list(PROMPT_EXAMPLES),
        "limits": limits(),
    }
