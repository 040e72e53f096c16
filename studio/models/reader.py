"""What all models that look at pictures share: loading, pixels, words, and writing that can be stopped."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from PIL.Image import Image

from studio.models.families import Family
from studio.models.loaded import Loaded
from studio.models.spec import PipelineSpec


class Reader(Loaded):
    """A loaded model that understands pictures. `components` are what the model manager counts, moves and restores."""

    reliefs = (
        "",
        "Other models were put away to free memory.",
        "Memory is short, so pictures were read one at a time.",
        "Memory is short, so the pictures were read on the processor; this is slower.",
    )

    def __init__(self, family: Family, components: dict[str, Any]) -> None:
        super().__init__(family, components)
        self.batch = 16
        """Pictures read at once; one when memory is short."""
        self.longest = 320
        """Words (tokens) that a model which writes freely may write at most."""
        self.tick: Callable[[], object] | None = None
        """Called after every word (token) that is written; may raise to stop the model, for example `Cancelled`."""

    @classmethod
    def load(cls, family: Family, place: Path, dtype: torch.dtype) -> Self:
        """From a folder as ``save_pretrained`` writes it: safetensors only, no code, no network."""
        import transformers

        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        model = getattr(transformers, family.pipeline).from_pretrained(
            str(place), dtype=dtype, use_safetensors=True, **options
        )
        components: dict[str, Any] = {"model": model.eval().requires_grad_(False)}
        if "labels" in family.features:
            components["processor"] = transformers.AutoImageProcessor.from_pretrained(str(place), **options)
        else:
            components["processor"] = transformers.AutoProcessor.from_pretrained(str(place), **options)
            components["tokenizer"] = components["processor"].tokenizer
        return cls(family, components)

    def view(self, spec: PipelineSpec) -> Self:
        other = copy.copy(self)
        other.components = dict(self.components)
        return other

    def relieve(self, view: Reader, rung: int, device: str) -> None:
        view.batch = 1

    @property
    def model(self) -> Any:
        return self.components["model"]

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _put(self, inputs: Any) -> dict[str, Any]:
        """The inputs on the model's device, floating ones in its dtype."""
        dtype = next(self.model.parameters()).dtype
        return {
            name: value.to(self.device, dtype) if value.is_floating_point() else value.to(self.device)
            for name, value in inputs.items()
        }

    def _pixels(self, images: Sequence[Image]) -> torch.Tensor:
        """[n, 3, h, w] as the model was trained on."""
        processor = self.components["processor"]
        processor = getattr(processor, "image_processor", processor)
        inputs = processor(images=[each.convert("RGB") for each in images], return_tensors="pt")
        return self._put({"pixel_values": inputs["pixel_values"]})["pixel_values"]

    def _plain(self, text: str) -> str:
        """Without the marks that are more than text to this model, such as the end of a turn."""
        for mark in sorted(self.components["tokenizer"].get_added_vocab(), key=len, reverse=True):
            text = text.replace(mark, " ")
        return text

    def _tokens(self, text: str) -> dict[str, torch.Tensor]:
        """[1, t] for models with a short window; a longer text is cut at its end."""
        window = int(self.model.config.text_config.max_position_embeddings)
        tokenizer = self.components["tokenizer"]
        tokens = tokenizer(
            self._plain(text), truncation=True, max_length=min(window, tokenizer.model_max_length), return_tensors="pt"
        )
        return self._put({name: tokens[name] for name in ("input_ids", "attention_mask")})

    def _generation(self, longest: int) -> dict[str, Any]:
        return {
            "max_new_tokens": longest,
            "do_sample": False,
            "num_beams": 1,
            "return_dict_in_generate": True,
            "output_logits": True,
            **self._watched(),
        }

    def _watched(self) -> dict[str, Any]:
        def after_word(ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
            if self.tick is not None:
                self.tick()
            return torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)

        return {"stopping_criteria": [after_word]}

    def _spoken(self, said: Any, start: int) -> tuple[str, float]:
        """Text and confidence of the first sequence of a generation whose prompt has ``start`` tokens."""
        ids = said.sequences[0]
        chosen = ids[len(ids) - len(said.logits) :]
        sure = [
            logits[0].float().log_softmax(-1)[token].item() for logits, token in zip(said.logits, chosen, strict=True)
        ]
        text = self.components["tokenizer"].decode(ids[start:], skip_special_tokens=True)
        return " ".join(text.split()) if len(chosen) < 60 else text.strip(), math.exp(sum(sure) / max(len(sure), 1))
