# transformers types these calls wider than they are.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportOperatorIssue=false, reportCallIssue=false
"""The starter's answers and captions: two small BLIPs that share what they see, trained on the world's questions."""

from __future__ import annotations

import random
import re
import shutil
import string
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipForQuestionAnswering,
    BlipImageProcessor,
    BlipProcessor,
    BlipVisionModel,
    CLIPVisionModel,
)

from studio.starter.language import ask, describe_plainly
from studio.starter.presets import Preset
from studio.starter.steps import CLIP_MEAN, CLIP_STD, Pool, clip_pixels, worn
from studio.starter.training import Loop, Losses, averaged
from studio.starter.vocabulary import COLOURS, OBJECTS, SYNONYMS, plural
from studio.starter.world import Question, Scene, World

QUESTIONS_PER_PICTURE = 5
LONGEST = 64
"""Tokens of a question or a caption, with the marks at both ends."""
LAYOUTS = ("single", "single", "left_right", "above_below", "large_small", "count")
"""What the scenes that are asked about look like, in turn: most questions need more than one object."""


def words_of(world: World, scenes: Iterable[Scene]) -> list[str]:
    """Every word that questions, answers and captions of these scenes use, sorted."""
    rng = random.Random("words")
    lines = [*OBJECTS, *COLOURS, *map(plural, OBJECTS), *(other for those in SYNONYMS.values() for other in those)]
    for scene in scenes:
        lines += describe_plainly(scene)
        for question in world.questions(scene):
            lines += [ask(question, rng), ask(question, rng), question.answer]
    return sorted({word for line in lines for word in re.findall(r"[a-z]+|[0-9]+[a-z]*", line.lower())})


def tokenizer(world: World, scenes: Iterable[Scene], folder: Path) -> BertTokenizer:
    """A WordPiece tokenizer that knows the words of `scenes` whole and spells everything else; kept in `folder`."""
    if not (folder / "vocab.txt").exists():
        letters = [*string.ascii_lowercase, *string.digits]
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]"]
        known = [*special, *string.punctuation, *letters, *(f"##{x}" for x in letters), *words_of(world, scenes)]
        vocabulary = {word: i for i, word in enumerate(dict.fromkeys(known))}
        made = BertTokenizer(vocab=vocabulary, do_lower_case=True, bos_token="[DEC]", model_max_length=LONGEST)
        made.save_pretrained(folder)
        (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    return BertTokenizer.from_pretrained(folder)


def config(p: Preset, tokenizer: BertTokenizer) -> BlipConfig:
    special = {
        "bos_token_id": tokenizer.convert_tokens_to_ids("[DEC]"),
        "eos_token_id": tokenizer.sep_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    # The decoder of answers reads the question encoder's states, which have the text's width, and the encoder reads the
    # picture's: BLIP has one setting for both, so all are of one width.
    text = {
        "vocab_size": len(tokenizer), "hidden_size": p.vision_width, "encoder_hidden_size": p.vision_width,
        "intermediate_size": 4 * p.vision_width, "num_hidden_layers": p.blip_layers, "num_attention_heads": 4,
        "max_position_embeddings": LONGEST, "projection_dim": 128, "attention_probs_dropout_prob": 0.0, **special,
    }  # fmt: skip
    vision = {
        "hidden_size": p.vision_width, "intermediate_size": 4 * p.vision_width, "num_attention_heads": 4,
        "num_hidden_layers": p.vision_layers, "image_size": p.size, "patch_size": p.patch, "hidden_act": "gelu",
        "initializer_range": 0.02,
    }  # fmt: skip
    return BlipConfig(text_config=text, vision_config=vision, projection_dim=128, image_text_hidden_size=128)


class BlipStudent(nn.Module):
    """One pair of eyes and both ways to speak of what they see."""

    def __init__(self, p: Preset, tokenizer: BertTokenizer) -> None:
        super().__init__()
        shape = config(p, tokenizer)
        self.vqa = BlipForQuestionAnswering(shape)
        self.caption = BlipForConditionalGeneration(shape)
        self.caption.vision_model = self.vqa.vision_model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """What is seen: [n, 1 + patches, width]."""
        return self.vqa.vision_model(pixel_values=pixels).last_hidden_state

    def answers(self, seen: torch.Tensor, question: dict[str, torch.Tensor], answer: torch.Tensor) -> torch.Tensor:
        """Logits [n, tokens, vocabulary] for each token of `answer` [n, tokens], given those before it."""
        read = self.vqa.text_encoder(
            input_ids=question["input_ids"], attention_mask=question["attention_mask"], encoder_hidden_states=seen,
        )[0]  # fmt: skip
        return self.vqa.text_decoder(
            input_ids=answer, encoder_hidden_states=read, encoder_attention_mask=question["attention_mask"]
        ).logits

    def captions(self, seen: torch.Tensor, caption: torch.Tensor) -> torch.Tensor:
        return self.caption.text_decoder(input_ids=caption, encoder_hidden_states=seen).logits


def borrow_eyes(clip: CLIPVisionModel, blip: BlipVisionModel, pixels: torch.Tensor) -> None:
    """Begin with what CLIP has learned to see. BLIP has no norm before its first layer: its mean effect on `pixels`
    [n, 3, S, S] is folded into the embeddings."""
    theirs, ours = clip.vision_model if hasattr(clip, "vision_model") else clip, blip
    with torch.no_grad():
        embedded = theirs.embeddings(pixels)
        norm = theirs.pre_layrnorm
        mean, spread = embedded.mean(-1, keepdim=True).mean(0), embedded.std(-1, keepdim=True).mean(0)
        gain = norm.weight / spread  # [tokens, width]
        patches = theirs.embeddings.patch_embedding.weight
        typical = gain[1:].mean(0)
        ours.embeddings.patch_embedding.weight.copy_(patches * typical.view(-1, 1, 1, 1))
        ours.embeddings.patch_embedding.bias.zero_()
        positions = theirs.embeddings.position_embedding.weight
        ours.embeddings.position_embedding.copy_(((positions - mean) * gain + norm.bias)[None])
        ours.embeddings.class_embedding.copy_((theirs.embeddings.class_embedding * gain[0]).view(1, 1, -1))
        for mine, other in zip(ours.encoder.layers, theirs.encoder.layers, strict=True):
            their = other.self_attn
            mine.self_attn.qkv.weight.copy_(torch.cat([m.weight for m in (their.q_proj, their.k_proj, their.v_proj)]))
            mine.self_attn.qkv.bias.copy_(torch.cat([m.bias for m in (their.q_proj, their.k_proj, their.v_proj)]))
            mine.self_attn.projection.load_state_dict(their.out_proj.state_dict())
            mine.layer_norm1.load_state_dict(other.layer_norm1.state_dict())
            mine.layer_norm2.load_state_dict(other.layer_norm2.state_dict())
            mine.mlp.load_state_dict(other.mlp.state_dict())
        ours.post_layernorm.load_state_dict(theirs.post_layernorm.state_dict())


def pick(questions: list[Question], rng: random.Random, count: int) -> list[Question]:
    """`count` of a scene's questions: each kind as likely as every other, "yes" as likely as "no"."""
    kinds: dict[tuple[str, str], list[Question]] = {}
    for question in questions:
        kinds.setdefault((question.kind, question.answer if question.answer in ("yes", "no") else ""), []).append(
            question
        )
    groups = list(kinds.values())
    return [rng.choice(rng.choice(groups)) for _ in range(count)]


def train_blip(
    p: Preset, pool: Pool, tokenizer: BertTokenizer, clip: CLIPVisionModel, folder: Path, minutes: float,
    max_steps: int | None,
) -> None:  # fmt: skip
    """Several questions of every kind and two captions per picture, by teacher forcing.

    The text learns alone at first, while what CLIP taught the eyes stays as it is.
    """
    net = BlipStudent(p, tokenizer)
    if not (folder / "state.pt").exists():
        borrow_eyes(clip, net.vqa.vision_model, clip_pixels(pool.batch(np.arange(min(256, len(pool.scenes))), "cpu")))
    net.to(p.device)
    loop = Loop(folder, net, p.rates["blip"], minutes, max_steps, ema=0.995, decay=0.02)
    start, end, pad = (tokenizer.convert_tokens_to_ids(t) for t in ("[DEC]", "[SEP]", "[PAD]"))

    def spoken(lines: list[str], silent: list[int] | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens [n, t] of [DEC] line [SEP], and the same as labels: the first `silent` words are given, not said."""
        rows = [[start, *tokenizer(x, add_special_tokens=False).input_ids, end] for x in lines]
        width = max(map(len, rows))
        ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
        labels = ids.masked_fill(ids == pad, -100)
        for i, given in enumerate(silent or []):
            labels[i, : given + 1] = -100
        return ids.to(p.device), labels.to(p.device)

    def wrong(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)

    def losses(step: int) -> Losses:
        rng = random.Random(f"blip-{step}")
        net.vqa.vision_model.requires_grad_(loop.progress > 0.12)
        picked = np.random.default_rng((5, step)).choice(len(pool.scenes), p.blip_batch, replace=False)
        picked.sort()
        scenes = [pool.scenes[i] for i in picked]
        asked = [q for s in scenes for q in pick(pool.world.questions(s), rng, QUESTIONS_PER_PICTURE)]
        question = tokenizer([ask(q, rng) for q in asked], padding=True, return_tensors="pt").to(p.device)
        answer, answer_labels = spoken([q.answer for q in asked])
        plain = [describe_plainly(s) for s in scenes]
        long, long_labels = spoken([full for full, _ in plain])
        given = len(tokenizer("a picture of", add_special_tokens=False).input_ids)
        short, short_labels = spoken([f"a picture of {brief}" for _, brief in plain], [given] * len(plain))
        pixels = clip_pixels(worn(pool.batch(picked, p.device), rng))
        with torch.autocast(p.device, torch.bfloat16):
            seen = net(pixels)
            told = net.answers(seen.repeat_interleave(QUESTIONS_PER_PICTURE, 0), question, answer)
            return {
                "answer": wrong(told, answer_labels),
                "caption": wrong(net.captions(seen, long), long_labels),
                "short": 0.5 * wrong(net.captions(seen, short), short_labels),
            }

    loop.run(losses)


def from_pack(p: Preset, pack: Path, tokenizer: BertTokenizer) -> BlipStudent:
    """The student that a shipped pack was written from."""
    student = BlipStudent(p, tokenizer)
    for name, model in (("vqa", student.vqa), ("caption", student.caption)):
        model.load_state_dict(type(model).from_pretrained(pack / name, dtype=torch.float32).state_dict())
    return student


def export_blip(p: Preset, work: Path, out: Path, shard: str) -> None:
    """Write `vqa` and `caption` as plain transformers folders in half precision."""
    tokenizer = BertTokenizer.from_pretrained(work / "blip-tokenizer")
    student = averaged(work / "blip", BlipStudent(p, tokenizer))
    eyes = BlipImageProcessor(
        size={"height": p.size, "width": p.size}, image_mean=list(CLIP_MEAN), image_std=list(CLIP_STD),
        do_convert_rgb=True,
    )  # fmt: skip
    for name, model in (("vqa", student.vqa), ("caption", student.caption)):
        folder = out / name
        shutil.rmtree(folder, ignore_errors=True)
        model.half().save_pretrained(folder, max_shard_size=shard)
        model.float()
        BlipProcessor(eyes, tokenizer).save_pretrained(folder)
