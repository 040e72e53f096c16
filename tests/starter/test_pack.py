# transformers, diffusers and Pillow type these calls wider than they are.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportOperatorIssue=false
"""The shipped pack: loadable by plain diffusers and transformers, honest about what it can do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from transformers import BlipForQuestionAnswering, BlipProcessor, CLIPImageProcessor, CLIPModel, CLIPTokenizer

from studio.starter import exam, models, vocabulary
from studio.starter.colour import delta_e, rgb_to_lab
from studio.starter.evaluate import COUNTS, held_out_scenes, score
from studio.starter.judge import Judge
from studio.starter.rate import prompt
from studio.starter.report import BARS, LABELS, UNDERSTANDING, promised_bars
from studio.starter.world import World, held_out

PACK = Path(__file__).parents[2] / "assets/starter"
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def pipe() -> Any:
    """Loaded as a stranger would, with no code of ours."""
    made = StableDiffusionPipeline.from_pretrained(PACK / "painter", torch_dtype=torch.float32)
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    return json.loads((PACK / "vocabulary.json").read_text(encoding="utf-8"))


def test_every_part_is_of_one_precision_as_a_stranger_loads_it() -> None:
    plain = StableDiffusionPipeline.from_pretrained(PACK / "painter")
    assert {plain.unet.dtype, plain.vae.dtype, plain.text_encoder.dtype} == {torch.float32}
    assert plain("a red apple on a blue background", num_inference_steps=2).images[0].size == (64, 64)
    clip = CLIPModel.from_pretrained(PACK / "clip")
    processor: Any = CLIPImageProcessor.from_pretrained(PACK / "clip")
    pixels = processor(images=plain("a cat", num_inference_steps=1).images, return_tensors="pt")
    seen = clip.get_image_features(**pixels)
    assert torch.isfinite(seen.pooler_output).all()
    eyes = BlipForQuestionAnswering.from_pretrained(PACK / "vqa")
    reader: Any = BlipProcessor.from_pretrained(PACK / "vqa")
    asked = reader(images=plain("a cat", num_inference_steps=1).images, text="what is it?", return_tensors="pt")
    assert eyes.generate(**asked, max_new_tokens=4).shape[0] == 1


def draw(pipe: Any, prompts: list[str], steps: int = 16) -> list[Any]:
    seeds = [torch.Generator().manual_seed(i) for i in range(len(prompts))]
    return pipe(prompts, num_inference_steps=steps, guidance_scale=3.0, generator=seeds).images


def test_the_vocabulary_is_the_codes_and_wide_enough(published: dict[str, Any]) -> None:
    assert published == vocabulary.as_json(published["native_size"])
    assert len(published["objects"]) >= 60 and len(set(published["objects"])) == len(published["objects"])
    assert len(published["styles"]) >= 3 and len(published["colours"]) >= 10
    assert len(published["prompt_examples"]) >= 20
    named = [*published["objects"], *(vocabulary.plural(n) for n in published["objects"])]
    for example in published["prompt_examples"]:
        assert any(re.search(rf"\b{name}\b", example) for name in named), example
        assert any(colour in example for colour in published["colours"]), example


def test_background_colours_cannot_be_mistaken_for_each_other() -> None:
    lab = rgb_to_lab(list(vocabulary.COLOURS.values()))
    apart = delta_e(lab[:, None], lab[None]) + 100 * np.eye(len(lab))
    assert apart.min() > 15


def test_ciede2000_gives_the_published_values() -> None:
    # Pairs 1, 17 and 34 of the test data of Sharma, Wu and Dalal.
    assert delta_e([50, 2.6772, -79.7751], [50, 0, -82.7485]) == pytest.approx(2.0425, abs=1e-4)
    assert delta_e([50, 2.5, 0], [73, 25, -18]) == pytest.approx(27.1492, abs=1e-4)
    assert delta_e([2.0776, 0.0795, -1.1350], [0.9033, -0.0636, -0.5514]) == pytest.approx(0.9082, abs=1e-4)


def test_files_are_small_safetensors() -> None:
    files = [f for f in PACK.rglob("*") if f.is_file()]
    assert not [f for f in files if f.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl")]
    assert max(f.stat().st_size for f in files) < 9.5e6
    assert sum(f.stat().st_size for f in files) < 80e6


def test_asked_red_is_drawn_red(pipe: Any, judge: Judge) -> None:
    colours = list(vocabulary.COLOURS)
    things = ["apple", "banana", "rocket", "heart", "star", "penguin"]
    prompts = [f"a {things[i % len(things)]} on a {c} background" for i, c in enumerate(colours)]
    pictures = draw(pipe, prompts)
    right = [judge.look(p).background == c for p, c in zip(pictures, colours, strict=True)]
    assert sum(right) >= len(colours) - 1, list(zip(colours, right, strict=True))
    named = [things[i % len(things)] in [n for n, _ in judge.look(p).objects[:5]] for i, p in enumerate(pictures)]
    assert sum(named) >= 0.6 * len(named)


def test_an_objects_colour_does_not_take_over_the_background(pipe: Any, judge: Judge) -> None:
    (picture,) = draw(pipe, ["a red apple on a blue background"])
    verdict = judge.look(picture)
    assert verdict.background == "blue"
    assert "apple" in [name for name, _ in verdict.objects[:5]]


@pytest.mark.parametrize(
    ("name", "options", "steps"),
    [
        ("DDPMScheduler", {}, 40), ("DDIMScheduler", {}, 16), ("PNDMScheduler", {}, 20),
        ("EulerDiscreteScheduler", {}, 16), ("EulerAncestralDiscreteScheduler", {}, 24),
        ("HeunDiscreteScheduler", {}, 12), ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}, 16),
        ("UniPCMultistepScheduler", {}, 16), ("LCMScheduler", {}, 16),
    ],
)  # fmt: skip
def test_every_sampler_draws_what_was_asked(
    pipe: Any, judge: Judge, name: str, options: dict[str, Any], steps: int
) -> None:
    shipped = pipe.scheduler
    try:
        pipe.scheduler = getattr(diffusers, name).from_config(shipped.config, **options)
        prompts = ["a carrot on a blue background", "an eggplant on a yellow background", "a star on a red background"]
        verdicts = [judge.look(p) for p in draw(pipe, prompts, steps)]
    finally:
        pipe.scheduler = shipped
    assert [v.background for v in verdicts] == ["blue", "yellow", "red"]
    named = [n in [o for o, _ in v.objects[:5]] for n, v in zip(("carrot", "eggplant", "star"), verdicts, strict=True)]
    assert sum(named) >= 2


def test_the_noise_ends_at_practically_nothing_but_noise(pipe: Any) -> None:
    bars = pipe.scheduler.alphas_cumprod
    assert 0 < float(bars[-1]) < 2e-3 and float(bars[0]) > 0.999
    assert torch.allclose(bars, models.scheduler().alphas_cumprod)


def test_latents_have_unit_variance(pipe: Any, promised: World) -> None:
    size = pipe.unet.config.sample_size * pipe.vae_scale_factor
    pictures = np.stack([np.asarray(promised.picture(promised.scene(i), size)) for i in range(64)])
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        latents = pipe.vae.encode(x).latents * pipe.vae.config.scaling_factor
        back = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
    assert 0.8 < float(latents.std()) < 1.2 and abs(float(latents.mean())) < 0.2
    assert float(10 * torch.log10(4 / (x - back.clamp(-1, 1)).square().mean())) > 24


@pytest.fixture(scope="module")
def promised(world: World) -> World:
    """What the pack promises, as far as the sample of the art has it."""
    return World(world.art, vocabulary.PROMISED, vocabulary.PROMISED_STYLES, free=False)


def test_clip_matches_captions_with_pictures(promised: World) -> None:
    model = CLIPModel.from_pretrained(PACK / "clip", dtype=torch.float32).eval()
    tokenizer = CLIPTokenizer.from_pretrained(PACK / "clip")
    processor = CLIPImageProcessor.from_pretrained(PACK / "clip")
    names = promised.names
    scenes = [promised.compose("single", (n,), "cartoon", "blue", i) for i, n in enumerate(names)]
    with torch.no_grad():
        scores = model(
            **tokenizer([f"a cartoon {n} on a blue background" for n in names], padding=True, return_tensors="pt"),
            **processor(images=[promised.picture(s, 256) for s in scenes], return_tensors="pt"),
        ).logits_per_image
    assert float((scores.argmax(1) == torch.arange(len(names))).float().mean()) >= 0.9


def test_questions_about_held_out_scenes_are_answered(promised: World) -> None:
    rates = exam.vqa_figures(PACK, promised, 48)
    assert rates["vqa"].value >= 0.8, rates


def test_captions_of_held_out_scenes_name_object_and_ground(promised: World) -> None:
    rates = exam.caption_figures(PACK, promised, 30)
    assert rates["caption"].value >= 0.75 and rates["caption_single"].trials >= 8, rates


def test_the_tokenizer_knows_every_character() -> None:
    tokenizer = CLIPTokenizer.from_pretrained(PACK / "painter/tokenizer")
    ids = tokenizer("a 3d apple, café 東京 😀!").input_ids
    assert ids[0] == tokenizer.bos_token_id and ids[-1] == tokenizer.eos_token_id
    assert tokenizer.eos_token_id not in ids[1:-1]
    assert len(tokenizer("a red apple on a blue background").input_ids) == 9


def test_the_judge_names_true_scenes(promised: World, judge: Judge) -> None:
    rng_scenes = [promised.scene(i, "single") for i in range(120)]
    rates = score([promised.picture(s) for s in rng_scenes], rng_scenes, judge)
    assert rates["top1"].value > 0.9 and rates["style"].value > 0.85 and rates["colour"].value == 1


def test_the_judge_says_so_when_no_named_colour_is_near(judge: Judge) -> None:
    from PIL import Image

    name, distance = judge.background(Image.new("RGB", (256, 256), (120, 120, 40)))
    assert name is None and distance > 15
    assert judge.background(Image.new("RGB", (256, 256), vocabulary.COLOURS["teal"])) == ("teal", 0.0)


def test_the_measured_prompts_were_never_trained_on(promised: World) -> None:
    scenes = held_out_scenes(promised)
    assert len(scenes) == sum(COUNTS.values()) >= 400
    assert all(held_out(s) for s in scenes)
    import random

    text = prompt(scenes[0], random.Random(0))
    assert scenes[0].objects[0].name in text and f"{scenes[0].background} background" in text


def test_the_page_shows_the_figures_of_the_pack_and_names_what_is_below_its_bar() -> None:
    figures = json.loads((PACK / "metrics.json").read_text(encoding="utf-8"))
    page = (DOCS / "starter-models.md").read_text(encoding="utf-8")
    card = (PACK / "README.md").read_text(encoding="utf-8")
    for key in ("colour", "top1", "top5", "style", "layout"):
        row = figures["painter"][key]
        for text in (page, card):
            assert f"{100 * row['hits'] / row['trials']:.1f} %" in text, key
    verdict = page[page.index("Every bar" if "Every bar" in page else "Below its bar") :].split(".")[0]
    for key in promised_bars():
        assert (figures["painter"][key]["value"] < BARS[key]) == (LABELS[key] in verdict), key
    assert figures["painter"]["colour"]["value"] >= BARS["colour"]
    rates = figures["understanding"]
    assert all(f"{100 * row['hits'] / row['trials']:.1f} %" in page for row in rates.values())
    below = page[page.index("## Understanding") :]
    below = below[below.index("Every bar" if "Every bar" in below else "Below its bar") :].split(".")[0]
    for key, bar in exam.BARS.items():
        assert (rates[key]["value"] < bar) == (UNDERSTANDING[key] in below), key
    assert figures["prompts"] >= 400
    assert figures["seconds_per_picture"]["median"] <= 3 and figures["load_seconds"] <= 5
    for licence in ("MIT", "Apache-2.0", "CC BY 4.0"):
        assert licence in card
    for picture in re.findall(r"\((starter/[^)]*)\)", page):
        assert (DOCS / picture).exists()
