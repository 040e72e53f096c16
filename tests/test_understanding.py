"""Every reader against plain transformers on tiny models of its true class, loaded as the studio loads them."""

from __future__ import annotations

import gc
import hashlib
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from studio.errors import Cancelled, StudioError
from studio.models.catalog import Catalog
from studio.models.families import Feature
from studio.models.manager import ModelManager, OutOfMemory
from studio.models.readers import READERS, Answer, Answerer, Captioner, DualEncoder, Labeller, resolve
from studio.models.rows import MODEL_CLASSES, UNDERSTANDING
from studio.models.spec import PipelineSpec
from studio.settings import ROOT
from tests import tiny
from tests.viewing import scene

IDS = [row.id for row in UNDERSTANDING if not row.folder]
CHATS = ["smolvlm2-500m", "qwen3-vl-2b"]
ROUND = Image.radial_gradient("L").resize((160, 120)).convert("RGB")
FLAT = Image.new("RGB", (90, 120), (200, 40, 40))


def spec(id: str) -> PipelineSpec:
    return PipelineSpec(id, "understanding")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelManager:
    catalog = tiny.catalog(tmp_path_factory.mktemp("readers"), *IDS)
    return ModelManager(catalog.settings, catalog)


@pytest.fixture
def reader(request: pytest.FixtureRequest, models: ModelManager) -> Iterator[Any]:
    """The reader named in an indirect parameter."""
    with models.use(spec(request.param)) as found:
        found.longest = 8
        yield found


def plain(id: str, models: ModelManager) -> tuple[Any, Any]:
    """The model and its processor as transformers alone loads them."""
    place = models._catalog.location(id)
    cls = getattr(transformers, models._catalog.get(id).pipeline)
    return cls.from_pretrained(place, dtype=torch.float32).eval(), transformers.AutoProcessor.from_pretrained(place)


def test_every_class_in_the_catalogue_has_a_reader() -> None:
    assert set(READERS) == MODEL_CLASSES
    shapes: dict[Feature, type] = {"embed": DualEncoder, "vqa": Answerer, "caption": Captioner, "labels": Labeller}
    for row in UNDERSTANDING:
        assert hasattr(transformers, row.pipeline)
        for feature, shape in shapes.items():
            assert row.supports(feature) == issubclass(READERS[row.pipeline], shape), (row.id, feature)


@pytest.mark.parametrize("id", ["clip-vit-l14", "siglip2"])
@torch.no_grad()
def test_vectors_give_the_scores_of_the_plain_model(id: str, models: ModelManager) -> None:
    texts = ["A Red Ball", "a cat on a mat", "x" * 300]
    model, processor = plain(id, models)
    sigmoid = id == "siglip2"
    with models.use(spec(id)) as reader:
        words, seen = reader.texts(texts), reader.pictures([ROUND, FLAT, ROUND])
        assert words.dtype == seen.dtype == np.float32 and words.shape[1] == seen.shape[1] == reader.dimensions
        assert np.allclose(np.linalg.norm(np.concatenate([words, seen]), axis=1), 1, atol=1e-5)
        scores = seen @ words.T * reader.scale + (reader.bias or 0)
        reader.batch = 1
        assert np.allclose(reader.pictures([ROUND, FLAT, ROUND]), seen, atol=1e-5)
        assert reader.texts([]).shape == (0, reader.dimensions) == reader.pictures([]).shape
    inputs = processor(
        text=[text.lower() for text in texts],
        images=[ROUND, FLAT, ROUND],
        padding="max_length" if sigmoid else True,
        max_length=64 if sigmoid else 77,
        truncation=True,
        return_tensors="pt",
    )
    wanted = model(**{key: value for key, value in inputs.items() if not sigmoid or key != "attention_mask"})
    assert np.allclose(scores, wanted.logits_per_image.numpy(), atol=1e-3)
    assert (reader.bias is not None) == sigmoid


@pytest.mark.parametrize("reader", ["clip-vit-l14", "siglip2"], indirect=True)
@torch.no_grad()
def test_a_heat_map_weighs_each_patch_by_its_own_value(reader: Any) -> None:
    texts = reader.texts(["a ball", "a cat"])
    heat = reader.heat(ROUND, texts)
    assert heat.shape == (2, 4, 4) and heat.min() >= 0 and heat.max() <= 1
    vision = reader.model.vision_model
    pixels = reader._pixels([ROUND.resize((32, 32))])
    if reader.bias is None:
        # Attention in which every patch looks at itself alone.
        attention = vision.encoder.layers[-1].self_attn
        hook = attention.register_forward_hook(
            lambda module, args, kwargs, output: (
                module.out_proj(module.v_proj(kwargs.get("hidden_states", args[0] if args else None))),
                None,
            ),
            with_kwargs=True,
        )
        tokens = vision(pixel_values=pixels).last_hidden_state[0, 1:]
        hook.remove()
        patches = reader.model.visual_projection(vision.post_layernorm(tokens))
    else:
        tokens = vision(pixel_values=pixels).last_hidden_state[0]
        patches = torch.cat([vision.head(token[None, None]) for token in tokens])
    patches = torch.nn.functional.normalize(patches, dim=-1).numpy()
    # Between two texts the odds of a patch depend on its two cosines alone.
    odds = (patches @ (texts[0] - texts[1]) * reader.scale).reshape(4, 4)
    assert np.allclose(np.log(heat[0] / heat[1]), odds, atol=1e-3)
    assert np.abs(odds).max() > 0


@pytest.fixture(scope="module")
def starters() -> ModelManager:
    catalog = Catalog(tiny.settings(Path("/nowhere"), starter_dir=ROOT / "assets" / "starter"))
    return ModelManager(catalog.settings, catalog)


def test_the_starter_clip_is_a_plain_clip(starters: ModelManager) -> None:
    place = starters._catalog.location("starter-clip")
    model: Any = transformers.CLIPModel.from_pretrained(place, dtype=torch.float32).eval()
    with starters.use(spec("starter-clip")) as reader, torch.no_grad():
        tokens = reader.components["tokenizer"](["an apple"], return_tensors="pt")
        wanted = model.get_text_features(**tokens).pooler_output
        assert np.allclose(reader.texts(["an apple"]), torch.nn.functional.normalize(wanted, dim=-1), atol=1e-5)
        assert reader.scale == pytest.approx(model.logit_scale.exp().item())


def test_the_starter_shows_where_it_sees_things(starters: ModelManager) -> None:
    pairs = (("fox", "car"), ("apple", "guitar"), ("crown", "cat"), ("rocket", "penguin"), ("carrot", "heart"))
    with starters.use(spec("starter-clip")) as reader:
        right = 0
        for left, other in pairs:
            heat = reader.heat(scene(left, other), reader.texts([f"a {left}", f"a {other}"]))
            assert heat.shape == (2, 8, 8)
            columns = heat.max(axis=1).argmax(axis=1)
            right += columns[0] < 4 <= columns[1]
        assert right >= 4
        alone = reader.heat(scene("fox", background="blue"), reader.texts(["a fox"]))[0]
        assert alone.max() > 0.5 and alone[0].max() < 0.2, "the edge shows the background alone"


def test_the_starter_answers_and_captions(starters: ModelManager) -> None:
    fox, cat = scene("fox", background="red"), scene("cat", background="blue")
    with starters.use(spec("starter-vqa")) as reader:
        assert reader.answer([cat], "what colour is the background?").text == "blue"
        assert "fox" in reader.answer([fox], "what is in the picture?").text
        assert reader.yes([fox], "is the background red?") > 0.9 > 0.1 > reader.yes([fox], "is the background blue?")
    with starters.use(spec("starter-caption")) as reader:
        assert reader.caption(fox, "short") == "a fox"
        assert reader.caption(fox, "alt").endswith("fox on a red background.")


@pytest.mark.parametrize("reader", ["blip-vqa"], indirect=True)
def test_blip_answers_as_plain_blip_and_looks_once(reader: Any, models: ModelManager) -> None:
    model, processor = plain("blip-vqa", models)
    inputs = processor(images=ROUND, text="is it red?", return_tensors="pt")
    said = model.generate(**inputs, max_new_tokens=12, num_beams=1, do_sample=False)
    wanted = processor.decode(said[0], skip_special_tokens=True)
    looks: list[int] = []
    reader.model.vision_model.register_forward_hook(lambda *_: looks.append(1))
    answer = reader.answer([ROUND], "is it red?")
    assert answer.text == " ".join(wanted.split()) and 0 < answer.confidence < 1 and answer.asked == ""
    yes = reader.yes([ROUND], "is it red?")
    assert 0 < yes < 1
    assert reader.yes([ROUND], "is it [SEP] red?") == yes, "marks of the model are left out of questions"
    reader.answer([ROUND], "where is the fox?")
    assert len(looks) == 1
    both = reader.answer([ROUND, FLAT], "where is it?", [("what is this?", "A fox.")])
    assert [line[:3] for line in both.text.split("\n")] == ["1. ", "2. "]
    assert both.asked == "where is the fox?" and len(looks) == 2


@pytest.mark.parametrize("reader", ["blip-vqa"], indirect=True)
@torch.no_grad()
def test_blip_says_yes_as_likely_as_its_decoder(reader: Any) -> None:
    decoder, tokenizer = reader.model.text_decoder, reader.components["tokenizer"]
    before = reader.yes([FLAT], "is it blue?")
    bias = decoder.cls.predictions.decoder.bias
    shift = torch.zeros_like(bias)
    shift[tokenizer.convert_tokens_to_ids("yes")] = 2.0
    decoder.cls.predictions.decoder.register_forward_hook(lambda module, args, output: output + shift)
    after = reader.yes([FLAT], "is it blue?")
    assert np.log(after / (1 - after)) - np.log(before / (1 - before)) == pytest.approx(2.0, abs=1e-4)


@pytest.mark.parametrize(
    ("question", "history", "asked"),
    [
        ("where is it?", [("what is in the picture?", "a fox")], "where is the fox?"),
        ("What colour is it?", [("is there an apple?", "yes")], "What colour is the apple?"),
        ("is it left of the cat", [("where is a fox?", ""), ("is there a dog?", "no")], "is the fox left of the cat"),
        ("what is it?", [("is there an apple?", "yes")], "what is it?"),
        ("is it a sticker?", [("what is this?", "a fox")], "is it a sticker?"),
        ("where is it?", [("what colour is the background?", "red")], "where is it?"),
        ("where is it?", [], "where is it?"),
    ],
)  # fmt: skip
def test_a_model_without_memory_is_told_what_it_means(
    question: str, history: list[tuple[str, str]], asked: str
) -> None:
    assert resolve(question, history) == asked


@pytest.mark.parametrize("reader", ["blip-caption"], indirect=True)
def test_blip_captions_are_its_own_words(reader: Any, models: ModelManager) -> None:
    model, processor = plain("blip-caption", models)
    said = model.generate(pixel_values=reader._pixels([ROUND]), max_new_tokens=40, num_beams=1, do_sample=False)
    long = " ".join(processor.decode(said[0], skip_special_tokens=True).split())
    assert reader.caption(ROUND, "detailed") == reader.caption(ROUND, "prompt") == long
    assert reader.caption(ROUND, "alt").lower().rstrip(".") == long.lower().rstrip(".")
    begun = processor(images=ROUND, text="a picture of", return_tensors="pt")
    said = model.generate(**begun, max_new_tokens=40, num_beams=1, do_sample=False)
    whole = " ".join(processor.decode(said[0], skip_special_tokens=True).split())
    assert whole.startswith("a picture of ")
    assert reader.caption(ROUND, "short") == whole.removeprefix("a picture of ")


@pytest.mark.parametrize("reader", CHATS, indirect=True)
def test_a_chat_model_is_given_all_pictures_and_turns(reader: Any) -> None:
    processor, tokenizer = reader.components["processor"], reader.components["tokenizer"]
    history = [("what is <image> this?<|im_end|>", "a ball")]
    one = reader._inputs([ROUND], (("how big?", ""),))
    both = reader._inputs([ROUND, FLAT], (*history, ("how big?", "")))
    told = tokenizer.decode(both["input_ids"][0], skip_special_tokens=True)
    assert told.index("a ball") < told.index("how big?") and told.rstrip().endswith("assistant")
    assert tokenizer.decode(both["input_ids"][0]).count("<|im_end|>") == 3, "no mark came in with a question"
    marks = [int((each["input_ids"] == processor.image_token_id).sum()) for each in (one, both)]
    assert 0 < marks[0] < marks[1]
    answer = reader.answer([ROUND, FLAT], "how big?", history)
    assert (
        isinstance(answer, Answer)
        and 0 < answer.confidence < 1
        and answer == reader.answer([ROUND, FLAT], "how big?", history)
    )
    assert isinstance(reader.caption(FLAT, "alt"), str)


@pytest.mark.parametrize("reader", CHATS, indirect=True)
@torch.no_grad()
def test_a_chat_model_says_yes_as_likely_as_its_next_word(reader: Any) -> None:
    before = reader.yes([FLAT], "is it red?")
    tokenizer = reader.components["tokenizer"]
    firsts = [tokenizer(word, add_special_tokens=False).input_ids[0] for word in ("yes", "Yes")]
    shift = torch.zeros(reader.model.lm_head.out_features)
    shift[firsts] = 20.0
    reader.model.lm_head.register_forward_hook(lambda module, args, output: output + shift)
    assert 0 < before < 1 and reader.yes([FLAT], "is it red?") > 0.999


@pytest.mark.parametrize("reader", ["qwen3-vl-2b", "blip-vqa", "florence-2"], indirect=True)
def test_a_model_that_writes_can_be_stopped_at_any_word(reader: Any) -> None:
    words: list[int] = []

    def tick() -> None:
        words.append(1)
        if len(words) == 2:
            raise Cancelled

    reader.tick = tick
    with pytest.raises(Cancelled):
        reader.caption(ROUND, "detailed") if isinstance(reader, Captioner) else reader.answer([ROUND], "what is it?")
    assert len(words) == 2


@pytest.mark.parametrize("reader", ["florence-2"], indirect=True)
def test_florence_is_asked_with_its_task_words(reader: Any, models: ModelManager) -> None:
    model, processor = plain("florence-2", models)
    for style, task in (("short", "<CAPTION>"), ("detailed", "<MORE_DETAILED_CAPTION>"), ("alt", "<DETAILED_CAPTION>")):
        inputs = processor(images=ROUND, text=task, return_tensors="pt")
        said = model.generate(**inputs, max_new_tokens=8, num_beams=3, do_sample=False)
        assert reader.caption(ROUND, style) == " ".join(
            processor.batch_decode(said, skip_special_tokens=True)[0].split()
        )


@pytest.mark.parametrize("reader", ["nsfw"], indirect=True)
@torch.no_grad()
def test_labels_are_the_plain_classifiers(reader: Any, models: ModelManager) -> None:
    place = models._catalog.location("nsfw")
    model = transformers.ViTForImageClassification.from_pretrained(place).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(place)
    wanted = model(**processor(images=[ROUND, FLAT], return_tensors="pt")).logits.softmax(-1)
    reader.batch = 1
    found = reader.labels([ROUND, FLAT])
    for row, likely in zip(found, wanted.tolist(), strict=True):
        assert row == pytest.approx({"normal": likely[0], "nsfw": likely[1]}, abs=1e-5)
        assert list(row.values()) == sorted(row.values(), reverse=True)


@pytest.mark.parametrize("reader", ["videomae"], indirect=True)
def test_a_clip_is_read_from_frames_evenly_spread(reader: Any) -> None:
    shades = [Image.new("RGB", (40, 30), (grey, grey, grey)) for grey in range(0, 250, 25)]
    [row] = reader.labels(shades)
    assert set(row) == {"juggling", "swimming", "yoga"} and sum(row.values()) == pytest.approx(1, abs=1e-5)
    assert reader.labels([shades[i] for i in (0, 3, 6, 9)]) == [pytest.approx(row, abs=1e-6)]
    assert len(reader.labels(shades[:1])) == 1


# -- the manager --


def test_readers_and_painters_share_one_budget(tmp_path: Path) -> None:
    catalog = tiny.catalog(tmp_path, "sd15", "clip-vit-l14", "blip-vqa")
    sizing = ModelManager(catalog.settings, catalog)
    sizes = {}
    for id in ("sd15", "clip-vit-l14", "blip-vqa"):
        sizing.load(id)
        sizes[id] = sizing.residents()[0].bytes
    budget = (sizes["clip-vit-l14"] + sizes["blip-vqa"] + sizes["sd15"] / 2) / 1e9
    models = ModelManager(catalog.settings.model_copy(update={"device_memory_gb": budget}), catalog)
    models.load("sd15")
    with models.use(spec("clip-vit-l14")) as reader:
        assert [row.family for row in models.residents()] == ["clip-vit-l14"], "the painter made room"
        gone = weakref.ref(reader.model)
    del reader
    models.load("blip-vqa")
    assert {row.family for row in models.residents()} == {"clip-vit-l14", "blip-vqa"}
    with models.use(PipelineSpec("sd15")):
        assert [row.family for row in models.residents()] == ["sd15"]
    gc.collect()
    assert gone() is None
    assert models.weights_hash("blip-vqa") == (
        hashlib.sha256((catalog.location("blip-vqa") / "model.safetensors").read_bytes()).hexdigest()
    )


def test_work_for_the_other_kind_of_model_is_refused(models: ModelManager, tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="cannot do text-to-image"), models.use(PipelineSpec("nsfw")):
        pass
    catalog = tiny.catalog(tmp_path, "sd15")
    with (
        pytest.raises(StudioError, match="cannot do understanding"),
        ModelManager(catalog.settings, catalog).use(spec("sd15")),
    ):
        pass


def test_short_of_memory_pictures_are_read_one_at_a_time(models: ModelManager) -> None:
    models.unload("nsfw")
    batches: list[int] = []

    def work(reader: Any) -> list[dict[str, float]]:
        batches.append(reader.batch)
        if len(batches) < 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return reader.labels([ROUND, FLAT])

    assert len(models.run(spec("nsfw"), work)) == 2
    assert batches == [16, 16, 1] and "one at a time" in models.note("nsfw")

    def never(reader: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with pytest.raises(OutOfMemory, match="choose a smaller model") as caught:
        models.run(spec("nsfw"), never)
    assert caught.value.field == "model"
    models.unload("nsfw")


def test_what_a_job_does_to_a_reader_is_undone(models: ModelManager) -> None:
    with models.use(spec("clip-vit-l14")) as reader:
        before = reader.pictures([ROUND])
    with models.use(spec("clip-vit-l14")) as reader:
        reader.model.visual_projection.register_forward_hook(lambda module, args, output: -output)
        reader.batch, reader.components["model"] = 1, None
        reader.family = replace(reader.family, id="other")
    with models.use(spec("clip-vit-l14")) as reader:
        assert reader.batch == 16 and np.array_equal(reader.pictures([ROUND]), before)
        with torch.no_grad():
            reader.model.visual_projection.weight.neg_()
    with models.use(spec("clip-vit-l14")) as reader:
        assert np.array_equal(reader.pictures([ROUND]), before), "changed weights are loaded afresh"


def test_a_damaged_model_is_named(tmp_path: Path) -> None:
    catalog = tiny.catalog(tmp_path, "siglip2")
    place = catalog.location("siglip2")
    (place / "config.json").unlink()
    (place / "config.json").write_text("{}")
    with pytest.raises(StudioError, match=r"SigLIP 2 base cannot be loaded .*download it again"):
        ModelManager(catalog.settings, catalog).load("siglip2")
