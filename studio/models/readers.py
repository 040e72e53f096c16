"""Models that look at pictures: what each class of them can be asked, in one shape. The manager loads them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL.Image import Image

from studio.models.catalog import Catalog
from studio.models.encoders import DualEncoder
from studio.models.families import Family
from studio.models.reader import Reader
from studio.models.spec import Progress
from studio.models.weights import component_weights, disk_bytes

Turn = tuple[str, str]
"""A question and its answer."""
Style = Literal["short", "detailed", "alt", "prompt"]


@dataclass(frozen=True)
class Answer:
    """What a model said. ``confidence`` in 0..1 is the geometric mean of the probabilities of its words (tokens): how
    sure the model was of saying it, which is not how likely it is true."""

    text: str
    confidence: float
    asked: str = ""
    """The question as it was put to the model, where "it" stood for something said before."""


class Answerer(Reader, ABC):
    """Answers questions about pictures."""

    @abstractmethod
    def answer(self, images: Sequence[Image], question: str, history: Sequence[Turn] = ()) -> Answer:
        """``history``: the questions asked before about the same pictures, with their answers."""

    @abstractmethod
    def yes(self, images: Sequence[Image], question: str) -> float:
        """Probability of "yes" against "no" as the answer."""


class Captioner(Reader, ABC):
    """Describes a picture."""

    @abstractmethod
    def caption(self, image: Image, style: Style) -> str:
        """In one short sentence, in detail, as alternative text, or as a prompt that would draw it. Models without the
        feature "caption-styles" have a short and a long form at most; the other styles are the nearer of the two."""


class Labeller(Reader, ABC):
    """Scores pictures on labels of its own."""

    @abstractmethod
    def labels(self, images: Sequence[Image]) -> list[dict[str, float]]:
        """Label -> probability for each picture, likeliest first; of a video model one row for all frames, which are
        read as a clip in the order given."""


class BlipAnswerer(Answerer):
    """BLIP's short answers. It sees one picture and one question at a time, and remembers nothing."""

    _seen: tuple[Image, torch.Tensor] | None = None

    @torch.no_grad()
    def answer(self, images: Sequence[Image], question: str, history: Sequence[Turn] = ()) -> Answer:
        """Of several pictures each is asked for itself: one numbered line per picture, the least confidence of all."""
        asked = resolve(question, history)
        found = [self._answer(image, asked) for image in images]
        text = found[0][0] if len(found) == 1 else "\n".join(f"{i}. {text}" for i, (text, _) in enumerate(found, 1))
        return Answer(text, min(sure for _, sure in found), asked if asked != question else "")

    @torch.no_grad()
    def yes(self, images: Sequence[Image], question: str) -> float:
        """Of several pictures the least likely one counts."""
        tokenizer = self.components["tokenizer"]
        yes, no = (tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no"))
        found = []
        for image in images:
            read, mask, start = self._read(image, question)
            logits = self.model.text_decoder(
                input_ids=start, encoder_hidden_states=read, encoder_attention_mask=mask
            ).logits[0, -1]
            found.append(logits[[yes, no]].float().softmax(-1)[0].item())
        return min(found)

    def _answer(self, image: Image, question: str) -> tuple[str, float]:
        read, mask, start = self._read(image, question)
        text = self.model.config.text_config
        said = self.model.text_decoder.generate(
            input_ids=start,
            encoder_hidden_states=read,
            encoder_attention_mask=mask,
            eos_token_id=text.sep_token_id,
            pad_token_id=text.pad_token_id,
            **self._generation(12),
        )
        return self._spoken(said, start.shape[1])

    def _read(self, image: Image, question: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The question as read in sight of the picture [1, t, d], its mask, and what the answer starts with."""
        if self._seen is None or self._seen[0] is not image:
            # Looking costs far more than answering, and checklists ask much about one picture.
            seen = self.model.vision_model(pixel_values=self._pixels([image])).last_hidden_state
            self._seen = image, seen
        seen = self._seen[1]
        tokens = self._tokens(question)
        read = self.model.text_encoder(
            **tokens,
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:2], dtype=torch.long, device=self.device),
        )[0]
        start = torch.full((1, 1), self.model.config.text_config.bos_token_id, device=self.device)
        return read, tokens["attention_mask"], start


class BlipCaptioner(Captioner):
    """BLIP's captions: begun with "a picture of" they are short, of its own accord they say more."""

    @torch.no_grad()
    def caption(self, image: Image, style: Style) -> str:
        lead = "a picture of"
        begun = self._tokens(lead) if style == "short" else {}
        said = self.model.generate(pixel_values=self._pixels([image]), **begun, **self._generation(40))
        text, _ = self._spoken(said, 0)
        if style == "short":
            text = text.removeprefix(lead).strip()
        return _sentence(text) if style == "alt" else text


class ChatModel(Answerer, Captioner):
    """A language model with eyes (SmolVLM2, Qwen3-VL): it is given the turns of a conversation and all pictures."""

    @torch.no_grad()
    def answer(self, images: Sequence[Image], question: str, history: Sequence[Turn] = ()) -> Answer:
        text, sure = self._say(images, (*history, (question, "")), self.longest)
        return Answer(text, sure)

    @torch.no_grad()
    def yes(self, images: Sequence[Image], question: str) -> float:
        inputs = self._inputs(images, ((f"{question} Answer with yes or no.", ""),))
        likely = self.model(**inputs, logits_to_keep=1).logits[0, -1].float().softmax(-1)
        tokenizer = self.components["tokenizer"]
        shares = []
        for word in ("yes", "no"):
            ways = {word, word.capitalize(), word.upper(), f" {word}", f" {word.capitalize()}"}
            firsts = {tokenizer(way, add_special_tokens=False).input_ids[0] for way in ways}
            shares.append(likely[sorted(firsts)].sum().item())
        return shares[0] / max(sum(shares), 1e-12)

    @torch.no_grad()
    def caption(self, image: Image, style: Style) -> str:
        text, _ = self._say(
            [image], ((_WISHES[style], ""),), self.longest if style == "detailed" else min(120, self.longest)
        )
        return text if style == "detailed" else text.strip('"')

    def _say(self, images: Sequence[Image], turns: Sequence[Turn], longest: int) -> tuple[str, float]:
        inputs = self._inputs(images, turns)
        said = self.model.generate(**inputs, **self._generation(longest))
        return self._spoken(said, inputs["input_ids"].shape[1])

    def _inputs(self, images: Sequence[Image], turns: Sequence[Turn]) -> dict[str, Any]:
        """Tensors for the conversation ``turns``, whose last answer is open, with all pictures in the first."""
        side = self.family.native_size
        small = []
        for image in images:
            copy = image.convert("RGB")
            copy.thumbnail((side, side))
            small.append(copy)
        messages = []
        for number, (question, said) in enumerate(turns):
            content = [{"type": "image", "image": each} for each in small] if number == 0 else []
            messages.append({"role": "user", "content": [*content, {"type": "text", "text": self._plain(question)}]})
            if number < len(turns) - 1:
                messages.append({"role": "assistant", "content": [{"type": "text", "text": self._plain(said)}]})
        processor = self.components["processor"]
        options: dict[str, Any] = {}
        if hasattr(processor.image_processor, "do_image_splitting"):
            # Tiles of one picture cost up to seventeen times as much to read.
            options["do_image_splitting"] = self.device.type != "cpu" and len(small) == 1
        inputs = processor.apply_chat_template(
            messages,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs=options,
        )
        return self._put(inputs)


class Florence(Captioner):
    """Florence-2, which is asked with task words."""

    @torch.no_grad()
    def caption(self, image: Image, style: Style) -> str:
        task = {"short": "<CAPTION>", "detailed": "<MORE_DETAILED_CAPTION>"}.get(style, "<DETAILED_CAPTION>")
        processor = self.components["processor"]
        inputs = self._put(processor(images=image.convert("RGB"), text=task, return_tensors="pt"))
        said = self.model.generate(
            **inputs, max_new_tokens=self.longest, num_beams=3, do_sample=False, **self._watched()
        )
        text = " ".join(processor.batch_decode(said, skip_special_tokens=True)[0].split())
        return _LEAD.sub("", text) if style in ("alt", "prompt") else text


class PictureLabeller(Labeller):
    """A classifier with a fixed set of labels."""

    @torch.no_grad()
    def labels(self, images: Sequence[Image]) -> list[dict[str, float]]:
        found = []
        for start in range(0, len(images), self.batch):
            logits = self.model(pixel_values=self._pixels(images[start : start + self.batch])).logits
            found += [_ranked(row, self.model.config.id2label) for row in logits.float().softmax(-1)]
        return found


class ClipLabeller(Labeller):
    """VideoMAE: which action a clip shows."""

    @torch.no_grad()
    def labels(self, images: Sequence[Image]) -> list[dict[str, float]]:
        """Reads as many frames as the model was made for, evenly spread; of too few some twice."""
        count = int(self.model.config.num_frames)
        picked = [images[round(index)].convert("RGB") for index in np.linspace(0, len(images) - 1, count)]
        inputs = self._put(self.components["processor"](picked, return_tensors="pt"))
        [row] = self.model(pixel_values=inputs["pixel_values"]).logits.float().softmax(-1)
        return [_ranked(row, self.model.config.id2label)]


READERS: dict[str, type[Reader]] = {
    "CLIPModel": DualEncoder,
    "SiglipModel": DualEncoder,
    "BlipForQuestionAnswering": BlipAnswerer,
    "BlipForConditionalGeneration": BlipCaptioner,
    "SmolVLMForConditionalGeneration": ChatModel,
    "Qwen3VLForConditionalGeneration": ChatModel,
    "Florence2ForConditionalGeneration": Florence,
    "ViTForImageClassification": PictureLabeller,
    "VideoMAEForVideoClassification": ClipLabeller,
}
"""Class name in transformers -> how it is asked."""

_WISHES: dict[str, str] = {
    "short": "Describe this picture in one short sentence.",
    "detailed": "Describe this picture in detail, in one paragraph.",
    "alt": "Write alternative text for this picture: one sentence of at most 125 characters that tells somebody who "
    "cannot see it what matters. Answer with that sentence alone.",
    "prompt": "Write a prompt that would make a text-to-image model draw this picture: subject, setting, style, light "
    "and colours, in phrases separated by commas. Answer with the prompt alone.",
}

_LEAD = re.compile(r"^(in this (image|picture),? )?(the|this) (image|picture) (shows|depicts|features|is) ", re.I)

_THING_ASKED = re.compile(
    r"^(what (is|do|does|can)|what's|which (object|thing|animal))\b(?!.*\b(colou?r|style)\b)", re.I
)
_THING_NAMED = re.compile(
    r"^(?:where is|where are|is there|are there|how many) (?:the |an? |any )?(.+?)"
    r"(?: are there| in the (?:picture|image))?\s*\??$",
    re.I,
)
_ABOUT_THING = re.compile(
    r"^(where|what colou?r|how (big|large)|(is|are) (it|they) (to the |on the )?"
    r"(left|right|above|below|under|over|higher|larger|bigger|smaller))\b",
    re.I,
)


def resolve(question: str, history: Sequence[Turn]) -> str:
    """The question with "it" or "they" replaced by the thing spoken of last, for models without a memory.

    Only where the question is about a thing ("where is it?"), because "it" may also be the picture ("what is it?").
    """
    if not _ABOUT_THING.match(question.strip()):
        return question
    for asked, said in reversed(history):
        named = _THING_NAMED.match(asked.strip())
        if named and said.strip().lower() not in ("no", "0", "none"):
            thing = named.group(1)
        elif _THING_ASKED.match(asked.strip()) and 0 < len(said.split()) <= 4:
            thing = said
        else:
            continue
        thing = re.sub(r"^(an?|the|one)\s+", "", thing.strip().rstrip("."), flags=re.I)
        return re.sub(r"\b(it|they|them|that|those)\b", f"the {thing}", question, flags=re.I)
    return question


def load(family: Family, place: Path, dtype: torch.dtype, catalog: Catalog, progress: Progress | None = None) -> Reader:
    """The reader for ``family`` with the weights in folder ``place``, on the CPU."""
    total = disk_bytes(weight_files(place, ""))
    if progress:
        progress(0, total, f"Loading {family.name}")
    reader = READERS[family.pipeline].load(family, place, dtype)
    if progress:
        progress(total, total, f"Loading {family.name}")
    return reader


def weight_files(place: Path, dtype: str) -> list[Path]:
    """The safetensors files in the folder ``place``: one, or its parts."""
    return component_weights(place, dtype)[1]


def _ranked(likely: torch.Tensor, names: dict[int, str]) -> dict[str, float]:
    return {names[index]: likely[index].item() for index in likely.argsort(descending=True).tolist()}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else text
