"""Prompt language: emphasis, wildcards, saved styles, over compel and dynamicprompts. No torch at import.

Plain text is not syntax: marks are read only where they are well formed, and only for families whose text encoders
take them (feature "prompt-weights"). Language models get the prompt as it is written; they read brackets and JSON
themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from studio.errors import StudioError
from studio.models.families import Family

STRESS = 1.1
"""Factor of one pair of brackets: (word) multiplies by it, [word] divides, as in the A1111 web UI."""

MAX_WEIGHT = 10.0
MAX_PROMPT = 2000

_TOKEN = re.compile(r"\\[()\[\]\\]|:\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*\)|[()\[\]]|[^\\()\[\]:]+|.", re.DOTALL)
_RATIO = re.compile(r":\s*\d+\s*\)")
"""After a digit this is a time, a ratio or a score: (10:30), (at 16:9)."""

_FOREIGN = (
    (re.compile(r"<(?:lora|lyco|hypernet):[^<>]{1,200}>", re.I), "adapters cannot be added in the prompt"),
    (re.compile(r"\[[^\[\]:|]*(?::[^\[\]:|]*)?:\s*\d*\.?\d+\s*\]"), "words do not change between steps"),
    (re.compile(r"\[[^\[\]|]+(?:\|[^\[\]|]+)+\]"), "words do not alternate between steps"),
    (re.compile(r"(?<!\w)(?:BREAK|AND)(?!\w)"), "prompts are not joined or split by it"),
)
"""What means something to the A1111 web UI and nothing here, and why."""


@dataclass(frozen=True)
class Fragment:
    """A run of text with one weight."""

    text: str
    weight: float = 1.0


def parse_emphasis(prompt: str) -> tuple[Fragment, ...]:
    r"""Split ``prompt`` at its emphasis: ``(word:1.2)``, ``(word)``, ``[word]``, nested; ``\(`` is a plain bracket.

    A bracket without a partner is text, so that a smiley is no error; so are a time or ratio in brackets, and what
    would mean something else to the A1111 web UI. Raises `StudioError` for weights beyond 10.
    """
    for pattern, _ in _FOREIGN[1:3]:
        prompt = pattern.sub(lambda found: f"\\[{found[0][1:-1]}\\]", prompt)
    parts: list[tuple[str, float]] = []
    opened: list[tuple[str, int]] = []

    def close(bracket: str, factor: float) -> bool:
        at = next((i for i in range(len(opened) - 1, -1, -1) if opened[i][0] == bracket), -1)
        if at < 0:
            return False
        start = opened[at][1]
        del opened[at:]
        parts[start] = ("", 1.0)
        parts[start:] = [(text, weight * factor) for text, weight in parts[start:]]
        return True

    for token in _TOKEN.findall(prompt):
        if len(token) > 1 and token[0] == "\\":
            parts.append((token[1], 1.0))
        elif token in ("(", "["):
            opened.append((token, len(parts)))
            parts.append((token, 1.0))
        elif len(token) > 1 and token[0] == ":" and token[-1] == ")":
            factor = float(token[1:-1])
            at = next((i for i in range(len(opened) - 1, -1, -1) if opened[i][0] == "("), -1)
            if _RATIO.fullmatch(token) and parts and parts[-1][0][-1:].isdigit():
                if at >= 0:
                    del opened[at:]
                parts.append((token, 1.0))
                continue
            if any(bracket == "(" for bracket, _ in opened) and not 0 <= factor <= MAX_WEIGHT:
                raise StudioError(
                    f"The weight {factor:g} in the prompt is out of range; use 0 to 10, or \\( for a plain bracket.",
                    field="prompt",
                )
            if not close("(", factor):
                parts.append((token, 1.0))
        elif (token == ")" and close("(", STRESS)) or (token == "]" and close("[", 1 / STRESS)):
            pass
        else:
            parts.append((token, 1.0))

    merged: list[Fragment] = []
    for text, weight in parts:
        if merged and merged[-1].weight == weight:
            merged[-1] = Fragment(merged[-1].text + text, weight)
        elif text:
            merged.append(Fragment(text, weight))
    return tuple(merged)


def plain_text(prompt: str) -> str:
    """``prompt`` without its emphasis marks; as it is where they are out of range."""
    try:
        return "".join(fragment.text for fragment in parse_emphasis(prompt))
    except StudioError:
        return prompt


def foreign(prompt: str) -> tuple[str, ...]:
    """A note for each piece of another tool's prompt language, which is read as plain words here."""
    return tuple(
        f"'{found[0][:60]}' was read as plain words: {why} here."
        for pattern, why in _FOREIGN
        if (found := pattern.search(prompt))
    )


# -- wildcards --

_ESCAPED = {"\\{": "\ue000", "\\}": "\ue001", "#": "\ue002", "%": "\ue003"}
_DOLLAR, _LINE = "\ue004", "\ue005"
_WILDCARD = re.compile(r"(?<![^\W_])__(?![\s_])((?:(?!__)[^\n{}|])+?)(?<!\s)__(?![^\W_])")


def has_choices(prompt: str, *, braces: bool = True) -> bool:
    """Whether ``prompt`` holds ``__file__``, or ``{a|b}`` where ``braces`` are read."""
    return bool(_WILDCARD.search(prompt)) or (braces and "|" in prompt and "{" in prompt)


def resolve_choices(
    prompt: str, seed: int, wildcard: Callable[[str], list[str]], *, braces: bool = True, field: str = "prompt"
) -> str:
    """``prompt`` with every ``{a|b}``, ``{2$$x|y}`` and ``__file__`` replaced by a pick that ``seed`` alone decides.

    ``wildcard(name)`` gives the lines of a file, [] when there is none. ``braces``: the family takes prompt marks;
    without it braces are text, and so is a name that no file has. Braces without a ``|`` of their own and JSON are
    always text. Raises `StudioError` for an unknown file, a choice that is not closed, files that include themselves,
    and results beyond 2,000 characters.
    """
    if not has_choices(prompt, braces=braces):
        return prompt
    import pyparsing
    from dynamicprompts.generators import RandomPromptGenerator
    from dynamicprompts.wildcards import WildcardManager

    files: dict[str, list[str]] = {}
    texts: dict[str, list[str]] = {}
    waiting = [(prompt, braces)]
    while waiting:
        text, known = waiting.pop()
        for name in _WILDCARD.findall(text):
            if name in texts:
                continue
            lines = [line.strip() for line in wildcard(name)]
            lines = [line for line in lines if line and not line.startswith("#")]
            if not lines and known:
                raise StudioError(
                    f"There is no wildcard file '{name[:64]}'; save one by that name or take it out of the prompt.",
                    field=field,
                )
            if lines:
                texts[name] = lines
                waiting += [(line, True) for line in lines]
    files = {name: [_shield(line, texts, True, field) for line in lines] for name, lines in texts.items()}
    uses = {name: {used for line in lines for used in _WILDCARD.findall(line)} for name, lines in texts.items()}
    try:
        TopologicalSorter(uses).prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise StudioError(f"Wildcard files include each other in a circle ({circle}); break it.", field=field) from None
    roots: dict[str, list[Any]] = {"": [files]}
    manager = WildcardManager(root_map=roots)
    try:
        picked = RandomPromptGenerator(manager, seed=seed).generate(_shield(prompt, texts, braces, field), 1)[0]
    except (pyparsing.ParseBaseException, ValueError):
        raise StudioError(
            "The choices in the prompt cannot be read; write {a|b}, {2$$a|b|c} or __file__.", field=field
        ) from None
    except RecursionError:
        raise StudioError("The choices are nested too deeply; write them flatter.", field=field) from None
    for plain, mark in _ESCAPED.items():
        picked = picked.replace(mark, plain[-1])
    picked = picked.replace(_DOLLAR, "$").replace(_LINE, "_").strip()
    if len(picked) > MAX_PROMPT:
        raise StudioError(
            f"The prompt grows beyond {MAX_PROMPT} characters through its choices; shorten them.", field=field
        )
    return picked


def _shield(text: str, files: Collection[str], braces: bool, field: str) -> str:
    """Hide from dynamicprompts what it would take for comments, variables and wraps (a prompt may say 100 %), and all
    braces and underscores that are text."""
    if braces:
        for plain, mark in _ESCAPED.items():
            text = text.replace(plain, mark)
    else:
        text = text.replace("#", _ESCAPED["#"]).replace("%", _ESCAPED["%"])
    text = re.sub(r"(?<!\$)\$(?!\$)", _DOLLAR, text)
    chosen = _choices(text, field) if braces else set()
    marks = {"{": _ESCAPED["\\{"], "}": _ESCAPED["\\}"]}
    text = "".join(char if index in chosen else marks.get(char, char) for index, char in enumerate(text))
    shielded, end = [], 0
    for found in _WILDCARD.finditer(text):
        if found[1] in files:
            shielded += [text[end : found.start()].replace("__", _LINE * 2), found[0]]
            end = found.end()
    return "".join(shielded) + text[end:].replace("__", _LINE * 2)


def _choices(text: str, field: str) -> set[int]:
    """Places of the braces that enclose a choice: a pair with a ``|`` or ``$$`` of its own, and no JSON."""
    found: set[int] = set()
    opened: list[tuple[int, bool]] = []
    for index, char in enumerate(text):
        if char == "{":
            opened.append((index, False))
        elif opened and (char == "|" or text.startswith("$$", index)):
            opened[-1] = opened[-1][0], True
        elif char == "}" and opened:
            start, choice = opened.pop()
            if choice and not re.match(r"\s*\"[^\"]*\"\s*:", text[start + 1 : index]):
                found |= {start, index}
    if any(choice for _, choice in opened):
        raise StudioError("The braces in the prompt do not match; write {a|b}, or \\{ for a plain brace.", field=field)
    return found


# -- saved styles --


def apply_styles(prompt: str, negative_prompt: str, styles: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Merge saved styles, each ``(prompt, negative)``, into both prompts.

    ``{prompt}`` inside a style stands for the text so far; a style without it is appended after a comma. A style whose
    words stand in the text already is not added again: settings of older pictures hold prompts with styles merged in.
    """

    def merge(text: str, style: str) -> str:
        style = style.strip()
        own = [part.strip() for part in style.split("{prompt}") if part.strip()]
        if text and own and all(part in text for part in own):
            return text
        if "{prompt}" in style:
            return style.replace("{prompt}", text)
        return ", ".join(part for part in (text, style) if part)

    for positive, negative in styles:
        prompt, negative_prompt = merge(prompt, positive), merge(negative_prompt, negative)
    return prompt, negative_prompt


# -- from text to what a pipeline takes --


@dataclass(frozen=True)
class Conditioning:
    """Arguments of a pipeline call for one picture: texts, or embeddings of shape (1, tokens, width)."""

    arguments: dict[str, Any]
    notes: tuple[str, ...] = ()
    key: tuple[Any, ...] = field(default=())
    """Pictures with equal keys fit into one batch without changing each other."""


def merge(items: Sequence[Conditioning]) -> dict[str, Any]:
    """Arguments for one call that draws all ``items``, which must have equal keys."""
    import torch

    first = items[0].arguments
    merged: dict[str, Any] = {}
    for name, value in first.items():
        values = [item.arguments[name] for item in items]
        if isinstance(value, torch.Tensor):
            merged[name] = torch.cat(values)
        else:
            merged[name] = None if value is None else values
    return merged


def check_prompt(
    prompt: str, family: Family, wildcard: Callable[[str], list[str]], *, seed: int = 0, field: str = "prompt"
) -> tuple[str, ...]:
    """Read ``prompt`` as drawing will, without a model: notes on what means nothing here.

    Raises `StudioError` with ``field`` for choices that cannot be made and weights out of range.
    """
    marks = family.supports("prompt-weights")
    text = resolve_choices(prompt, seed, wildcard, braces=marks, field=field)
    if not marks:
        return ()
    try:
        parse_emphasis(text)
    except StudioError as error:
        raise StudioError(error.message, field=field) from None
    return foreign(text)


def encode(pipe: Any, prompt: str, negative_prompt: str, *, weights: bool, negative: bool) -> Conditioning:
    """What ``pipe`` needs to draw ``prompt``.

    ``weights``: the text encoders are CLIP and understand emphasis. ``negative``: the pipeline takes a negative prompt.
    Text without emphasis that fits the encoder's window goes through the pipeline's own encoding, so that the
    picture equals that of plain diffusers; anything else is encoded by compel, in chunks where it is long.
    """
    notes: list[str] = []
    if negative_prompt and not negative:
        notes.append("This model takes no negative prompt; it was left out.")
        negative_prompt = ""
    if not weights:
        if found := _WEIGHT.search(prompt):
            notes.append(f"This model takes no weights: '{found[0][:60]}' was given to it as it is written.")
        if found := _CHOICE.search(prompt):
            notes.append(f"This model reads braces as they are written; nothing was picked from '{found[0][:60]}'.")
        notes += _cut(pipe, prompt)
        return _plain([prompt, negative_prompt], negative, notes)
    notes += [*foreign(prompt), *foreign(negative_prompt)]
    texts = (parse_emphasis(prompt), parse_emphasis(negative_prompt))
    plain = ["".join(fragment.text for fragment in text) for text in texts]
    weighted = any(fragment.weight != 1 for text in texts for fragment in text)
    names = [name for name in ("tokenizer", "tokenizer_2") if getattr(pipe, name, None) is not None]
    windows = [getattr(pipe, name).model_max_length for name in names]
    counts = [
        [len(getattr(pipe, name)(text, truncation=False, verbose=False).input_ids) for name in names] for text in plain
    ]
    long = any(count > window for row in counts for count, window in zip(row, windows, strict=True))
    if not weighted and not long:
        return _plain(plain, negative, notes)
    if long:
        notes.append(
            f"The prompt is longer than the {min(windows)} tokens this model reads at once, so it was read in parts."
        )
    return _weighted(pipe, texts, plain, negative, notes)


_WEIGHT = re.compile(r"\([^()]*[^()\d\s]\s*:\s*\d+(?:\.\d+)?\s*\)")
_CHOICE = re.compile(r"\{[^{}\":]*\|[^{}\"]*\}")


def _plain(plain: list[str], negative: bool, notes: list[str]) -> Conditioning:
    arguments: dict[str, Any] = {"prompt": plain[0]}
    if negative:
        # None, not "": SDXL zeroes the embedding of a missing negative prompt, as plain diffusers would.
        arguments["negative_prompt"] = plain[1] or None
    return Conditioning(arguments, tuple(notes), ("text", negative and bool(plain[1])))


def _cut(pipe: Any, text: str) -> list[str]:
    """A note with what a language-model encoder cuts off: klein and Z-Image read 512 tokens with their chat frame."""
    tokenizer, window, frame = pipe.tokenizer, 512, 24
    ids = tokenizer(text).input_ids
    if len(ids) <= window - frame:
        return []
    lost = tokenizer.decode(ids[window - frame :])
    return [f"The prompt is longer than this model reads ({window} tokens); this part was cut: {lost.strip()[:300]}"]


def _weighted(
    pipe: Any, texts: Sequence[tuple[Fragment, ...]], plain: list[str], negative: bool, notes: list[str]
) -> Conditioning:
    import torch
    from compel import Compel, ReturnedEmbeddingsType
    from compel.prompt_parser import Conjunction, FlattenedPrompt
    from compel.prompt_parser import Fragment as Piece

    double = getattr(pipe, "tokenizer_2", None) is not None
    kind = (
        ReturnedEmbeddingsType.PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED
        if double
        else ReturnedEmbeddingsType.LAST_HIDDEN_STATES_NORMALIZED
    )
    towers = [("tokenizer", "text_encoder")] + ([("tokenizer_2", "text_encoder_2")] if double else [])
    device = pipe._execution_device
    sides: list[list[torch.Tensor]] = [[], []]
    pooled: list[Any] = []
    with torch.no_grad():
        for tokenizer, encoder in towers:
            model = getattr(pipe, encoder)
            compel = Compel(
                tokenizer=getattr(pipe, tokenizer),
                text_encoder=model,
                returned_embeddings_type=kind,
                truncate_long_prompts=False,
                dtype_for_device_getter=lambda _device, dtype=model.dtype: dtype,
                device=str(device),
            )
            embeds = []
            for text in texts:
                # Fragments are handed over as they are: compel's own marks (+, -, .and()) mean nothing to our users.
                pieces = [Piece(part.text, part.weight) for part in text] or [Piece("")]
                flat = Conjunction([FlattenedPrompt(pieces)])
                embeds.append(compel.build_conditioning_tensor_for_conjunction(flat)[0])
            for side, tensor in zip(sides, compel.pad_conditioning_tensors_to_same_length(embeds), strict=True):
                side.append(tensor if tensor.dim() == 3 else tensor.unsqueeze(0))
            if encoder == "text_encoder_2":
                pooled = [compel.conditioning_provider.get_pooled_embeddings([text], device=device) for text in plain]
        length = max(tensor.shape[1] for side in sides for tensor in side)
        if any(tensor.shape[1] != length for side in sides for tensor in side):
            raise StudioError(
                "Both text encoders read this prompt in a different number of parts; shorten it.", field="prompt"
            )
        positive, opposite = (torch.cat(side, dim=-1) for side in sides)
        if double and not plain[1] and pipe.config.get("force_zeros_for_empty_prompt"):
            opposite, pooled[1] = torch.zeros_like(opposite), torch.zeros_like(pooled[1])
    arguments: dict[str, Any] = {"prompt_embeds": positive}
    if negative:
        arguments["negative_prompt_embeds"] = opposite
    if double:
        arguments["pooled_prompt_embeds"] = pooled[0]
        if negative:
            arguments["negative_pooled_prompt_embeds"] = pooled[1]
    return Conditioning(arguments, tuple(notes), ("embeds", positive.shape[1]))
