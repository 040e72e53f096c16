from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.families import COMPLETE, TASKS, Hardware
from studio.models.rows import ROWS, UNDERSTANDING
from studio.models.samplers import SAMPLERS, samplers_for
from tests import tiny


def machine(**found: object) -> Hardware:
    return replace(Hardware("cuda", "test", 24, 64, 500), **found)  # type: ignore[arg-type]


def own_copy(id: str, to: Path) -> Path:
    """A copy of a tiny family that may be edited."""
    return Path(shutil.copytree(tiny.folder(id), to))


def test_rows_are_complete_and_pinned() -> None:
    assert len({row.id for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row.sampler in {sampler.id for sampler in samplers_for(row)}
        assert SAMPLERS[row.sampler].min_steps <= row.steps <= SAMPLERS[row.sampler].max_steps
        assert row.native_size % row.size_multiple == 0
        assert row.min_size <= row.native_size <= row.max_size
        assert row.licence and row.summary
        assert set(TASKS) & row.features
        if row.repo:
            assert re.fullmatch(r"[0-9a-f]{40}", row.revision)


def test_rows_of_models_that_understand_are_complete_and_pinned() -> None:
    assert len({row.id for row in (*ROWS, *UNDERSTANDING)}) == len(ROWS) + len(UNDERSTANDING)
    for row in UNDERSTANDING:
        assert row.kind == "understanding" and row.licence and row.summary and row.native_size
        assert not set(TASKS) & row.features
        assert bool(row.repo) != bool(row.folder) and bool(row.download_gb) == bool(row.repo)
        if row.repo:
            assert re.fullmatch(r"[0-9a-f]{40}", row.revision)
    videomae = next(row for row in UNDERSTANDING if row.id == "videomae")
    assert not videomae.commercial and "NC" in videomae.licence


def test_a_non_commercial_licence_is_never_recommended() -> None:
    turbo = next(row for row in ROWS if row.id == "sdxl-turbo")
    assert not turbo.commercial and "Non-Commercial" in turbo.licence
    for memory in range(0, 100, 2):
        for device in ("cuda", "mps", "cpu"):
            assert (
                Catalog(tiny.settings(Path("/nowhere"))).recommend(machine(device=device, memory_gb=memory)).commercial
            )


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"memory_gb": 24}, "flux2-klein-4b"),
        ({"memory_gb": 12}, "sdxl"),
        ({"memory_gb": 6}, "lcm-dreamshaper"),
        ({"memory_gb": 2}, "sd15"),
        ({"device": "cpu", "memory_gb": 16, "host_memory_gb": 16}, "lcm-dreamshaper"),
        ({"memory_gb": 24, "free_disk_gb": 9}, "sdxl"),
    ],
)
def test_the_recommendation_fits_the_machine(found: dict[str, object], expected: str, tmp_path: Path) -> None:
    assert Catalog(tiny.settings(tmp_path)).recommend(machine(**found)).id == expected


def test_the_page_needs_no_torch_to_know_models_samplers_and_requests() -> None:
    code = (
        "import sys, studio.capabilities, studio.models.hub, studio.models.samplers, studio.drawing.prompts\n"
        "from studio.models.catalog import Catalog; from studio.settings import Settings\n"
        "Catalog(Settings()).all()\n"
        "print([name for name in ('torch', 'diffusers', 'transformers', 'compel') if name in sys.modules])"
    )
    root = Path(__file__).parent.parent
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_an_unknown_model_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match=r"no model called 'nope'.*starter.*sdxl"):
        Catalog(tiny.settings(tmp_path)).get("nope")


def test_a_family_is_available_only_with_its_completion_mark(tmp_path: Path) -> None:
    catalog = tiny.catalog(tmp_path, "sd15")
    assert catalog.available("sd15")
    (catalog.location("sd15") / COMPLETE).unlink()
    assert not catalog.available("sd15")
    with pytest.raises(StudioError, match=r"download it in the Models tab \(2.2 GB\)"):
        catalog.require("sd15")


def test_the_starter_takes_its_size_and_defaults_from_the_pack(tmp_path: Path) -> None:
    catalog = tiny.catalog(tmp_path, "starter")
    row = catalog.get("starter")
    assert (row.native_size, row.pixel_scale, row.size_multiple, row.max_size) == (256, 4, 64, 512)

    painter = catalog.location("starter")
    config = json.loads((painter / "unet" / "config.json").read_text())
    (painter / "unet" / "config.json").unlink()
    (painter / "unet" / "config.json").write_text(json.dumps({**config, "sample_size": 32}))
    (painter.parent / "vocabulary.json").write_text(
        json.dumps({"default": {"steps": 11, "guidance": 4.5, "sampler": "unipc"}})
    )
    row = Catalog(catalog.settings).get("starter")
    assert (row.native_size, row.pixel_scale, row.size_multiple) == (256, 2, 32)
    assert (row.steps, row.guidance, row.sampler) == (11, 4.5, "unipc")


def test_a_local_folder_is_remembered_seen_by_other_processes_and_forgotten(tmp_path: Path) -> None:
    catalog = Catalog(tiny.settings(tmp_path))
    other = Catalog(tiny.settings(tmp_path))
    row = catalog.add_local(str(tiny.folder("sd15")), name="My Model")
    assert row.id == "my-model" and row.pipeline == "StableDiffusionPipeline" and row.base == "sd1"
    assert row.native_size == 256 and not row.commercial
    assert other.get("my-model") == row and other.available("my-model")
    again = catalog.add_local(str(tiny.folder("sdxl")), name="my model")
    assert again.id == "my-model-2" and again.base == "sdxl"
    catalog.remove("my-model")
    assert [family.id for family in other.all() if family.local] == ["my-model-2"]
    with pytest.raises(StudioError, match="built in"):
        catalog.remove("sdxl")


def test_every_family_can_be_brought_as_a_folder(tmp_path: Path) -> None:
    catalog = Catalog(tiny.settings(tmp_path))
    for row in ROWS:
        if not row.repo:
            continue
        found = catalog.add_local(str(tiny.folder(row.id)), name=row.id)
        assert found.pipeline == row.pipeline


def test_the_default_for_a_feature_is_what_is_set_then_what_came_with_the_studio(tmp_path: Path) -> None:
    catalog = tiny.catalog(tmp_path, "clip-vit-l14", "blip-vqa")
    assert catalog.default_for("zero-shot").id == "clip-vit-l14", "the starter's is not there"
    tiny.place("starter-clip", catalog.settings)
    tiny.place("siglip2", catalog.settings)
    assert catalog.default_for("zero-shot").id == "starter-clip"
    chosen = Catalog(catalog.settings.model_copy(update={"search_model": "siglip2"}))
    assert chosen.default_for("embed").id == "siglip2"
    assert chosen.default_for("vqa").id == "blip-vqa", "the chosen one does not answer"
    with pytest.raises(StudioError, match=r"download one of these in the Models tab: BLIP captioning large \(1.9 GB\)"):
        catalog.default_for("caption")


def test_a_model_is_refused_for_what_it_cannot_do(tmp_path: Path) -> None:
    catalog = tiny.catalog(tmp_path, "starter", "starter-clip")
    assert catalog.able("", "embed").id == catalog.able("starter-clip", "embed").id == "starter-clip"
    assert catalog.able("", "text-to-image").id == "starter"
    with pytest.raises(StudioError, match="Starter CLIP cannot do text-to-image; choose one of: starter, sd15"):
        catalog.able("starter-clip", "text-to-image")
    with pytest.raises(StudioError, match="Starter cannot do vqa; choose one of: starter-vqa, blip-vqa") as caught:
        catalog.able("starter", "vqa")
    assert caught.value.field == "model"
    with pytest.raises(StudioError, match="download it in the Models tab"):
        catalog.able("siglip2", "embed")
    kinds = [{row.kind for row in catalog.all(kind)} for kind in ("diffusion", "understanding", "tool", "")]
    assert kinds == [{"diffusion"}, {"understanding"}, {"tool"}, {"diffusion", "understanding", "tool"}]


@pytest.mark.parametrize("id", ["clip-vit-l14", "siglip2", "blip-caption", "qwen3-vl-2b", "videomae"])
def test_a_model_that_understands_can_be_brought_as_a_folder(id: str, tmp_path: Path) -> None:
    catalog = Catalog(tiny.settings(tmp_path))
    row = next(row for row in UNDERSTANDING if row.id == id)
    found = catalog.add_local(str(tiny.folder(id)), name="mine")
    assert (found.kind, found.pipeline, found.features) == ("understanding", row.pipeline, row.features)
    assert found.native_size == (768 if id == "qwen3-vl-2b" else 32) and found.local and not found.commercial
    assert Catalog(catalog.settings).require("mine") == found
    assert catalog.default_for("video" if id in ("videomae", "qwen3-vl-2b") else min(row.features)).id == "mine"
    assert catalog.recommend(machine()).kind == "diffusion"


def edit_config(folder: Path, **changes: object) -> None:
    config = folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **changes}))


READER_REFUSALS = {
    "foreign class": (lambda folder: edit_config(folder, architectures=["EvilModel"]), "names no model the studio can"),
    "class of code": (lambda folder: edit_config(folder, architectures="CLIPModel"), "names no model the studio can"),
    "auto_map": (lambda folder: edit_config(folder, auto_map={"AutoModel": "evil.Model"}), "auto_map"),
    "pickle": (lambda folder: (folder / "pytorch_model.bin").write_bytes(b"x"), "bring this model as .safetensors"),
    "code": (lambda folder: (folder / "processing.py").write_text("1"), "program code"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "no .safetensors"),
    "damaged": (
        lambda folder: (folder / "model.safetensors").write_bytes(pickle.dumps(Canary(folder.parent / "ran"))),
        "not a sound safetensors file",
    ),
    "no config": (lambda folder: (folder / "config.json").unlink(), "no model_index.json and no config.json"),
}


@pytest.mark.parametrize("name", READER_REFUSALS)
def test_unsafe_folders_of_models_that_understand_are_refused(name: str, tmp_path: Path) -> None:
    folder = own_copy("clip-vit-l14", tmp_path / "model")
    spoil, sentence = READER_REFUSALS[name]
    spoil(folder)
    catalog = Catalog(tiny.settings(tmp_path))
    with pytest.raises(StudioError, match=sentence):
        catalog.add_local(str(folder))
    assert not (tmp_path / "ran").exists() and not any(family.local for family in catalog.all())


class Canary:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.file}",)


def edit_index(folder: Path, **changes: object) -> None:
    index = folder / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), **changes}))


def with_pickle(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Canary(folder.parent / "ran")))


def with_disguised_pickle(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(pickle.dumps(Canary(folder.parent / "ran")))


def with_auto_map(folder: Path) -> None:
    config = folder / "text_encoder" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "auto_map": {"AutoModel": "evil.Model"}}))


def truncated(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


REFUSALS = {
    "pickle": (with_pickle, "pickle.*bring this model as .safetensors"),
    "disguised pickle": (with_disguised_pickle, "not a sound safetensors file"),
    "code": (lambda folder: (folder / "unet" / "evil.py").write_text("open('ran', 'w')"), "program code"),
    "auto_map": (with_auto_map, "auto_map"),
    "class list": (
        lambda folder: edit_index(folder, _class_name=["evil", "Pipe"]),
        "names no pipeline the studio knows",
    ),
    "foreign class": (
        lambda folder: edit_index(folder, _class_name="EvilPipeline"),
        "names no pipeline the studio knows",
    ),
    "foreign library": (lambda folder: edit_index(folder, unet=["evil", "Net"]), "comes from 'evil'"),
    "no index": (lambda folder: (folder / "model_index.json").unlink(), "no model_index.json"),
    "broken index": (lambda folder: (folder / "model_index.json").write_text("{"), "is not JSON"),
    "no weights": (
        lambda folder: (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink(),
        "no .safetensors",
    ),
    "truncated": (truncated, "not a sound safetensors file"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_unsafe_or_broken_folders_are_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    folder = own_copy("sd15", tmp_path / "model")
    spoil, sentence = REFUSALS[name]
    spoil(folder)
    catalog = Catalog(tiny.settings(tmp_path))
    with pytest.raises(StudioError, match=sentence) as caught:
        catalog.add_local(str(folder))
    assert caught.value.status == 422 and "\n" not in caught.value.message
    assert not (tmp_path / "ran").exists()
    assert not any(family.local for family in catalog.all())


@pytest.mark.parametrize("path", ["relative/model", "/nowhere/at/all"])
def test_a_path_that_leads_nowhere_is_answered_with_what_is_wanted(path: str, tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="give the full path"):
        Catalog(tiny.settings(tmp_path)).add_local(path)


def test_other_single_files_are_refused(tmp_path: Path) -> None:
    lora = tmp_path / "lora.safetensors"
    save_file({"lora_unet.down.weight": np.zeros((4, 4), np.float16)}, lora)
    checkpoint = tmp_path / "old.ckpt"
    checkpoint.write_bytes(pickle.dumps(Canary(tmp_path / "ran")))
    catalog = Catalog(tiny.settings(tmp_path))
    with pytest.raises(StudioError, match=r"no full SD 1\.x"):
        catalog.add_local(str(lora))
    with pytest.raises(StudioError, match="pickles can run code"):
        catalog.add_local(str(checkpoint))
    assert not (tmp_path / "ran").exists()


def test_a_damaged_list_of_models_is_named(tmp_path: Path) -> None:
    settings = tiny.settings(tmp_path)
    settings.data_dir.mkdir(parents=True)
    (settings.data_dir / "models.json").write_text("[{")
    with pytest.raises(StudioError, match=r"models.json is damaged"):
        Catalog(settings).all()
