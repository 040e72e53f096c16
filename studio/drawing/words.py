"""Which words of a prompt a model of a small world cannot know, and what of its world comes nearest. No torch here.

Such a model comes with a ``vocabulary.json``; models without one draw whatever is asked, and nothing is marked.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from studio.drawing.prompts import plain_text
from studio.models.catalog import Catalog

MOST = 3
"""Objects offered for one unknown word, and unknown words named in one note."""


@dataclass(frozen=True)
class Unknown:
    """A word of the prompt that the model does not know, and the objects of its world that come nearest, best first."""

    word: str
    nearest: tuple[str, ...]


@dataclass(frozen=True)
class Vocabulary:
    """What a model of a small world knows."""

    objects: tuple[str, ...]
    synonyms: dict[str, str]
    """Other words that it learned for an object -> the object."""
    words: frozenset[str]
    """Of styles, colours, numbers, sizes and places, and those that tell nothing."""
    styles: tuple[str, ...]
    colours: dict[str, str]
    """Name -> ``#rrggbb``."""
    examples: tuple[str, ...]
    limits: str
    """What it knows and what it does not, in a sentence."""

    def unknown(self, prompt: str) -> list[Unknown]:
        """The words of ``prompt`` that are not known, in order, each once."""
        text = " ".join(re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", plain_text(_LIST.sub(" ", prompt)).lower()))
        for name in sorted((*self.objects, *self.synonyms), key=len, reverse=True):
            text = re.sub(rf"\b(?:{'|'.join(map(re.escape, _forms(name)))})\b", " ", text)
        left = dict.fromkeys(word for word in text.split() if not self._tells_nothing(word))
        return [Unknown(word, self.nearest(word)) for word in left]

    def nearest(self, word: str) -> tuple[str, ...]:
        """Objects that mean something like ``word``, or else are written like it; none where nothing comes near."""
        for form in dict.fromkeys((word, word.removesuffix("es"), word.removesuffix("s"))):
            if kin := tuple(name for name in _KIN.get(form, ()) if name in self.objects):
                return kin[:MOST]
        alike = get_close_matches(word, (*self.objects, *self.synonyms), MOST, 0.75)
        return tuple(dict.fromkeys(self.synonyms.get(name, name) for name in alike))

    def _tells_nothing(self, word: str) -> bool:
        parts = word.split("-")
        return all(part in self.words or part.isdigit() or len(part) == 1 for part in parts)


def vocabulary(place: Path) -> Vocabulary | None:
    """Of the model in folder ``place``: the file lies in it or beside it. None where there is none."""
    file = next((file for file in (place / _FILE, place.parent / _FILE) if file.is_file()), None)
    return _read(file, file.stat().st_mtime_ns) if file else None


def unknown_words(prompt: str, model: str, catalog: Catalog) -> list[Unknown]:
    """What ``prompt`` asks of the model with this id ("" is the default) that it does not know; none if it knows all.

    Raises `StudioError` for a model that does not exist.
    """
    words = vocabulary(catalog.location(model))
    return words.unknown(prompt) if words else []


def words_note(prompt: str, model: str, catalog: Catalog) -> str:
    """One sentence about the words that the model does not know, or ""."""
    unknown = unknown_words(prompt, model, catalog)
    if not unknown:
        return ""
    named = " or ".join(f"'{each.word}'" for each in unknown[:MOST])
    near = list(dict.fromkeys(name for each in unknown for name in each.nearest))[:MOST]
    knows = f"; it knows {', '.join(near)}" if near else ""
    return f"{catalog.get(model).name} does not know {named}{knows}. A real model draws it: see the Models tab."


@lru_cache(maxsize=8)
def _read(file: Path, changed: int) -> Vocabulary:
    del changed  # part of the key: a pack that was trained again is read again
    data = json.loads(file.read_text("utf-8"))
    own = [*data["colours"], *data["styles"], *(word for words in data["style_words"].values() for word in words)]
    synonyms = {word: name for name, words in data.get("synonyms", {}).items() for word in words}
    parts = {part for each in own for part in re.split(r"[\s-]+", each)}
    return Vocabulary(
        objects=tuple(data["objects"]),
        synonyms=synonyms,
        words=frozenset(parts) | _PLAIN,
        styles=tuple(data["styles"]),
        colours=dict(data["colours"]),
        examples=tuple(data["prompt_examples"]),
        limits=data["limits"],
    )


def _forms(name: str) -> tuple[str, ...]:
    """``name`` in one and in many."""
    many = [f"{name}s", f"{name}es"]
    if name.endswith("y"):
        many.append(f"{name[:-1]}ies")
    if name.endswith("us"):
        many.append(f"{name[:-2]}i")
    return (*many, name)


_FILE = "vocabulary.json"
_LIST = re.compile(r"__[\w-]+?__")
"""A word to be picked from a list."""

_PLAIN_WORDS = """
    a an the this that these those some any one two three four five six seven eight nine ten pair couple group single
    and or with without of in on at by to from for as near beside next behind before between under over above below
    beneath left right side top bottom middle centre center corner upper lower against front inside up down
    is are be it its there has have than
    large larger largest big bigger huge giant small smaller smallest little tiny
    picture pictures image illustration drawing drawn draw paint painting photo icon logo art style styled design render
    rendered rendering vector graphic emoji
    background backgrounds backdrop wall plain solid bright simple clean flat minimal colour coloured color colored gray
    cute nice beautiful pretty lovely please very high quality detailed best masterpiece
    """
"""Of no object: articles, numbers, places, sizes, and what prompts say of pictures as such."""

_PLAIN = frozenset(_PLAIN_WORDS.split())

_KIN: dict[str, tuple[str, ...]] = {
    kin: tuple(objects.split(", "))
    for objects, words in {
        "rocket": "spaceship spacecraft shuttle missile astronaut satellite ufo airplane plane jet aircraft helicopter",
        "car, fire truck": "truck van bus taxi vehicle motorcycle motorbike bike bicycle lorry train tractor ambulance",
        "house": "home building castle hut cottage villa tower church barn palace cabin village city town skyscraper",
        "dog, fox, cat": "wolf hound husky poodle terrier coyote jackal pet",
        "cat, lion": "tiger leopard cheetah panther kitty lynx jaguar puma",
        "panda, koala": "bear teddy polar grizzly",
        "rabbit, fox": "hare squirrel hamster mouse rat hedgehog beaver raccoon deer",
        "pig, dog": "cow horse sheep goat donkey pony bull lamb elephant giraffe zebra camel",
        "monkey, koala": "gorilla ape chimpanzee orangutan sloth",
        "penguin, owl, flamingo": "bird duck chicken eagle parrot swan goose pigeon robin hen raven crow sparrow",
        "frog, turtle, dinosaur": "dragon lizard snake crocodile alligator toad gecko reptile tortoise",
        "octopus, turtle": "fish shark whale dolphin squid crab jellyfish lobster seal",
        "butterfly, bee": "insect ladybug moth dragonfly wasp fly beetle ant spider bug",
        "rose, sunflower, tulip": "flower blossom bloom daisy lily orchid poppy plant bouquet",
        "pine tree, cactus": "tree forest wood palm bush oak leaf jungle",
        "apple, strawberry, banana": "fruit pear peach cherry cherries plum mango kiwi berry raspberry blueberry",
        "lemon, apple": "lime citrus grapefruit",
        "carrot, eggplant, pumpkin": "vegetable tomato potato broccoli cucumber corn pepper onion",
        "burger, pizza": "sandwich taco hotdog fries food meal sushi noodles pasta bread",
        "cupcake, donut": "cake pie cookie muffin dessert candy chocolate icecream sweet pastry biscuit",
        "soccer ball, basketball": "ball baseball tennis volleyball rugby",
        "trophy, crown": "medal award cup prize king queen prince princess",
        "moon, sun, star": "planet earth mars sky galaxy space comet",
        "cloud, rainbow": "rain storm snow weather lightning",
        "fire, sun": "campfire candle torch lava volcano explosion",
        "key, lock": "door padlock safe chest",
        "gift, heart": "parcel box love valentine",
        "ghost, pumpkin": "monster zombie witch skeleton vampire halloween",
    }.items()
    for kin in words.split()
}
"""Common words -> objects of the starter's world that mean something like it."""
