"""Writes what was measured: docs/starter-models.md, metrics.json and the model card of the pack, loss curves."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from studio.starter import exam
from studio.starter.vocabulary import (
    COLOURS,
    LAYOUTS,
    OBJECTS,
    PAIRS,
    PROMISED,
    PROMISED_LAYOUTS,
    PROMISED_STYLES,
    STYLES,
)

LABELS = {
    "colour": "Background colour right (rim within CIEDE2000 15)", "top1": "Object, top-1", "top5": "Object, top-5",
    "style": "Style", "layout": "Two objects, both right and in place", "left_right": "... left / right",
    "above_below": "... above / below", "large_small": "... large / small", "count": "Two or three of one object",
}  # fmt: skip
WRITTEN_BY_HAND = "## Pack 2 (in training)"
"""From this heading on, the page is kept as it is."""
BARS = {"colour": 0.95, "top1": 0.75, "style": 0.80, "layout": 0.50}


def _rate(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    return f"{100 * row['value']:.1f} % ({100 * max(0.0, low):.1f} to {100 * high:.1f}, n = {row['trials']})"


def promised_bars() -> list[str]:
    """The bars that count: the one for pairs only where the vocabulary promises them."""
    pairs = any(name in PROMISED_LAYOUTS for name in PAIRS)
    return [key for key in BARS if key != "layout" or pairs]


def _size(folder: Path) -> float:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6


def curves(work: Path, docs: Path) -> list[str]:
    """One PNG with the loss curve of every step; returns one line of facts for each."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = [n for n in ("vae", "clip", "judge", "painter", "blip") if (work / n / "log.jsonl").exists()]
    if not names:
        return []
    figure, axes = plt.subplots(1, len(names), figsize=(4 * len(names), 3), squeeze=False)
    facts = []
    for axis, name in zip(axes[0], names, strict=True):
        lines = (work / name / "log.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        for key in [k for k in rows[-1] if k not in ("step", "spent", "rate")]:
            axis.plot([r["step"] for r in rows], [r.get(key, float("nan")) for r in rows], label=key, linewidth=1)
        axis.set(title=name, xlabel="step", yscale="log")
        axis.legend(fontsize=7)
        # A small step back is a sitting that went on from its last checkpoint, a large one a budget of its own.
        spent = [0.0, *(r["spent"] for r in rows)]
        total = sum(max(0.0, b - a) if b > a / 2 else b for a, b in pairwise(spent))
        facts.append(f"{name}: {rows[-1]['step']:,} steps in {total / 60:.0f} minutes")
    figure.tight_layout()
    (docs / "starter").mkdir(parents=True, exist_ok=True)
    figure.savefig(docs / "starter/losses.png", dpi=80)
    plt.close(figure)
    return facts


def table(figures: dict[str, Any]) -> str:
    lines = ["| What | Painter | Bar | Judge on true scenes |", "| --- | --- | --- | --- |"]
    for key, label in LABELS.items():
        if key in figures["painter"]:
            bar = f"{100 * BARS[key]:.0f} %" if key in promised_bars() else ""
            if key in {*LAYOUTS, *BARS} - {*PROMISED_LAYOUTS, *promised_bars()}:
                bar = "not promised"
            lines.append(
                f"| {label} | {_rate(figures['painter'][key])} | {bar} | {_rate(figures['true_scenes'][key])} |"
            )
    return "\n".join(lines)


UNDERSTANDING = {
    "zero_shot_20": "Naming the object among 20 (CLIP, zero-shot)",
    "zero_shot_all": f"... among all {len(PROMISED)}", "zero_shot_all_top5": "... within the first five of them",
    "zero_shot_colour": f"Naming the background among {len(COLOURS)} (CLIP, zero-shot)",
    "retrieval_1000": "Finding a picture among 1,000 by a sentence, first hit (CLIP)",
    "retrieval_1000_top5": "... within the first five hits",
    "vqa": "Answering questions (BLIP), all kinds", "what": "... what is it, which style",
    "colour": "... which colour is the background", "where": "... where is it, what is there",
    "count": "... how many", "exists": "... is there", "relation": "... left or right, above or below",
    "size": "... which is larger",
    "caption": "Captions that name every object and the background (BLIP)", "caption_single": "... of one object alone",
}  # fmt: skip
QUESTIONS = ("what", "colour", "where", "count", "exists", "relation", "size")


def understanding(rates: dict[str, Any]) -> str:
    """The table of what is asked about pictures, and which bars are missed."""
    bars = {**exam.BARS, **dict.fromkeys(QUESTIONS, exam.QUESTION_BAR)}
    lines = ["| What | Right | Bar |", "| --- | --- | --- |"]
    for key, label in UNDERSTANDING.items():
        lines.append(f"| {label} | {_rate(rates[key])} | {f'{100 * bars[key]:.0f} %' if key in bars else ''} |")
    missed = [UNDERSTANDING[key].removeprefix("... ") for key, bar in bars.items() if rates[key]["value"] < bar]
    verdict = f"Below its bar: {', '.join(missed)}." if missed else "Every bar is met."
    return "\n".join([*lines, "", verdict])


def write(figures: dict[str, Any], pack: Path, work: Path, docs: Path) -> None:
    """`work` holds the training logs; without them the curves and the facts about training are left as they are."""
    facts = curves(work, docs)
    if facts:
        figures["training"] = facts
    elif (pack / "metrics.json").exists():
        figures["training"] = json.loads((pack / "metrics.json").read_text(encoding="utf-8")).get("training", [])
    (pack / "metrics.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    page = docs / "starter-models.md"
    _, mark, kept = page.read_text(encoding="utf-8").partition(WRITTEN_BY_HAND) if page.exists() else ("", "", "")
    page.write_text(_document(figures, pack) + (f"\n{mark}{kept}" if mark else ""), encoding="utf-8")
    (pack / "README.md").write_text(_card(figures), encoding="utf-8")


def _document(f: dict[str, Any], pack: Path) -> str:
    s, seconds, sprites = f["settings"], f["seconds_per_picture"], f["judge_on_sprites"]
    missed = [LABELS[k] for k in promised_bars() if f["painter"][k]["value"] < BARS[k]]
    verdict = f"Below its bar: {', '.join(missed)}." if missed else "Every bar of what is promised is met."
    styles = ", ".join(PROMISED_STYLES)
    said = {"single": "alone", "left_right": "left and right", "above_below": "above and below",
            "large_small": "large and small", "count": "two and three of a kind"}  # fmt: skip
    layouts = ", ".join(said[name] for name in PROMISED_LAYOUTS)
    return f"""# The starter models

Small models that this project trained itself, so that the studio draws offline on any computer. They know a toy
world: {len(PROMISED)} everyday objects in {len(PROMISED_STYLES)} styles ({styles}) on {len(COLOURS)} plain background
colours; layouts: {layouts}. They know nothing else: no people, no scenery, no object outside
`assets/starter/vocabulary.json`.

The recipe knows {len(OBJECTS)} objects in {len(STYLES)} styles, and so do tokenizer, CLIP and judge. The painter
has not trained long enough on its two processor cores to draw all of them well, so the promise was shrunk: it covers
what `PROMISED`, `PROMISED_STYLES` and `PROMISED_LAYOUTS` in `studio/starter/vocabulary.py` list. Every
object has one place per layout, so seeds differ little when a prompt says everything. Training goes on
from these weights (`make starter ARGS="--from-pack assets/starter"`), and a longer one can promise more.

This page is written by `python -m studio.starter.evaluate`; the same figures lie in `assets/starter/metrics.json`.

## Measured

{f["prompts"]} prompts whose combination of object, style and background, or whose pair of objects, was kept out of all
training. One picture per prompt, {s["steps"]} steps of {s["sampler"]}, guidance {s["guidance"]}, none picked.
In brackets the 95 % Wilson interval. The last column is the same judge on true scenes: no
painter can be seen to do better.

{table(f)}

{verdict} A pair counts only when both halves of the picture are named right (top-1) and each object is where it was
asked for; "large / small" and counts also need the right sizes and the right number of separate things.

- **Speed**: {seconds["median"]:.2f} s per picture (median of {seconds["n"]}, worst {seconds["worst"]:.2f} s), models
  loaded in {f["load_seconds"]:.1f} s, on {f["machine"]}.
- **Size**: native picture {f["native_size"]} px; UNet {f["parameters_millions"]["unet"]} M parameters, autoencoder
  {f["parameters_millions"]["vae"]} M, text tower {f["parameters_millions"]["text_encoder"]} M; the whole pack
  {_size(pack):.0f} MB in half precision.
- **Autoencoder**: {f["vae_psnr_db"]:.1f} dB mean PSNR on held-out scenes.
- **Judge** (a small CNN that saw sprites only), on sprites over colour gradients that it never trained on: object
  {_rate(sprites["top1"])}, top-5 {_rate(sprites["top5"])}, style {_rate(sprites["style"])}.

## Understanding

What the CLIP and the two BLIPs of the pack know of true scenes at {exam.SIDE} px, again of held-out combinations.
Questions come in many wordings, one of each kind about each of 600 scenes, and count as right when the whole answer is.
Captions are those that come unasked.

{understanding(f["understanding"])}

These models know the objects, styles and layouts of the toy world (also pairs and counts, which the painter cannot
draw well yet) and nothing else: about a photograph they answer just as surely, and wrongly.

## Pictures

Single objects, held-out combinations, drawn at random from the {f["prompts"]}, not picked:

![Held-out single objects](starter/sheet.png)

Pairs and counts, likewise:

![Held-out pairs and counts](starter/sheet-layouts.png)

The example prompts that the studio suggests:

![Example prompts](starter/sheet-examples.png)

The same prompts and seeds under every sampler:

![Samplers](starter/sheet-samplers.png)

## How they were made

`make starter` fetches four openly licensed emoji sets from the npm registry, composes scenes from them
(`studio/starter/world.py`), and trains, one after the other, a byte-level BPE tokenizer, the judge, an autoencoder
(`AutoencoderTiny`), a `CLIPModel` whose text tower conditions the painter, the painter (`UNet2DConditionModel`,
v-prediction on cached latents, every tenth caption empty), and two BLIPs with one vision tower that began as CLIP's,
for questions and captions. CLIP learns whole captions, short labels, and which label every patch shows; the last is
why its heat maps are sharp. Each step resumes from its checkpoint in `~/.cache/creative-studio/starter`;
averaged weights are shipped. The noise levels follow a cosine that ends at alpha-bar 1e-3: practically pure noise, yet
gentle enough for every sampler. `--preset gpu` runs the same recipe with larger networks at 128 px on one accelerator.

The first pack's painter saw all {len(OBJECTS)} objects at any size and place for three quarters of an hour before its
world was narrowed to what is promised now; `make starter` begins with the narrowed world.

{chr(10).join(f"- {line}" for line in f.get("training", []))}

![Loss curves](starter/losses.png)
"""


def _card(f: dict[str, Any]) -> str:
    return f"""---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
---

# Starter models of the Creative Studio

`painter/` is a `StableDiffusionPipeline`
(`StableDiffusionPipeline.from_pretrained("assets/starter/painter")`), `clip/` a `CLIPModel`
with tokenizer and image processor, `vqa/` a `BlipForQuestionAnswering` and `caption/` a
`BlipForConditionalGeneration` with their `BlipProcessor`, `judge/` a small classifier that checks what was drawn,
`vocabulary.json` what the models can draw. Native size {f["native_size"]} px. They were trained from random weights on
composed pictures of emoji art; no photograph, no person, no scraped data was used.

## Use and limits

For trying the studio offline, for tests and teaching. The understanding models know the same toy world and nothing
else: about a photograph they say something just as surely, and it is wrong. The painter draws {len(PROMISED)} objects
in {len(PROMISED_STYLES)} styles on {len(COLOURS)} background colours and nothing else; a prompt outside
`vocabulary.json` gives some object of it. Colours named for an object are not followed: an object has the
colours of its art.

## Measured on {f["prompts"]} held-out prompts

{table(f)}

## Understanding, measured on held-out scenes

{understanding(f["understanding"])}

How this was measured: `docs/starter-models.md`.

## Data and licences

The weights and everything in this folder are licensed Apache-2.0. The pictures that the models learned from are:

| Look | Art | Author | Licence |
| --- | --- | --- | --- |
| 3d | Fluent Emoji 3D (`@lobehub/fluent-emoji-3d`) | Microsoft | MIT |
| flat | Fluent Emoji Flat (`@iconify-json/fluent-emoji-flat`) | Microsoft | MIT |
| cartoon | Noto Emoji (`@iconify-json/noto`) | Google | Apache-2.0 |
| sticker | Twemoji (`@iconify-json/twemoji`), with a rim | Twitter and other contributors | CC BY 4.0 |

Names come from `emojibase-data` (MIT, Miles Johnson). Twemoji graphics: Copyright 2020 Twitter, Inc and other
contributors, licensed under CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/); changed
here (rasterised, given a rim, composed into scenes).
"""
