"""Which tokens of one prompt stand for which of another, and how much each is stressed. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.drawing.prompts import parse_emphasis
from studio.errors import StudioError


@dataclass(frozen=True)
class Word:
    """Some letters, digits or marks of a prompt, and the places [start, end) of its tokens in the encoder's window."""

    text: str
    start: int
    end: int
    weight: float


@dataclass(frozen=True)
class Alignment:
    """From the tokens of a source prompt to those of another, in a window of n."""

    words: tuple[Word, ...]
    """Of the other prompt."""
    mapping: NDArray[np.float32]
    """[n source, n other]: how much of a source token's attention goes to another token."""
    taken: NDArray[np.float32]
    """[n]: 1 where a token has the attention of the source, 0 where it is new and keeps its own."""
    weights: NDArray[np.float32]
    """[n]: factor of each token's attention."""


def split(tokenizer: Any, prompt: str, field: str = "prompt") -> tuple[Word, ...]:
    """``prompt``, its emphasis read, as words by a CLIP tokenizer.

    Raises `StudioError` (``field``) for one longer than the tokenizer's window.
    """
    parts = parse_emphasis(prompt)
    text = "".join(part.text for part in parts)
    weights = [part.weight for part in parts for _ in part.text]
    found = tokenizer(text, return_offsets_mapping=True, truncation=False, verbose=False)
    if len(found.input_ids) > tokenizer.model_max_length:
        raise StudioError(
            f"The prompt is longer than the {tokenizer.model_max_length} tokens this model reads at once; shorten it.",
            field=field,
        )
    tokens = tokenizer.convert_ids_to_tokens(found.input_ids)
    words: list[Word] = []
    first = 1
    for place in range(1, len(tokens) - 1):  # without the marks of start and end
        if tokens[place].endswith("</w>") or place == len(tokens) - 2:
            begin, end = found.offset_mapping[first][0], found.offset_mapping[place][1]
            words.append(Word(text[begin:end].strip(), first, place + 1, weights[begin] if weights else 1.0))
            first = place + 1
    return tuple(words)


def align(source: Sequence[Word], other: Sequence[Word], window: int) -> Alignment:
    """Words that stayed keep their tokens' attention, words that were swapped take that of those they replace, in
    order where they are as many and evenly else; words that are new keep their own (Hertz et al. 2022)."""
    mapping = np.zeros((window, window), np.float32)
    taken, weights = np.zeros(window, np.float32), np.ones(window, np.float32)
    matcher = SequenceMatcher(None, [w.text.lower() for w in source], [w.text.lower() for w in other], autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind in ("insert", "delete"):
            continue
        if b - a == d - c:
            pairs = [
                ((was.start, was.end), (now.start, now.end)) for was, now in zip(source[a:b], other[c:d], strict=True)
            ]
        else:
            pairs = [((source[a].start, source[b - 1].end), (other[c].start, other[d - 1].end))]
        for (start, end), (to, till) in pairs:
            same = end - start == till - to
            mapping[start:end, to:till] = np.eye(end - start) if same else 1 / (till - to)
            taken[to:till] = 1
    mapping[0, 0] = 1
    ends = [words[-1].end if words else 1 for words in (source, other)]
    for place in range(ends[1], window):  # the end, and what fills the window
        mapping[min(ends[0] + place - ends[1], window - 1), place] = 1
    taken[0] = 1
    taken[ends[1] :] = 1
    for word in other:
        weights[word.start : word.end] = word.weight
    return Alignment(tuple(other), mapping, taken, weights)
