# transformers, diffusers and Pillow type these calls wider than they are.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportOperatorIssue=false
"""What each starter model learns from, and how."""

from __future__ import annotations

import hashlib
import math
import multiprocessing
import os
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import AttnProcessor
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from transformers import CLIPModel, CLIPTokenizer

from studio.starter import models
from studio.starter.figure import PERSON
from studio.starter.judge import Judge, JudgeNet
from studio.starter.language import ARMS, LEGS
from studio.starter.placing import PLACES, Layout, place_word, size_word
from studio.starter.presets import Preset
from studio.starter.training import Loop, Losses, averaged
from studio.starter.vocabulary import COLOURS, OBJECTS, STYLES, article
from studio.starter.world import Scene, World

FIRST_TEST_SEED = 10_000_000  # scenes from here on are never trained on, whatever their content
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Pool:
    """The training scenes with their pictures: uint8 [n, S, S, 3] on disk. `key` names their content."""

    world: World
    scenes: list[Scene]
    pictures: NDArray[np.uint8]
    key: str

    def batch(self, picked: NDArray[np.int64], device: str) -> torch.Tensor:
        """RGB in -1..1, [n, 3, S, S] in channels-last memory."""
        x = torch.from_numpy(self.pictures[np.sort(picked)]).to(device)
        return x.permute(0, 3, 1, 2).float().div(127.5).sub(1)

    def crops(self, picked: NDArray[np.int64], side: int, rng: np.random.Generator, device: str) -> torch.Tensor:
        """As `batch`, but of each picture a square of `side` pixels that shows something: [n, 3, side, side]."""
        size = self.pictures.shape[1]
        cut = np.empty((len(picked), side, side, 3), np.uint8)
        for row, i in enumerate(picked):
            area = self.scenes[i].objects[rng.integers(len(self.scenes[i].objects))].box
            x, y = (rng.uniform(area[k], area[k + 2]) * size - side / 2 for k in (0, 1))
            left, top = (int(min(max(v, 0), size - side)) for v in (x, y))
            cut[row] = self.pictures[i, top : top + side, left : left + side]
        x = torch.from_numpy(cut).to(device)
        return x.permute(0, 3, 1, 2).float().div(127.5).sub(1)

    def patch_labels(self, grid: int) -> NDArray[np.int64]:
        """What each cell of a grid over the picture shows most: the thing's number in `world.nouns`, or behind those
        the background's in `COLOURS`: [n, grid, grid]."""
        names, colours = self.world.nouns, tuple(COLOURS)
        found = np.empty((len(self.scenes), grid, grid), np.int64)
        for row, scene in enumerate(self.scenes):
            kinds = [names.index(o.name) for o in scene.objects] + [len(names) + colours.index(scene.background)]
            cells = self.world.owners(scene, 4 * grid).reshape(grid, 4, grid, 4).swapaxes(1, 2).reshape(grid, grid, 16)
            # A cell shows an object when at least 5 of its 16 points do; the last slot (-1) is the background.
            counts = np.stack([(cells == i).sum(-1) for i in range(len(scene.objects))])
            best = counts.argmax(0)
            found[row] = np.where(counts.max(0) >= 5, np.array(kinds)[best], kinds[-1])
        return found


def worn(x: torch.Tensor, rng: random.Random) -> torch.Tensor:
    """Pictures in -1..1 [n, 3, S, S] as a painter, a watermark or a JPEG leaves them: a little soft and noisy."""
    size = x.shape[-2:]
    if rng.random() < 0.5:
        small = F.interpolate(x, scale_factor=rng.uniform(0.5, 0.9), mode="bilinear", antialias=True)
        x = F.interpolate(small, size=size, mode="bilinear")
    return (x * rng.uniform(0.9, 1.05) + rng.uniform(-0.06, 0.06) + 0.03 * torch.randn_like(x)).clamp(-1, 1)


def _render(job: tuple[list[Scene], World, Path, int, int, int]) -> None:
    scenes, world, path, first, last, size = job
    out = np.lib.format.open_memmap(path, mode="r+")
    for i in range(first, last):
        out[i] = np.asarray(world.picture(scenes[i - first], size))


def make_pool(cache: Path, world: World, size: int, count: int, layouts: tuple[Layout, ...] = ()) -> Pool:
    """Scenes 0..count of the training split, drawn once and kept on disk; `layouts` are taken in turn."""
    kinds = layouts or (None,)
    scenes = [world.scene(i, kinds[i % len(kinds)], split="train") for i in range(count)]
    key = hashlib.blake2b(repr((size, scenes)).encode(), digest_size=6).hexdigest()
    path, done = cache / f"pool-{key}.npy", cache / f"pool-{key}.done"
    if not done.exists():
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, size, size, 3))
        chunk = max(1, math.ceil(count / (4 * (os.cpu_count() or 1))))
        jobs = [(scenes[i : i + chunk], world, path, i, min(i + chunk, count), size) for i in range(0, count, chunk)]
        if count < 500:  # drawn before other processes have even started
            list(map(_render, jobs))
        else:
            with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as workers:
                workers.map(_render, jobs)
        done.touch()
    return Pool(world, scenes, np.load(path, mmap_mode="r"), key)


# -- the autoencoder ----------------------------------------------------------------------------------------------


def train_vae(
    p: Preset, pool: Pool, folder: Path, minutes: float, max_steps: int | None, settled: bool = False
) -> None:
    """Pixels to latents of mean 0 and variance 1 and back; noise on the latents keeps the decoder forgiving.

    Once a painter has learned to speak in these latents (`settled`), only the decoder learns on.
    """
    net = models.vae(p).to(p.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rng = np.random.default_rng(1)

    def losses(step: int) -> Losses:
        # Squares around the objects: whole pictures are mostly plain ground. Every eighth batch, a few whole ones.
        whole = step % 8 == 0
        picked = np.sort(rng.choice(len(pool.scenes), p.vae_batch // 3 + 1 if whole else p.vae_batch, replace=False))
        x = pool.batch(picked, p.device) if whole else pool.crops(picked, p.size // 2, rng, p.device)
        ground = torch.from_numpy(pool.pictures[picked, 0, 0]).to(p.device).float().div(127.5).sub(1)[..., None, None]
        with torch.autocast(p.device, torch.bfloat16):
            z = net.encoder(x).float()
            y = net.decoder(z + 0.05 * torch.randn_like(z)).float()
        # Without the weight the objects' details would lose against plain ground.
        thing = (x - ground).abs().amax(1, keepdim=True) > 0.06
        difference = (y - x) * torch.where(thing, 1.6, 0.8)
        dx = difference[..., 1:] - difference[..., :-1]
        dy = difference[..., 1:, :] - difference[..., :-1, :]
        statistics = z.mean((0, 2, 3)).square().mean() + (z.var((0, 2, 3)) - 1).square().mean()
        return {
            "l1": difference.abs().mean(),
            "l2": 2 * difference.square().mean(),
            "gradient": 0.5 * (dx.abs().mean() + dy.abs().mean()),
            **({} if settled else {"statistics": 0.02 * statistics}),
        }

    loop = Loop(folder, net, p.rates["vae"], minutes, max_steps, ema=0.995, decay=0.0)
    if settled:
        loop.go_on_from_average()
        net.encoder.requires_grad_(False)
    loop.run(losses)


# -- words and pictures -------------------------------------------------------------------------------------------


def short_labels(world: World, rng: np.random.Generator) -> list[str]:
    """Everything of the world that has a name and then every background, in the words that people type as labels."""
    names = [rng.choice((article(n), article(n), n, f"a photo of {article(n)}", f"a picture of {article(n)}"))
             for n in world.nouns]  # fmt: skip
    ground = [rng.choice((f"{article(c)} background", f"{article(c)} background", f"{c} background")) for c in COLOURS]
    return [*names, *ground]


def clip_pixels(x: torch.Tensor) -> torch.Tensor:
    """-1..1 to what CLIPImageProcessor gives."""
    mean, std = (torch.tensor(v, device=x.device).view(1, 3, 1, 1) for v in (CLIP_MEAN, CLIP_STD))
    return ((x + 1) / 2 - mean) / std


LABELS = {
    "first": (*OBJECTS, PERSON), "second": (*OBJECTS, ""), "background": tuple(COLOURS), "style": STYLES,
    "layout": ("single", "left_right", "above_below", "large_small", "two", "three", "figure"),
    "place": (*PLACES, ""), "size": ("small", "medium", "large", ""), "shirt": (*COLOURS, ""),
    "trousers": (*COLOURS, ""), "arms": (*ARMS, ""), "legs": (*LEGS, ""),
}  # fmt: skip
"""What CLIP must be able to read off a caption and off a picture; "" where there is nothing to read."""


def scene_labels(scene: Scene) -> tuple[int, ...]:
    """One class number for each of `LABELS`."""
    first, person, alone = scene.objects[0], scene.person, len(scene.objects) == 1
    said = {
        "first": first.name, "second": "" if alone or scene.layout == "count" else scene.objects[1].name,
        "background": scene.background, "style": scene.style,
        "layout": {2: "two", 3: "three"}[len(scene.objects)] if scene.layout == "count" else scene.layout,
        "place": place_word(first.box) if alone else "", "size": size_word(first.box) if alone else "",
        "shirt": person.shirt if person else "", "trousers": person.trousers if person else "",
        "arms": person.arms if person else "", "legs": person.legs if person else "",
    }  # fmt: skip
    return tuple(LABELS[key].index(value) for key, value in said.items())


class ClipStudent(nn.Module):
    """CLIP with heads, used in training only, that must read the scene's content off either embedding."""

    def __init__(self, clip: CLIPModel) -> None:
        super().__init__()
        self.clip = clip
        sizes = [len(words) for words in LABELS.values()]
        text, vision = clip.config.text_config.hidden_size, clip.config.vision_config.hidden_size
        self.text_heads = nn.ModuleList(nn.Linear(text, n) for n in sizes)
        self.vision_heads = nn.ModuleList(nn.Linear(vision, n) for n in sizes)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Pooled text [n, width], pooled picture [n, width], and what each patch shows [n, patches, width]."""
        text = self.clip.text_model(input_ids=ids, attention_mask=mask).pooler_output
        seen = self.clip.vision_model(pixel_values=pixels)
        patches = self.clip.vision_model.post_layernorm(seen.last_hidden_state[:, 1:])
        return text, seen.pooler_output, patches


def train_clip(
    p: Preset,
    pool: Pool,
    tokenizer: CLIPTokenizer,
    folder: Path,
    minutes: float,
    max_steps: int | None,
    settled: bool = False,
) -> None:
    """Contrastive, half of each batch in groups that share an object, plus reading the content off each tower.

    Short labels ("an apple", "a blue background") are learned for the whole picture and for every patch of it, which
    is what zero-shot naming and its heat maps ask for. Once a painter listens to the text tower (`settled`), only the
    vision tower learns on.
    """
    net = ClipStudent(models.clip(p, tokenizer)).to(p.device)
    wear = random.Random(6)
    if p.device == "cpu":  # as in `train_painter`: the fused kernel is slow backwards in bfloat16
        net.clip.set_attn_implementation("eager")
    labels = torch.tensor([scene_labels(s) for s in pool.scenes], device=p.device)
    shown = torch.from_numpy(pool.patch_labels(p.size // p.patch)).to(p.device)
    count = len(pool.world.nouns)
    rng = np.random.default_rng(2)
    by_object: dict[str, list[int]] = {}
    for i, scene in enumerate(pool.scenes):
        by_object.setdefault(scene.objects[0].name, []).append(i)
    groups = [np.array(v) for v in by_object.values() if len(v) >= 8]

    def losses(step: int) -> Losses:
        picked = rng.choice(len(pool.scenes), p.clip_batch // 2, replace=False).tolist()
        while len(picked) < p.clip_batch:
            picked += rng.choice(groups[rng.integers(len(groups))], 8, replace=False).tolist()
        index = np.unique(np.array(picked))
        captions = [pool.world.caption(pool.scenes[i], int(rng.integers(1 << 30))) for i in index]
        tokens = tokenizer(captions, padding=True, truncation=True, return_tensors="pt").to(p.device)
        target = labels[torch.from_numpy(index).to(p.device)]
        with torch.autocast(p.device, torch.bfloat16):
            text, vision, patches = net(
                tokens.input_ids, tokens.attention_mask, clip_pixels(worn(pool.batch(index, p.device), wear))
            )
            t = F.normalize(net.clip.text_projection(text).float(), dim=-1)
            v = F.normalize(net.clip.visual_projection(vision).float(), dim=-1)
            u = F.normalize(net.clip.visual_projection(patches).float(), dim=-1)
            short = tokenizer(short_labels(pool.world, rng), padding=True, return_tensors="pt").to(p.device)
            names = net.clip.text_projection(net.clip.text_model(**short).pooler_output)
            names = F.normalize(names.float(), dim=-1)
        scale = net.clip.logit_scale.exp().clamp(max=100)
        logits = t @ v.T * scale
        same = torch.arange(len(index), device=p.device)
        rows = torch.from_numpy(index).to(p.device)
        parts = {"contrast": (F.cross_entropy(logits, same) + F.cross_entropy(logits.T, same)) / 2}
        at = shown[rows].flatten(1)
        present = F.one_hot(at, len(names)).amax(1)[:, :count].float()
        parts["naming"] = F.cross_entropy(v @ names[:count].T * scale, present / present.sum(1, keepdim=True))
        ground = target[:, list(LABELS).index("background")]
        parts["ground"] = 0.3 * F.cross_entropy(v @ names[count:].T * scale, ground)
        parts["patches"] = F.cross_entropy((u @ names.T * scale).flatten(0, 1), at.flatten())
        for name, heads, state in (("text", net.text_heads, text), ("vision", net.vision_heads, vision)):
            read = [F.cross_entropy(h(state.float()), target[:, k]) for k, h in enumerate(heads)]
            parts[name] = 0.25 * torch.stack(read).sum()
        return parts

    loop = Loop(folder, net, p.rates["clip"], minutes, max_steps, ema=0.99, decay=0.02)
    if settled:
        loop.go_on_from_average()
        net.clip.text_model.requires_grad_(False)
        net.clip.text_projection.requires_grad_(False)
    loop.run(losses)


# -- the judge ----------------------------------------------------------------------------------------------------


def sprite_scene(world: World, rng: random.Random, size: int, held_back: bool = False) -> tuple[Image.Image, int, int]:
    """One sprite at any scale and place on any colour, at times with a small other one: picture, object, style.

    With `held_back`, a colour gradient that training never shows.
    """
    art = world.art
    name, style = rng.choice(art.names), rng.choice(art.styles)
    ground = tuple(rng.randrange(256) for _ in range(3)) if rng.random() < 0.4 else COLOURS[rng.choice(tuple(COLOURS))]
    if held_back:
        top, bottom = (np.array([rng.randrange(256) for _ in range(3)]) for _ in range(2))
        ramp = np.linspace(0, 1, size)[:, None]
        canvas = Image.fromarray(np.repeat((top * (1 - ramp) + bottom * ramp)[:, None], size, 1).astype(np.uint8))
    else:
        canvas = Image.new("RGB", (size, size), ground)
    if not held_back and rng.random() < 0.25:
        other = world.cut(rng.choice(art.names), style).copy()
        other.thumbnail((size // 3, size // 3), Image.Resampling.LANCZOS)
        canvas.paste(other, (rng.randrange(size - other.width), rng.randrange(size - other.height)), other)
    cut = world.cut(name, style)
    side = rng.uniform(0.34, 0.95) * size
    scale = side / max(cut.size)
    cut = cut.resize((max(1, round(cut.width * scale)), max(1, round(cut.height * scale))), Image.Resampling.LANCZOS)
    if rng.random() < 0.3:
        cut = cut.rotate(rng.uniform(-8, 8), Image.Resampling.BICUBIC)
    canvas.paste(cut, (rng.randint(0, size - cut.width), rng.randint(0, size - cut.height)), cut)
    return canvas, tuple(OBJECTS).index(name), STYLES.index(style)


def train_judge(p: Preset, world: World, folder: Path, out: Path, minutes: float, max_steps: int | None) -> Judge:
    """Sees sprites only, softened now and then, so that it also judges slightly blurred drawings."""
    size = 64
    net = JudgeNet(len(OBJECTS), len(STYLES), p.judge_width).to(p.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rng = random.Random(3)

    def losses(step: int) -> Losses:
        rows = [sprite_scene(world, rng, size) for _ in range(p.judge_batch)]
        x = torch.from_numpy(np.stack([np.asarray(r[0]) for r in rows])).to(p.device)
        x = x.permute(0, 3, 1, 2).float().div(127.5).sub(1)
        x = worn(x, rng)
        sprites = torch.tensor([r[1] * len(STYLES) + r[2] for r in rows], device=p.device)
        with torch.autocast(p.device, torch.bfloat16):
            logits = net(x.contiguous(memory_format=torch.channels_last)).flatten(1)
        return {"sprite": F.cross_entropy(logits.float(), sprites, label_smoothing=0.05)}

    Loop(folder, net, p.rates["judge"], minutes, max_steps, ema=0.995).run(losses)
    net = averaged(folder, JudgeNet(len(OBJECTS), len(STYLES), p.judge_width))
    config = {"objects": list(OBJECTS), "styles": list(STYLES), "size": size, "width": p.judge_width,
              "colours": {k: list(v) for k, v in COLOURS.items()}}  # fmt: skip
    judge = Judge(net, config)  # type: ignore[arg-type]
    judge.save(out)
    return judge


# -- the painter --------------------------------------------------------------------------------------------------


@torch.no_grad()
def make_latents(p: Preset, pool: Pool, vae_folder: Path, path: Path) -> tuple[torch.Tensor, float]:
    """All pictures of the pool as latents of unit variance (fp16), and the factor that made them so."""
    if path.exists():
        saved = torch.load(path, weights_only=True)
        if saved.get("pool") == pool.key:
            return saved["latents"], saved["scaling"]
    net = averaged(vae_folder, models.vae(p)).to(p.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    parts = []
    for start in range(0, len(pool.scenes), 256):
        x = pool.batch(np.arange(start, min(start + 256, len(pool.scenes))), p.device)
        with torch.autocast(p.device, torch.bfloat16):
            parts.append(net.encoder(x).half().cpu())  # type: ignore[operator]
    latents = torch.cat(parts)
    scaling = 1 / float(latents[:4096].float().std())
    torch.save({"latents": latents, "scaling": scaling, "pool": pool.key}, path)
    return latents, scaling


def train_painter(p: Preset, pool: Pool, tokenizer: CLIPTokenizer, clip: CLIPModel, latents: torch.Tensor,
                  scaling: float, folder: Path, minutes: float, max_steps: int | None) -> None:  # fmt: skip
    """v-prediction on cached latents; every tenth caption is empty so that guidance has something to guide from."""
    net = models.unet(p)
    net = net.to(p.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if p.device == "cpu":  # the fused kernel's backward pass in bfloat16 is slower than everything else together
        net.set_attn_processor(AttnProcessor())
    text = clip.text_model.to(p.device).eval().requires_grad_(False)
    bars = models.scheduler().alphas_cumprod.to(p.device)

    def losses(step: int) -> Losses:
        rng = np.random.default_rng((4, step))
        picked = rng.choice(len(pool.scenes), p.painter_batch, replace=False)
        captions = [
            "" if rng.random() < 0.1 else pool.world.caption(pool.scenes[i], int(rng.integers(1 << 30))) for i in picked
        ]
        ids = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids.to(p.device)
        with torch.no_grad(), torch.autocast(p.device, torch.bfloat16):
            words = text(input_ids=ids).last_hidden_state.float()
        z = latents[torch.from_numpy(picked)].to(p.device).float() * scaling
        # Stratified times: every batch covers all noise levels, the high ones, where shapes are decided, more densely.
        spread = (torch.arange(len(z), device=p.device) + torch.rand(len(z), device=p.device)) / len(z)
        t = (spread**0.7 * len(bars)).long()
        a, s = bars[t].sqrt().view(-1, 1, 1, 1), (1 - bars[t]).sqrt().view(-1, 1, 1, 1)
        noise = torch.randn_like(z)
        noisy = (a * z + s * noise).to(memory_format=torch.channels_last)
        with torch.autocast(p.device, torch.bfloat16, enabled=p.unet_bf16):
            guess = net(noisy, t, words).sample
        return {"v": F.mse_loss(guess.float(), a * noise - s * z)}

    Loop(folder, net, p.painter_rate, minutes, max_steps, ema=p.ema).run(losses)
