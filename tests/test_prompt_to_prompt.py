"""Prompt-to-Prompt: words change, the layout stays, and nothing stays behind in the model."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import structural_similarity
from transformers import CLIPTokenizer

from studio.capabilities import BY_NAME
from studio.capability import Output, Source
from studio.drawing import attention
from studio.drawing.alignment import align, split
from studio.errors import Cancelled, StudioError
from studio.models.catalog import Catalog
from studio.models.manager import ModelManager
from studio.settings import Settings
from studio.starter.judge import Judge
from tests import tiny

P2P: Any = BY_NAME["prompt-to-prompt"]
T2I: Any = BY_NAME["text-to-image"]
SOURCE = "a" * 32
ASSETS = Path(__file__).parents[1] / "assets" / "starter"
TINY = ("sd15", "sd21", "sdxl", "sdxl-turbo", "lcm-dreamshaper")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny.catalog(tmp_path_factory.mktemp("p2p"), *TINY, "flux2-klein-4b")


@pytest.fixture(scope="module")
def models(catalog: Catalog) -> ModelManager:
    return ModelManager(catalog.settings, catalog)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return Catalog(Settings(data_dir=tmp_path_factory.mktemp("shipped")))


@pytest.fixture(scope="module")
def painter(shipped: Catalog) -> ModelManager:
    return ModelManager(shipped.settings, shipped)


def draw(catalog: Catalog, models: ModelManager, **fields: Any) -> Output:
    small = {"width": 256, "height": 256, "steps": 3}
    asked = T2I.request(**{"prompt": "a red ball", "seed": 5, "model": "sd15", **small, **fields})
    return next(T2I.run(T2I.prepare(asked, catalog), tiny.Context(catalog, models)))


def redraw(
    catalog: Catalog, models: ModelManager, made: Output, prompt: str, cancel_at: int | None = None, **fields: Any
) -> Output:
    context = tiny.Context(catalog, models, cancel_at=cancel_at)
    context.sources[SOURCE] = Source(SOURCE, "made", str(made.parameters["prompt"]), parameters=made.parameters)
    request = P2P.request(picture=SOURCE, prompt=prompt, **fields)
    return next(P2P.run(P2P.prepare(P2P.adopt(request, context.source, catalog), catalog), context))


def levels(one: Output, other: Output) -> np.ndarray[Any, Any]:
    return np.abs(np.asarray(one.image).astype(int) - np.asarray(other.image).astype(int))


@pytest.mark.parametrize("family", TINY)
def test_the_same_words_give_the_same_picture_and_others_another(
    family: str, catalog: Catalog, models: ModelManager
) -> None:
    made = draw(catalog, models, model=family)
    same, other, plain = (
        redraw(catalog, models, made, "a red ball"),
        redraw(catalog, models, made, "a blue ball"),
        draw(catalog, models, model=family, prompt="a blue ball"),
    )
    assert levels(made, same).max() <= 2
    assert other.image.tobytes() != plain.image.tobytes()
    told = other.parameters
    assert (told["capability"], told["prompt"], told["source_prompt"]) == (P2P.name, "a blue ball", "a red ball")
    assert {told[name] for name in ("seed", "steps")} == {5, 3}
    assert list(told["attention_maps"]) == ["a", "blue", "ball"]
    assert other.parents == (SOURCE,)
    off = redraw(catalog, models, made, "a blue ball", cross_attention_share=0, self_attention_share=0)
    assert levels(off, plain).max() <= 2, "without any share it is a plain redraw"


@pytest.mark.parametrize("sampler", ["euler-a", "lcm", "heun"])
def test_samplers_that_add_noise_add_the_same_to_both(sampler: str, catalog: Catalog, models: ModelManager) -> None:
    made = draw(catalog, models, sampler=sampler)
    assert levels(made, redraw(catalog, models, made, "a red ball")).max() <= 2


def test_weights_of_the_source_and_of_the_new_words(catalog: Catalog, models: ModelManager) -> None:
    made = draw(catalog, models, prompt="a (red:1.4) ball", negative_prompt="(green:1.2)")
    same = redraw(catalog, models, made, "a red ball", cross_attention_share=1)
    assert same.parameters["negative_prompt"] == "(green:1.2)"
    stressed, weakened = (redraw(catalog, models, made, f"a (red:{weight}) ball") for weight in (3, 0.2))
    assert levels(stressed, weakened).max() > 0
    assert levels(same, stressed).max() > 0


@pytest.fixture
def painting(painter: ModelManager, shipped: Catalog) -> Iterator[Output]:
    """A picture of the starter; afterwards it must still come out with the very same bytes."""
    fields = {"model": "starter", "prompt": "a red apple on a blue background", "steps": 6}
    made = draw(shipped, painter, **fields)
    yield made
    assert draw(shipped, painter, **fields).image.tobytes() == made.image.tobytes()


class TestNothingStaysBehind:
    def test_after_a_picture(self, painting: Output, shipped: Catalog, painter: ModelManager) -> None:
        redraw(shipped, painter, painting, "a green apple on a blue background")

    def test_after_cancel(self, painting: Output, shipped: Catalog, painter: ModelManager) -> None:
        with pytest.raises(Cancelled):
            redraw(shipped, painter, painting, "a green apple", cancel_at=3)

    def test_after_an_error(
        self, painting: Output, shipped: Catalog, painter: ModelManager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any) -> Any:
            raise RuntimeError("in the middle of a layer")

        with monkeypatch.context() as patch:
            patch.setattr(attention.Control, "across", broken)
            with pytest.raises(RuntimeError, match="middle of a layer"):
                redraw(shipped, painter, painting, "a green apple")

    def test_the_processors_are_the_same_objects(self) -> None:
        unet = tiny.unet()
        before = dict(unet.attn_processors)
        words = split(tiny.clip_tokenizer(), "a ball")
        with pytest.raises(ValueError, match="here"):
            control = attention.Control(
                type("Pipe", (), {"unet": unet}), align(words, words, 77), cross_share=1, self_share=1
            )
            with attention.controlled(unet, control, (32, 32)):
                assert all(unet.attn_processors[name] is not each for name, each in before.items())
                raise ValueError("here")
        assert all(unet.attn_processors[name] is each for name, each in before.items())
        assert not unet._forward_pre_hooks


def test_a_word_is_swapped_and_the_layout_stays(shipped: Catalog, painter: ModelManager) -> None:
    """By the judge and by likeness: nearer to the picture than the same words drawn plainly with the same seed."""
    judge = Judge.load(ASSETS / "judge")
    for was, now in (("apple", "lemon"), ("pig", "fox"), ("lion", "pig")):
        made, plain = (
            draw(shipped, painter, model="starter", prompt=PLACE.format(word), seed=1, steps=10) for word in (was, now)
        )
        other = redraw(shipped, painter, made, PLACE.format(now))
        assert judge.look(made.image).objects[0][0] == was
        assert judge.look(other.image).objects[0][0] == now
        assert alike(made, other) > alike(made, plain) + 0.005, (was, now)


PLACE = "a {} on a blue background"


def alike(one: Output, other: Output) -> float:
    likeness: Any = structural_similarity(np.asarray(one.image), np.asarray(other.image), channel_axis=2)
    return float(likeness)


def test_maps_show_where_a_word_is_and_are_small(shipped: Catalog, painter: ModelManager) -> None:
    made = draw(shipped, painter, model="starter", prompt="a red apple on a blue background", steps=6)
    other = redraw(shipped, painter, made, "a red apple, a red apple on a blue background")
    maps = other.parameters["attention_maps"]
    assert list(maps) == ["a", "red", "apple", "a (2)", "red (2)", "apple (2)", "on", "a (3)", "blue", "background"]
    assert sum(map(len, maps.values())) < 12_000
    for uri in maps.values():
        with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
            assert image.size == (32, 32) and image.getextrema() == (0, 255)


TOKENIZER = CLIPTokenizer.from_pretrained(ASSETS / "painter" / "tokenizer")


def words(prompt: str) -> Any:
    return split(TOKENIZER, prompt)


def test_words_know_their_tokens_and_weights() -> None:
    found = words("A (Red:1.5) apple, [not]")
    assert [(each.text, each.end - each.start > 0) for each in found] == [
        ("A", True), ("Red", True), ("apple", True), (",", True), ("not", True)
    ]  # fmt: skip
    assert [round(each.weight, 3) for each in found] == [1, 1.5, 1, 1, round(1 / 1.1, 3)]
    assert found[0].start == 1 and all(one.end == other.start for one, other in itertools.pairwise(found))
    with pytest.raises(StudioError, match="longer than the 40 tokens"):
        words("apple " * 60)
    assert words("") == ()


def test_alignment_swaps_keeps_and_adds() -> None:
    window = 40
    swap = align(words("a red cat"), words("a blue cat"), window)
    assert torch.from_numpy(swap.mapping).sum() == window and swap.taken.all(), "each token has its counterpart"
    refine = align(words("a cat"), words("a blue cat"), window)
    blue, cat = refine.words[1], refine.words[2]
    assert not refine.taken[blue.start : blue.end].any()
    assert refine.taken.sum() == window - (blue.end - blue.start)
    assert refine.mapping[blue.start, cat.start] == 1, "the cat moved on by one word and looks where it looked"
    several = align(words("a cat"), words("a red car"), window)
    cat = words("a cat")[1]
    assert several.mapping[cat.start].sum() == pytest.approx(1), "attention is shared out, not multiplied"
    weight = align(words("a cat"), words("a (cat:2)"), window)
    assert weight.weights[words("a cat")[1].start] == 2 and weight.weights.sum() == window + cat.end - cat.start


@pytest.mark.parametrize(
    ("told", "fields", "sentence", "field"),
    [
        ({"model": "flux2-klein-4b"}, {}, "has no UNet", "picture"),
        ({}, {"seed": 9}, "its seed is 5, not 9; leave 'seed' out", "seed"),
        ({}, {"styles": ["ink"]}, "leave 'styles' out", "styles"),
        ({"capability": "image-to-image"}, {}, "was made by 'image-to-image'", "picture"),
        (None, {}, "of an upload that is not known", "picture"),
    ],
)
def test_what_cannot_be_done_is_refused_at_submit(
    told: dict[str, Any] | None, fields: dict[str, Any], sentence: str, field: str, catalog: Catalog
) -> None:
    known = {
        "capability": "text-to-image", "model": "sd15", "prompt": "a ball", "negative_prompt": "", "width": 256,
        "height": 256, "steps": 3, "guidance_scale": 7.5, "sampler": "ddim", "seed": 5,
    }  # fmt: skip
    source = Source(SOURCE, "x", parameters={} if told is None else {**known, **told})
    with pytest.raises(StudioError, match=sentence) as caught:
        request = P2P.request(picture=SOURCE, prompt="a cat", **fields)
        P2P.prepare(P2P.adopt(request, lambda _: source, catalog), catalog)
    assert caught.value.field == field
