"""Models that look at pictures: what each class of them can be asked, in one shape. The manager loads them."""

from __future__ import annotations

import copy
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL.Image import Image

from studio.models.families import Family

Vectors = NDArray[np.float32]
Turn = tuple[str, str]
"""A question and its answer."""
Style = Literal["short", "detailed", "alt", "prompt"]


class Reader:
    """A loaded model that understands pictures. `components` are what the model manager counts, moves and restores."""

    def __init__(self, family: Family, components: dict[str, Any]) -> None:
        self.family = family
        self.components = components
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

    def view(self) -> Self:
        """An object of its own over the same components, for one use."""
        other = copy.copy(self)
        other.components = dict(self.components)
        return other

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


def load(family: Family, place: Path, dtype: torch.dtype) -> Reader:
    """The reader for ``family`` with the weights in folder ``place``, on the CPU."""
    return READERS[family.pipeline].load(family, place, dtype)


def _unit(vectors: torch.Tensor) -> Vectors:
    return F.normalize(vectors.float(), dim=-1).cpu().numpy()


def _ranked(likely: torch.Tensor, names: dict[int, str]) -> dict[str, float]:
    return {names[index]: likely[index].item() for index in likely.argsort(descending=True).tolist()}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else text
