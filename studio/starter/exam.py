# transformers types these calls wider than they are.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
"""What the understanding half of the pack can do on held-out scenes, asked through its own processors."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from studio.starter import vocabulary
from studio.starter.blip import LAYOUTS
from studio.starter.language import ask
from studio.starter.rate import Rate, prompt
from studio.starter.steps import FIRST_TEST_SEED
from studio.starter.vocabulary import article
from studio.starter.world import Scene, World

SIDE = 256
"""Pixels of the pictures that are looked at: what leaves the studio."""
BARS = {"zero_shot_20": 0.90, "retrieval_1000": 0.70, "vqa": 0.85, "caption": 0.80}
QUESTION_BAR = 0.75
"""For each kind of question."""


def _pictures(world: World, scenes: list[Scene]) -> list[Image.Image]:
    return [world.picture(scene, SIDE) for scene in scenes]


@torch.inference_mode()
def clip_figures(pack: Path, world: World, n: int = 400) -> dict[str, Rate]:
    """Naming held-out single scenes, and finding 1,000 of all layouts by sentences that say everything in them."""
    from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

    model = CLIPModel.from_pretrained(pack / "clip", dtype=torch.float32).eval()
    tokenizer = CLIPTokenizer.from_pretrained(pack / "clip")
    processor = CLIPImageProcessor.from_pretrained(pack / "clip")

    def texts(lines: list[str]) -> torch.Tensor:
        tokens = tokenizer(lines, padding=True, truncation=True, return_tensors="pt")
        return torch.nn.functional.normalize(model.get_text_features(**tokens).pooler_output, dim=-1)

    def pictures(scenes: list[Scene]) -> torch.Tensor:
        parts = []
        for start in range(0, len(scenes), 100):
            pixels = processor(images=_pictures(world, scenes[start : start + 100]), return_tensors="pt")
            features = model.get_image_features(pixel_values=pixels["pixel_values"]).pooler_output
            parts.append(torch.nn.functional.normalize(features, dim=-1))
        return torch.cat(parts)

    rng = random.Random("clip")
    names, colours = list(world.names), list(vocabulary.COLOURS)
    singles = [world.scene(FIRST_TEST_SEED + i, "single", split="held_out") for i in range(n)]
    truth = [names.index(scene.objects[0].name) for scene in singles]
    seen = pictures(singles)
    scores = seen @ texts([article(name) for name in names]).T
    among = 0
    for row, right in zip(scores, truth, strict=True):
        others = rng.sample([i for i in range(len(names)) if i != right], 19)
        among += bool((row[others] < row[right]).all())
    best = scores.topk(5).indices.tolist()
    ground = (seen @ texts([f"{article(c)} background" for c in colours]).T).argmax(1).tolist()

    sentences: dict[str, Scene] = {}
    contents: set[tuple[Any, ...]] = set()
    seed = FIRST_TEST_SEED + n
    while len(sentences) < 1000:
        scene = world.scene(seed, split="held_out")
        seed += 1
        if (content := _content(scene)) not in contents:
            contents.add(content)
            sentences[prompt(scene, rng)] = scene
    found = texts(list(sentences)) @ pictures(list(sentences.values())).T
    ranks = (found > found.diagonal()[:, None]).sum(1)
    return {
        "zero_shot_20": Rate(among, n),
        "zero_shot_all": Rate(sum(row[0] == right for row, right in zip(best, truth, strict=True)), n),
        "zero_shot_all_top5": Rate(sum(right in row for row, right in zip(best, truth, strict=True)), n),
        "zero_shot_colour": Rate(sum(colours[g] == s.background for g, s in zip(ground, singles, strict=True)), n),
        "retrieval_1000": Rate(int((ranks == 0).sum()), 1000),
        "retrieval_1000_top5": Rate(int((ranks < 5).sum()), 1000),
    }


def _content(scene: Scene) -> tuple[Any, ...]:
    return (*(o.name for o in scene.objects), scene.layout, scene.style, scene.background)


def _held_out(world: World, count: int, first: int) -> list[Scene]:
    return [world.scene(first + i, LAYOUTS[i % len(LAYOUTS)], split="held_out") for i in range(count)]


@torch.inference_mode()
def vqa_figures(pack: Path, world: World, count: int = 600) -> dict[str, Rate]:
    """One question of each kind about every scene, in changing words; the whole answer must be right."""
    from transformers import BlipForQuestionAnswering, BlipProcessor

    model = BlipForQuestionAnswering.from_pretrained(pack / "vqa", dtype=torch.float32).eval()
    processor = BlipProcessor.from_pretrained(pack / "vqa")
    rng = random.Random("vqa")
    asked = []
    for scene in _held_out(world, count, FIRST_TEST_SEED + 5_000_000):
        kinds = defaultdict(list)
        for question in world.questions(scene):
            kinds[question.kind].append(question)
        asked += [(scene, rng.choice(group)) for group in kinds.values()]
    right: dict[str, list[bool]] = defaultdict(list)
    for start in range(0, len(asked), 64):
        some = asked[start : start + 64]
        inputs = processor(
            images=_pictures(world, [scene for scene, _ in some]), text=[ask(q, rng) for _, q in some],
            padding=True, return_tensors="pt",
        )  # fmt: skip
        said = processor.batch_decode(model.generate(**inputs, max_new_tokens=8), skip_special_tokens=True)
        for (_, question), answer in zip(some, said, strict=True):
            right[question.kind].append(sorted(answer.split(" and ")) == sorted(question.answer.split(" and ")))
    whole = [each for those in right.values() for each in those]
    return {"vqa": Rate(sum(whole), len(whole)), **{k: Rate(sum(v), len(v)) for k, v in sorted(right.items())}}


@torch.inference_mode()
def caption_figures(pack: Path, world: World, count: int = 300) -> dict[str, Rate]:
    """Whether captions name every object and the background's colour."""
    from transformers import BlipForConditionalGeneration, BlipProcessor

    model = BlipForConditionalGeneration.from_pretrained(pack / "caption", dtype=torch.float32).eval()
    processor = BlipProcessor.from_pretrained(pack / "caption")
    scenes = _held_out(world, count, FIRST_TEST_SEED + 7_000_000)
    said: list[str] = []
    for start in range(0, count, 50):
        inputs = processor(images=_pictures(world, scenes[start : start + 50]), return_tensors="pt")
        said += processor.batch_decode(model.generate(**inputs, max_new_tokens=32), skip_special_tokens=True)

    def named(scene: Scene, caption: str) -> bool:
        thing, _, ground = caption.partition(" on ")
        words = {o.name if len({p.name for p in scene.objects}) == len(scene.objects) else vocabulary.plural(o.name)
                 for o in scene.objects}  # fmt: skip
        return all(f" {word} " in f" {thing} " for word in words) and scene.background in ground.split()

    both = [named(scene, caption) for scene, caption in zip(scenes, said, strict=True)]
    alone = [ok for ok, scene in zip(both, scenes, strict=True) if scene.layout == "single"]
    return {"caption": Rate(sum(both), len(both)), "caption_single": Rate(sum(alone), len(alone))}


def figures(pack: Path, world: World) -> dict[str, Rate]:
    return {**clip_figures(pack, world), **vqa_figures(pack, world), **caption_figures(pack, world)}
