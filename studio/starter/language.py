"""How the starter world is spoken about: many natural paraphrases of one scene."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

from studio.starter import placing
from studio.starter.art import Art
from studio.starter.vocabulary import COLOURS, NO_ARTICLE, STYLE_WORDS, SYNONYMS, article, plural

if TYPE_CHECKING:
    from studio.starter.figure import Figure
    from studio.starter.questions import Question
    from studio.starter.world import Placed, Scene

LEADS = (
    "",
    "",
    "",
    "",
    "",
    "a picture of ",
    "an image of ",
    "an illustration of ",
    "a drawing of ",
    "draw ",
    "a photo of ",
)
BACKGROUNDS = (
    " on a {c} background", " on a {c} background", " on a {c} background", " on {a} {c} background",
    ", {c} background", ", {c} background", " on {c}", " against a {c} background", " with a {c} background",
    " in front of a {c} background", " on a plain {c} background", " {c} background", " over {c}",
    " on a solid {c} backdrop", ", on a bright {c} background", " on a {c} wall",
)  # fmt: skip
SUFFIX_STYLES = (", {s}", ", {s} style", " in {s} style", ", in a {s} style", " ({s})", " {s} style", " {s}")
SINGULAR_STYLES = {
    "3d": ("a 3d render of {o}", "a 3d picture of {o}", "a glossy 3d icon of {o}"),
    "flat": ("a flat icon of {o}", "a flat drawing of {o}", "a flat vector icon of {o}"),
    "cartoon": ("a cartoon of {o}", "a cartoon drawing of {o}", "a comic drawing of {o}"),
    "sticker": ("a sticker of {o}", "a die-cut sticker of {o}", "{o} as a sticker"),
}
COUNT_WORDS = {2: ("two", "two", "2", "a pair of", "a couple of"), 3: ("three", "three", "3", "a group of three")}
BIG = ("large", "big", "huge", "giant")
SMALL = ("small", "little", "tiny")
IN_THE = ("in the {p}", "at the {p}", "in the {p} corner", "placed {p}")
WHERE = {
    "middle": ("in the middle", "in the centre", "in the center", "centred"),
    "left": ("on the left", "on the left side", "at the left"),
    "right": ("on the right", "on the right side", "at the right"),
    "top": ("at the top", "at the top", "in the upper part"),
    "bottom": ("at the bottom", "at the bottom", "in the lower part"),
}  # fmt: skip
PERSONS = ("a person", "a person", "a person", "a figure", "somebody", "a standing person")
SHIRTS = ("shirt", "shirt", "t-shirt", "top", "pullover")
TROUSERS = ("trousers", "trousers", "pants")
ARMS = {
    "arms down": ("arms down", "with arms down", "arms hanging"),
    "one arm raised": ("one arm raised", "with one arm raised", "raising one arm", "waving"),
    "both arms raised": ("both arms raised", "with both arms raised", "arms up", "with raised arms"),
}
LEGS = {
    "legs apart": ("legs apart", "with legs apart"),
    "legs together": ("legs together", "with legs together"),
}


class Phrasing:
    """Draws phrasings from `rng`; a fresh generator with the same seed says the same again."""

    def __init__(self, art: Art, rng: random.Random, placed: bool = True) -> None:
        """`placed`: tell where a lone thing is and how large, which says nothing in a world of one place."""
        self.art, self.rng, self.placed = art, rng, placed

    def describe(self, scene: Scene) -> str:
        """A caption: sometimes only the object, mostly with background and style, in changing order."""
        rng = self.rng
        say_background = rng.random() < 0.92
        style_form = rng.choices(("none", "prefix", "wrapped", "suffix"), (0.15, 0.34, 0.19, 0.32))[0]
        if style_form == "prefix" and scene.layout in ("single", "count"):
            subject = self._subject(scene, rng.choice(STYLE_WORDS[scene.style]))
        else:
            subject = self._subject(scene, "")
            if style_form == "prefix":
                kind = rng.choice(("picture of ", "illustration of ", ""))
                subject = f"{rng.choice(STYLE_WORDS[scene.style])} {kind}{subject}"
            elif style_form == "wrapped":
                subject = rng.choice(SINGULAR_STYLES[scene.style]).format(o=subject)
        if style_form in ("none", "suffix"):
            subject = rng.choice(LEADS) + subject
        background = ""
        if say_background:
            a = "an" if scene.background == "orange" else "a"
            background = rng.choice(BACKGROUNDS).format(c=scene.background, a=a)
            background = background.replace(" a orange", " an orange")
        suffix = (
            rng.choice(SUFFIX_STYLES).format(s=rng.choice(STYLE_WORDS[scene.style])) if style_form == "suffix" else ""
        )
        roll = rng.random()
        if say_background and roll < 0.07:
            text = f"{scene.background} background, {subject}{suffix}"
        elif roll < 0.5:
            text = subject + background + suffix
        else:
            text = subject + suffix + background
        return text + (rng.choice((".", "")) if rng.random() < 0.15 else "")

    def name(self, placed: Placed) -> str:
        """The object's name or one of its synonyms."""
        others = SYNONYMS.get(placed.name, ())
        return self.rng.choice(others) if others and self.rng.random() < 0.25 else placed.name

    def noun(self, placed: Placed, adjective: str = "", bare: float = 0.15, colour: float = 0.15) -> str:
        """`a big red apple`: article, adjective, now and then the colour, then the name."""
        rng = self.rng
        words = [w for w in adjective.split() if w]
        if rng.random() < colour:
            own = self.art.colour_word(placed.name, placed.style)
            # People name colours that the drawing cannot have; the background must not take them over.
            words.append(own if own and rng.random() < 0.75 else rng.choice(tuple(COLOURS)))
        name = self.name(placed)
        if name.startswith("a "):
            return name
        phrase = " ".join([*words, name])
        if rng.random() < bare or (placed.name in NO_ARTICLE and name == placed.name):
            return phrase
        return article(phrase) if rng.random() < 0.9 else f"one {phrase}" if not adjective else f"the {phrase}"

    def _subject(self, scene: Scene, style: str) -> str:
        rng = self.rng
        first = scene.objects[0]
        if scene.person:
            return self._person(scene.person) + self._where(first, 0.4)
        if scene.layout == "single":
            size = self._size(first)
            if (
                style.endswith(("design", "vector", "drawing", "rendered", "render", "art", "sticker"))
                and rng.random() < 0.5
            ):
                return f"{self.noun(first, size, bare=0.6)}{self._where(first)}, {style}"
            return self.noun(first, f"{size} {style}") + self._where(first)
        if scene.layout == "count":
            n = len(scene.objects)
            colour = self.art.colour_word(first.name, first.style) if rng.random() < 0.15 else ""
            words = [rng.choice(COUNT_WORDS[n]), style, colour, plural(first.name)]
            return " ".join(w for w in words if w)
        a, b = scene.objects
        if scene.layout == "large_small":
            return self._sizes(a, b)
        return self._relation(scene, a, b)

    def _size(self, placed: Placed) -> str:
        """An adjective for its size, about as often as not."""
        size = placing.size_word(placed.box)
        if not self.placed or size == "medium" or self.rng.random() < 0.45:
            return ""
        return self.rng.choice(SMALL if size == "small" else BIG)

    def _where(self, placed: Placed, often: float = 0.55) -> str:
        """` at the top left`, or nothing, where no word fits or none is wanted."""
        place, rng = placing.place_word(placed.box), self.rng
        if not self.placed or not place or rng.random() > often * (0.6 if place == "middle" else 1.0):
            return ""
        if place in WHERE:
            return f" {rng.choice(WHERE[place])}"
        other = place.replace("top", "upper").replace("bottom", "lower")
        return " " + rng.choice(IN_THE).format(p=rng.choice((place, place, other)))

    def _person(self, person: Figure) -> str:
        """Clothes, arms and legs, each of which may be left out."""
        rng = self.rng
        worn = []
        if rng.random() < 0.85:
            worn.append(f"{article(person.shirt)} {rng.choice(SHIRTS)}")
        if rng.random() < 0.8:
            worn.append(f"{person.trousers} {rng.choice(TROUSERS)}")
        text = rng.choice(PERSONS)
        if worn:
            text += rng.choice((" in ", " in ", " wearing ", " with ")) + " and ".join(worn)
        if rng.random() < 0.8:
            text += rng.choice((", ", " ", ", ")) + rng.choice(ARMS[person.arms])
        if rng.random() < 0.3:
            text += f", {rng.choice(LEGS[person.legs])}"
        return text

    def _sizes(self, big: Placed, small: Placed) -> str:
        rng = self.rng
        x, y = self.noun(big, rng.choice(BIG), bare=0.05), self.noun(small, rng.choice(SMALL), bare=0.05)
        link = rng.choice((" and ", " and ", " next to ", " beside ", " with ", " near "))
        roll = rng.random()
        if roll < 0.6:
            return x + link + y
        if roll < 0.9:
            return y + link + x
        return f"{self.noun(big)} larger than {self.noun(small)}"

    def _relation(self, scene: Scene, a: Placed, b: Placed) -> str:
        """`a` is left of (or above) `b`."""
        rng = self.rng
        x, y = self.noun(a), self.noun(b)
        if scene.layout == "left_right":
            forms = (
                "{x} to the left of {y}", "{x} left of {y}", "{x} on the left of {y}",
                "{x} on the left and {y} on the right", "{x} on the left, {y} on the right",
                "{y} to the right of {x}", "{y} right of {x}", "{y} on the right of {x}",
                "{x} and {y}", "{x} next to {y}", "{x} beside {y}", "{y} on the right and {x} on the left",
            )  # fmt: skip
        else:
            forms = (
                "{x} above {y}", "{x} above {y}", "{x} over {y}", "{x} on top and {y} at the bottom", "{y} below {x}",
                "{y} under {x}", "{y} beneath {x}", "{x} on top of {y}", "{x} at the top, {y} at the bottom",
            )  # fmt: skip
        return rng.choice(forms).format(x=x, y=y)


# A question as the world asks it, and other ways to say it; {0}, {1} are what the brackets caught.
REPHRASED: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern), ways)
    for pattern, ways in (
        (r"what colour is the background\?", (
            "what color is the background?", "which colour is the background?", "what is the background colour?",
            "what is the color of the background?", "background colour?", "and the background?",
        )),
        (r"is the background (.+)\?", (
            "does it have a {0} background?", "is this a {0} background?", "is the colour of the background {0}?",
            "is it on a {0} background?",
        )),
        (r"what style is the picture in\?", (
            "what style is this?", "what is the style?", "which style is it?", "what style is it drawn in?",
        )),
        (r"is it (.+) style\?", (
            "is the style {0}?", "is it a {0}?", "is this {0}?", "is the picture in {0} style?", "is it drawn as {0}?",
        )),
        (r"what is in the picture\?", (
            "what is this?", "what is it?", "what do you see?", "what is shown?", "what does the picture show?",
            "what is in the image?", "which objects are there?", "what can you see in this picture?",
        )),
        (r"(?:is|are) there exactly (\d) (.+)\?", (
            "exactly {0} {1}?", "exactly {n} {1}?", "are there exactly {n} {1}?", "are there {n} {1}?",
            "does the picture show exactly {n} {1}?", "do you see {n} {1}?",
        )),
        (r"is there (.+)\?", (
            "is there {0} in the picture?", "do you see {0}?", "can you see {0}?", "is this {0}?", "is it {0}?",
            "does the picture show {0}?", "is {0} in the picture?",
        )),
        (r"how many (.+) are there\?", (
            "how many {0}?", "how many {0} do you see?", "how many {0} are in the picture?", "count the {0}",
        )),
        (r"what is (on|at) the (left|right|top|bottom)\?", (
            "what is {0} the {1} side?", "which object is {0} the {1}?", "what do you see {0} the {1}?",
        )),
        (r"where is the (.+)\?", ("where is {0}?", "where can you see the {0}?", "where do you see the {0}?")),
        (r"is the (.+) left or right of the (.+)\?", (
            "is the {0} to the left or right of the {1}?", "is the {0} left or right?",
            "is the {0} on the left or on the right of the {1}?",
        )),
        (r"is the (.+) above or below the (.+)\?", ("is the {0} above or below?", "is the {0} over or under the {1}?")),
        (r"is the (.+) left of the (.+)\?", (
            "is the {0} to the left of the {1}?", "is the {0} on the left of the {1}?",
        )),
        (r"is the (.+) above the (.+)\?", ("is the {0} over the {1}?", "is the {0} higher than the {1}?")),
        (r"which is larger, the (.+) or the (.+)\?", (
            "which is bigger, the {0} or the {1}?", "what is larger, the {0} or the {1}?",
            "is the {0} or the {1} larger?",
        )),
        (r"is the (.+) larger than the (.+)\?", (
            "is the {0} bigger than the {1}?", "is the {1} smaller than the {0}?",
        )),
        (r"is the (.+) large or small\?", (
            "is the {0} big or small?", "how large is the {0}?", "how big is the {0}?",
        )),
        (r"what colour is the shirt\?", (
            "what color is the shirt?", "which colour is the shirt?", "the shirt's colour?",
        )),
        (r"what colour are the trousers\?", ("what color are the pants?", "which colour are the trousers?")),
        (r"is the (.+) (large|small)\?", ("is it a {1} {0}?", "is there a {1} {0}?")),
        (r"is the (.+) ((?:on|at|in) the .+)\?", ("is {0} {1}?", "do you see the {0} {1}?", "is there a {0} {1}?")),
        (r"are the legs apart\?", ("legs apart?", "does the person stand with legs apart?")),
        (r"what are the arms doing\?", ("where are the arms?", "how are the arms?", "are the arms up or down?")),
    )
)  # fmt: skip
NUMBERS = {"1": "one", "2": "two", "3": "three"}


def ask(question: Question, rng: random.Random) -> str:
    """The question as somebody might put it: as the world asks it, or in other words, mostly with its mark."""
    text = question.text
    for pattern, ways in REPHRASED:
        caught = pattern.fullmatch(text)
        if caught and rng.random() < 0.7:
            groups = caught.groups()
            text = rng.choice(ways).format(*groups, n=NUMBERS.get(groups[0], "") if groups else "")
            break
    return text.rstrip("?") if rng.random() < 0.15 else text


def describe_plainly(scene: Scene) -> tuple[str, str]:
    """(full, brief): "a cartoon fox on a red background" and "a fox"; always the same words for the same scene."""
    names = [placed.name for placed in scene.objects]
    ground = f"on {article(scene.background)} background"
    if scene.layout == "count":
        things = f"{NUMBERS[str(len(names))]} {plural(names[0])}"
        return f"{NUMBERS[str(len(names))]} {scene.style} {plural(names[0])} {ground}", things
    first = article(names[0])
    styled = article(f"{scene.style} {names[0]}")
    if scene.person:
        return f"a {scene.style} person in {article(scene.person.shirt)} shirt, {scene.person.arms}, {ground}", first
    if scene.layout == "single":
        return f"{styled} {ground}", first
    a, b = scene.objects
    other = article(names[1])
    if scene.layout == "large_small":
        return f"a large {scene.style} {names[0]} and a small {names[1]} {ground}", f"{first} and {other}"
    axis, ways = (0, ("to the left of", "to the right of")) if scene.layout == "left_right" else (1, ("above", "below"))
    between = ways[a.centre[axis] > b.centre[axis]]
    return f"{styled} {between} {other} {ground}", f"{first} and {other}"
