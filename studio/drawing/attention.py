"""Attention of a UNet, steered and seen: Prompt-to-Prompt (Hertz et al. 2022, "Prompt-to-Prompt Image Editing with
Cross-Attention Control").

Two pictures are drawn in one batch, the new one first and the source after it. For a share of the steps the new one
looks where the source looks: across to the words, and within itself. On the way is kept where it looked for each word.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from studio.drawing.alignment import Alignment, Word, align, split
from studio.drawing.neighbours import start_of, starting
from studio.drawing.prompts import encode, plain_text

if TYPE_CHECKING:
    import torch

    from studio.drawing.made import Drawn
    from studio.drawing.plan import Picture

COARSE = 32 * 32
"""Places up to which a layer's self-attention is taken over: coarse ones hold the layout, fine ones the details. As in
the authors' code."""
MAP_SIDE = 32
MAP_LEVELS = 16
"""Of a word's map, which a picture's parameters carry."""


class Control:
    """What one pair of pictures does to the attention of a UNet, and what it sees there."""

    def __init__(self, pipe: Any, alignment: Alignment, *, cross_share: float, self_share: float) -> None:
        """Shares are of the steps, 0..1, from the first on."""
        import torch

        self._pipe = pipe
        self._cross_share, self._self_share = cross_share, self_share
        self._calls = 0
        self.alignment = alignment
        self._tensors = {
            name: torch.from_numpy(getattr(alignment, name)).to(pipe.unet.device)
            for name in ("mapping", "taken", "weights")
        }
        self._seen = torch.zeros(len(alignment.words), MAP_SIDE, MAP_SIDE)
        self._looks = 0

    def step(self) -> None:
        """The UNet is called once more."""
        self._calls += 1

    def _within(self, share: float) -> bool:
        return self._calls <= round(share * self._pipe.num_timesteps)

    def inside(self, query: torch.Tensor, key: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries and keys [rows, places, d] of self-attention; with both of the source its map is the source's."""
        if query.shape[1] > COARSE or not self._within(self._self_share):
            return query, key
        new, source = _pair(query)
        query, key = query.clone(), key.clone()
        query[new], key[new] = query[source], key[source]
        return query, key

    def across(self, shares: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
        """Attention [rows, heads, places, tokens] from a picture of ``shape`` latents to its words."""
        new, source = _pair(shares)
        mapping, taken, weights = (self._tensors[name].to(shares.dtype) for name in ("mapping", "taken", "weights"))
        own = shares[new]
        if self._within(self._cross_share):
            own = (shares[source] @ mapping) * taken + own * (1 - taken)
        self._look(own, shape)
        shares = shares.clone()
        shares[new] = own * weights
        return shares

    def _look(self, shares: torch.Tensor, shape: tuple[int, int]) -> None:
        """Add one layer's attention [heads, places, tokens] to the maps of the words."""
        import torch

        height, width = shape
        while height * width > shares.shape[1] and height * width > 1:
            height, width = -(-height // 2), -(-width // 2)
        if not self.alignment.words or height * width != shares.shape[1]:
            return
        mean = shares.float().mean(0)
        layer = torch.stack([mean[:, word.start : word.end].sum(1) for word in self.alignment.words])
        layer = layer.unflatten(1, (height, width)).unsqueeze(0)
        mode = "area" if min(height, width) > MAP_SIDE else "bilinear"
        self._seen += torch.nn.functional.interpolate(layer, size=(MAP_SIDE, MAP_SIDE), mode=mode)[0].cpu()
        self._looks += 1

    def maps(self) -> dict[str, str]:
        """Where each word was looked for, mean of steps, layers and heads: a grey PNG of 32 x 32 as a data URI, from
        the least (0) to the most (255). A word that comes again has its number behind it."""
        found: dict[str, str] = {}
        for word, seen in zip(self.alignment.words, self._seen / max(self._looks, 1), strict=True):
            if not any(letter.isalnum() for letter in word.text):
                continue
            name, number = word.text, 2
            while name in found:
                name, number = f"{word.text} ({number})", number + 1
            found[name] = _as_png(seen)
        return found


def _pair(rows: torch.Tensor) -> tuple[int, int]:
    """Places of (new, source) among the rows of a batch, behind those of the negative prompt where there are some."""
    return rows.shape[0] - 2, rows.shape[0] - 1


def _as_png(seen: torch.Tensor) -> str:
    from PIL import Image

    low, high = float(seen.min()), float(seen.max())
    steps = ((seen - low) / max(high - low, 1e-9) * (MAP_LEVELS - 1)).round()
    image = Image.fromarray((steps * (255 // (MAP_LEVELS - 1))).byte().numpy())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


class _Processor:
    """Attention of one layer as diffusers computes it, with a `Control` in between."""

    def __init__(self, control: Control, shape: tuple[int, int], *, across: bool) -> None:
        self._control, self._shape, self._across = control, shape, across

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        *_: Any,
        **__: Any,
    ) -> torch.Tensor:
        import torch

        words = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = attn.to_q(hidden_states), attn.to_k(words), attn.to_v(words)
        rows = hidden_states.shape[0]
        if self._across:
            query, key, value = (attn.head_to_batch_dim(each) for each in (query, key, value))
            shares = attn.get_attention_scores(query, key, attention_mask).unflatten(0, (rows, attn.heads))
            shares = self._control.across(shares, self._shape)
            out = attn.batch_to_head_dim(torch.bmm(shares.flatten(0, 1), value))
        else:
            query, key = self._control.inside(query, key)
            query, key, value = (each.unflatten(2, (attn.heads, -1)).transpose(1, 2) for each in (query, key, value))
            out = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask)
            out = out.transpose(1, 2).flatten(2)
        out = attn.to_out[1](attn.to_out[0](out))
        if attn.residual_connection:
            out = out + hidden_states
        return out / attn.rescale_output_factor


@contextmanager
def controlled(unet: Any, control: Control, shape: tuple[int, int]) -> Iterator[None]:
    """Within this every attention of ``unet`` to itself and to words goes through ``control``; after it through what
    it went through before, the very same objects. ``shape``: height and width of the latents."""
    before = dict(unet.attn_processors)
    ours = {
        name: _Processor(control, shape, across=".attn2." in name)
        for name in before
        if ".attn1." in name or ".attn2." in name
    }
    counter = unet.register_forward_pre_hook(lambda *_: control.step())
    try:
        unet.set_attn_processor({**before, **ours})
        yield
    finally:
        counter.remove()
        unet.set_attn_processor(dict(before))  # the call empties what it is given


class PromptToPrompt:
    """One redrawing of ``source`` with other words; the hooks of a `studio.drawing.plan.Plan`."""

    def __init__(
        self, source: Drawn, *, cross_share: float, self_share: float, negative: bool, pixel_scale: int
    ) -> None:
        """``negative``: the family takes a negative prompt."""
        self._source, self._negative = source, negative
        self._shares = {"cross_share": cross_share, "self_share": self_share}
        self._size = source.height // pixel_scale, source.width // pixel_scale
        self._words: tuple[Word, ...] = ()
        self._control: Control | None = None

    def inputs(self, pipe: Any, pictures: Sequence[Picture]) -> Mapping[str, Any]:
        """Embeddings of both prompts instead of one: that of the source as it was drawn, weights and all. Weights of
        the new one stress the attention to a word instead."""
        import torch

        [picture] = pictures
        for text, field in ((self._source.prompt, "picture"), (self._source.negative_prompt, "picture")):
            split(pipe.tokenizer, text, field)
        self._words = split(pipe.tokenizer, picture.prompt)
        both = [
            _embedded(pipe, text, self._source.negative_prompt, self._negative)
            for text in (_unweighted(picture.prompt), self._source.prompt)
        ]
        rows = {name: torch.cat([each[name] for each in both]) for name in both[0]}
        return {"prompt": None, "negative_prompt": None, **rows}

    @contextmanager
    def around(self, pipe: Any) -> Iterator[None]:
        alignment = align(split(pipe.tokenizer, self._source.prompt), self._words, pipe.tokenizer.model_max_length)
        self._control = Control(pipe, alignment, **self._shares)
        height, width = (side // pipe.vae_scale_factor for side in self._size)
        with starting(pipe, self._start), controlled(pipe.unet, self._control, (height, width)):
            yield

    def _start(self, draw: Any, generators: list[torch.Generator]) -> torch.Tensor:
        """Both from the noise of the source; samplers that add noise go on with the same for both."""
        import torch

        start = start_of(self._source.noise, draw, generators)
        generators.append(generators[0].clone_state())
        return torch.cat([start, start])

    def maps(self) -> dict[str, str]:
        return self._control.maps() if self._control else {}


def _unweighted(prompt: str) -> str:
    """``prompt`` without emphasis, so that reading it again finds none."""
    text = plain_text(prompt)
    for bracket in "()[]":
        text = text.replace(bracket, f"\\{bracket}")
    return text


def _embedded(pipe: Any, prompt: str, negative_prompt: str, negative: bool) -> dict[str, torch.Tensor]:
    """What ``pipe`` is given for one picture, as embeddings."""
    arguments = encode(pipe, prompt, negative_prompt, weights=True, negative=negative).arguments
    if "prompt_embeds" in arguments:
        return arguments
    names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    made = pipe.encode_prompt(
        prompt=arguments["prompt"],
        device=pipe._execution_device,
        num_images_per_prompt=1,
        do_classifier_free_guidance=negative,
        negative_prompt=arguments.get("negative_prompt"),
    )
    return {name: each for name, each in zip(names, made, strict=False) if each is not None}
