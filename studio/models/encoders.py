"""CLIP and SigLIP: pictures and texts in one space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL.Image import Image

from studio.models.reader import Reader

Vectors = NDArray[np.float32]


class DualEncoder(Reader):
    """CLIP or SigLIP: pictures and texts as unit vectors of one space, where the cosine says how well they match."""

    _ground: Vectors | None = None

    @property
    def scale(self) -> float:
        """What the model multiplies cosines with before its softmax or sigmoid: one over its own temperature."""
        return float(self.model.logit_scale.detach().float().exp().item())

    @property
    def bias(self) -> float | None:
        """What SigLIP adds before its sigmoid; None for models that were trained with a softmax."""
        bias = getattr(self.model, "logit_bias", None)
        return None if bias is None else float(bias.detach().float().item())

    @torch.no_grad()
    def texts(self, lines: Sequence[str]) -> Vectors:
        """[n, d]. A line longer than the model reads is cut at its end."""
        tokenizer = self.components["tokenizer"]
        window = int(self.model.config.text_config.max_position_embeddings)
        length = min(tokenizer.model_max_length, window)
        # SigLIP was trained on lines filled up to the full length, and reads shorter ones worse.
        padding = "max_length" if self.bias is not None else True
        found = []
        for start in range(0, len(lines), 64):
            batch = [self._plain(line.lower() if self.bias is not None else line) for line in lines[start : start + 64]]
            tokens = tokenizer(batch, padding=padding, truncation=True, max_length=length, return_tensors="pt")
            wanted = {name: tokens[name] for name in ("input_ids", "attention_mask") if name in tokens}
            if self.bias is not None:
                wanted.pop("attention_mask", None)
            found.append(_unit(self.model.get_text_features(**self._put(wanted)).pooler_output))
        return np.concatenate(found) if found else np.zeros((0, self.dimensions), np.float32)

    @torch.no_grad()
    def pictures(self, images: Sequence[Image]) -> Vectors:
        """[n, d], of what the model sees of each picture (CLIP: its middle square)."""
        found = []
        for start in range(0, len(images), self.batch):
            found.append(
                _unit(
                    self.model.get_image_features(
                        pixel_values=self._pixels(images[start : start + self.batch])
                    ).pooler_output
                )
            )
        return np.concatenate(found) if found else np.zeros((0, self.dimensions), np.float32)

    @torch.no_grad()
    def texture(self, images: Sequence[Image]) -> Vectors:
        """[n, 2 x layers x width]: of each layer the mean over the patches, then their standard deviation."""
        found = []
        for start in range(0, len(images), self.batch):
            pixels = self._pixels(images[start : start + self.batch])
            layers = self.model.vision_model(pixel_values=pixels, output_hidden_states=True).hidden_states
            told = [part for layer in layers for part in (layer[:, 1:].mean(1), layer[:, 1:].std(1))]
            found.append(torch.cat(told, 1).float().cpu().numpy())
        return np.concatenate(found)

    @property
    def dimensions(self) -> int:
        """d: length of the vectors."""
        config = self.model.config
        return int(getattr(config, "projection_dim", None) or config.vision_config.hidden_size)

    @torch.no_grad()
    def heat(self, image: Image, texts: Vectors) -> Vectors:
        """Where each text [L, d] is seen: [L, h, w] in 0..1, one cell per patch of the whole picture.

        Every patch is given a vector in the space of the texts, and its cosine with each text goes through the model's
        own softmax, against the other texts and against plain backgrounds, so that one text alone has a map too. The
        vectors are those of MaskCLIP (Zhou et al., 2022): the last attention layer passes on each patch's own value
        instead of a mix over all patches; for SigLIP each patch goes through the pooling head alone. Models whose
        training aligned their patches with labels (the starter) give sharper maps with their patches as they are.

        The picture is pressed into the model's square, so that the map covers all of it.
        """
        vision = self.model.vision_model
        side = int(self.model.config.vision_config.image_size)
        pixels = self._pixels([image.convert("RGB").resize((side, side))])
        if self.bias is not None:
            tokens = vision(pixel_values=pixels).last_hidden_state
            patches = vision.head(tokens.transpose(0, 1))
        elif self.family.supports("aligned-patches"):
            tokens = vision(pixel_values=pixels).last_hidden_state[:, 1:]
            patches = self.model.visual_projection(vision.post_layernorm(tokens))[0]
        else:
            before = vision.pre_layrnorm(vision.embeddings(pixels))
            for layer in vision.encoder.layers[:-1]:
                before = layer(before, attention_mask=None)
            last = vision.encoder.layers[-1]
            values = last.self_attn.out_proj(last.self_attn.v_proj(last.layer_norm1(before)))
            tokens = before + values
            tokens = tokens + last.mlp(last.layer_norm2(tokens))
            patches = self.model.visual_projection(vision.post_layernorm(tokens[:, 1:]))[0]
        against = np.concatenate([texts.astype(np.float32), self._grounds()])
        cosines = torch.from_numpy(_unit(patches)) @ torch.from_numpy(against).T
        seen = (cosines * self.scale).softmax(dim=-1)[:, : len(texts)]
        grid = round(seen.shape[0] ** 0.5)
        return seen.T.reshape(len(texts), grid, grid).contiguous().numpy()

    def _grounds(self) -> Vectors:
        """What else a patch may show; read once per use."""
        if self._ground is None:
            colours = ("red", "yellow", "green", "teal", "blue", "purple", "pink", "brown", "grey", "black", "white")
            self._ground = self.texts(["an orange background", *(f"a {each} background" for each in colours)])
        return self._ground


def _unit(vectors: torch.Tensor) -> Vectors:
    return F.normalize(vectors.float(), dim=-1).cpu().numpy()
