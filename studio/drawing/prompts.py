"""Prompt language: emphasis, wildcards, saved styles, over compel and dynamicprompts. No torch at import."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from studio.errors import StudioError

STRESS = 1.1
"""Factor of one pair of brackets: (word) multiplies by it, [word] divides, as in the A1111 web UI."""

MAX_WEIGHT = 10.0
MAX_PROMPT = 2000

_TOKEN = re.compile(r"\\[()\[\]\\]|:\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*\)|[()\[\]]|[^\\()\[\]:]+|.", re.DOTALL)


@dataclass(frozen=True)
class Fragment:
    """A run of text with one weight."""

    text: str
    weight: float = 1.0


def parse_emphasis(prompt: str) -> tuple[Fragment, ...]:
    r"""Split ``prompt`` at its emphasis: ``(word:1.2)``, ``(word)``, ``[word]``, nested; ``\(`` is a plain bracket.

    A bracket without a partner is text, so that a smiley is no error. Raises `StudioError` for weights beyond 10.
    """
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
            if any(bracket == "(" for bracket, _ in opened) and not 0 <= factor <= MAX_WEIGHT:
                raise StudioError(f"The weight {factor:g} in the prompt is out of range; use 0 to 10.", field="prompt")
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
    """``prompt`` without its emphasis marks."""
    return "".join(fragment.text for fragment in parse_emphasis(prompt))


# -- wildcards --

_ESCAPED = {"\\{": "\ue000", "\\}": "\ue001", "#": "\ue002", "%": "\ue003"}
_DOLLAR = "\ue004"
_WILDCARD = re.compile(r"__([^_\s](?:[^\n]*?[^_\s])?)__")


def has_choices(prompt: str) -> bool:
    """Whether ``prompt`` holds ``{a|b}`` or ``__file__``."""
    return "{" in prompt or "}" in prompt or bool(_WILDCARD.search(prompt))


def resolve_choices(prompt: str, seed: int, wildcard: Callable[[str], list[str]]) -> str:
    """``prompt`` with every ``{a|b}``, ``{2$$x|y}`` and ``__file__`` replaced by a pick that ``seed`` alone decides.

    ``wildcard(name)`` gives the lines of a file, [] when there is none. Raises `StudioError` for an unknown file,
    braces that do not match, files that include themselves, and results beyond 2,000 characters.
    """
    if not has_choices(prompt):
        return prompt
    import pyparsing
    from dynamicprompts.generators import RandomPromptGenerator
    from dynamicprompts.wildcards import WildcardManager

    depth = 0
    for char in re.sub(r"\\[{}]", "", prompt):
        depth += {"{": 1, "}": -1}.get(char, 0)
        if depth < 0:
            break
    if depth:
        raise StudioError(
            "The braces in the prompt do not match; write {a|b}, or \\{ for a plain brace.", field="prompt"
        )

    files: dict[str, list[str]] = {}
    waiting = [prompt]
    while waiting:
        for name in _WILDCARD.findall(waiting.pop()):
            if name in files:
                continue
            lines = [line.strip() for line in wildcard(name)]
            lines = [line for line in lines if line and not line.startswith("#")]
            if not lines:
                raise StudioError(
                    f"There is no wildcard file '{name[:64]}'; save one by that name or take it out of the prompt.",
                    field="prompt",
                )
            files[name] = [_shield(line) for line in lines]
            waiting += lines
    uses = {name: {used for line in lines for used in _WILDCARD.findall(line)} for name, lines in files.items()}
    try:
        TopologicalSorter(uses).prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise StudioError(
            f"Wildcard files include each other in a circle ({circle}); break it.", field="prompt"
        ) from None
    roots: dict[str, list[Any]] = {"": [files]}
    manager = WildcardManager(root_map=roots)
    try:
        picked = RandomPromptGenerator(manager, seed=seed).generate(_shield(prompt), 1)[0]
    except (pyparsing.ParseBaseException, ValueError):
        raise StudioError(
            "The choices in the prompt cannot be read; write {a|b}, {2$$a|b|c} or __file__.", field="prompt"
        ) from None
    except RecursionError:
        raise StudioError("The choices are nested too deeply; write them flatter.", field="prompt") from None
    for plain, mark in _ESCAPED.items():
        picked = picked.replace(mark, plain[-1])
    picked = picked.replace(_DOLLAR, "$").strip()
    if len(picked) > MAX_PROMPT:
        raise StudioError(
            f"The prompt grows beyond {MAX_PROMPT} characters through its choices; shorten them.", field="prompt"
        )
    return picked


def _shield(text: str) -> str:
    """Hide from dynamicprompts what it would take for comments, variables and wraps: a prompt may say 100 %."""
    for plain, mark in _ESCAPED.items():
        text = text.replace(plain, mark)
    return re.sub(r"(?<!\$)\$(?!\$)", _DOLLAR, text)


# -- saved styles --


def apply_styles(prompt: str, negative_prompt: str, styles: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Merge saved styles, each ``(prompt, negative)``, into both prompts.

    ``{prompt}`` inside a style stands for the text so far; a style without it is appended after a comma.
    """

    def merge(text: str, style: str) -> str:
        style = style.strip()
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
    texts = (parse_emphasis(prompt), parse_emphasis(negative_prompt))
    plain = ["".join(fragment.text for fragment in text) for text in texts]
    weighted = any(fragment.weight != 1 for text in texts for fragment in text)
    if not weights:
        if weighted:
            notes.append("This model ignores emphasis; the words were used without their weights.")
        notes += _cut(pipe, plain[0])
        return _plain(plain, negative, notes)
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
