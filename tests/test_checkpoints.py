"""Models that users bring: what "Add" accepts draws, and draws as it was trained; the rest is told in one sentence."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.families import Family
from studio.models.manager import ModelManager
from studio.models.samplers import samplers_for
from studio.models.spec import PipelineSpec
from tests import checkpoints, tiny

STEP = torch.tensor(0)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    settings = tiny.settings(tmp_path_factory.mktemp("brought"))
    for id in ("sd15", "sd21", "sdxl"):
        checkpoints.place(id, settings)
    return Catalog(settings)


@pytest.fixture(scope="module")
def models(catalog: Catalog) -> ModelManager:
    return ModelManager(catalog.settings, catalog)


def drawn(models: ModelManager, family: Family) -> tuple[Any, dict[str, Any]]:
    """A picture [h, w, 3] of two steps, and the config of the scheduler that drew it."""
    with models.use(PipelineSpec(family.id)) as pipe:
        generator = torch.Generator("cpu").manual_seed(3)
        arguments: dict[str, Any] = {"width": 64, "height": 64, "num_inference_steps": 2, "output_type": "np"}
        return pipe(prompt="a red ball", generator=generator, **arguments).images[0], dict(pipe.scheduler.config)


def sd15(**more: torch.Tensor) -> checkpoints.Tensors:
    return {**checkpoints.tensors("sd15"), **more}


def test_a_checkpoint_draws_what_the_folder_it_was_made_from_draws(
    catalog: Catalog, models: ModelManager, tmp_path: Path
) -> None:
    wanted, _ = drawn(models, catalog.get("sd15"))
    averaged = {key.replace("model.diffusion_model.", "model_ema."): value for key, value in sd15().items()}
    for name, tensors in {
        "half.safetensors": sd15(),
        "SHOUTED.SAFETENSORS": sd15(),
        "bfloat.safetensors": {key: value.bfloat16() for key, value in sd15().items()},
        "averaged.safetensors": {**averaged, **sd15()},
    }.items():
        family = catalog.add_local(str(checkpoints.save(tmp_path / name, tensors)))
        found, config = drawn(models, family)
        assert abs(found - wanted).max() < 0.02, name
        assert (family.borrowed, family.prediction, config["prediction_type"]) == ((), "epsilon", "epsilon")
        models.unload(family.id)


PREDICTIONS: dict[str, tuple[str, str, dict[str, torch.Tensor], dict[str, str], str]] = {
    "xl, nothing said": ("sdxl", "xl", {}, {}, "epsilon"),
    "xl, key": ("sdxl", "xl", {"v_pred": torch.zeros(0)}, {}, "v_prediction"),
    "xl, metadata": ("sdxl", "xl", {}, {"modelspec.prediction_type": "v"}, "v_prediction"),
    "xl, name": ("sdxl", "noob-vPred-1.0", {}, {}, "v_prediction"),
    "sd1, key": ("sd15", "own", {"v_pred": torch.zeros(0)}, {}, "v_prediction"),
    "sd2, metadata": ("sd21", "own", {}, {"modelspec.architecture": "stable-diffusion-v2-768-v"}, "v_prediction"),
    "sd2, base metadata": ("sd21", "own", {}, {"modelspec.architecture": "stable-diffusion-v2-512"}, "epsilon"),
    "sd2, training steps": ("sd21", "own", {"global_step": STEP + 875000}, {}, "epsilon"),
    "sd2, name": ("sd21", "v2-1_768-ema-pruned", {}, {}, "v_prediction"),
}


@pytest.mark.parametrize("case", PREDICTIONS)
def test_what_a_checkpoint_predicts_is_told_from_all_signs(
    case: str, catalog: Catalog, models: ModelManager, tmp_path: Path
) -> None:
    base, name, more, metadata, wanted = PREDICTIONS[case]
    file = checkpoints.save(tmp_path / f"{name}.safetensors", {**checkpoints.tensors(base), **more}, **metadata)
    family = catalog.add_local(str(file))
    assert family.prediction == wanted
    if base == "sd21":
        assert family.native_size == (512 if wanted == "epsilon" else 768)
    if "key" in case or "base" in case:
        assert drawn(models, family)[1]["prediction_type"] == wanted
        models.unload(family.id)


def test_zero_terminal_noise_reaches_the_schedule_and_its_samplers(
    catalog: Catalog, models: ModelManager, tmp_path: Path
) -> None:
    tensors = {**checkpoints.tensors("sdxl"), "v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    family = catalog.add_local(str(checkpoints.save(tmp_path / "noob.safetensors", tensors)))
    assert family.zero_snr and family.prediction == "v_prediction"
    picture, config = drawn(models, family)
    assert config["rescale_betas_zero_snr"] and config["timestep_spacing"] == "trailing"
    assert 0 < picture.std() < 1
    assert "pndm" not in {sampler.id for sampler in samplers_for(family)}
    assert family.sampler in {sampler.id for sampler in samplers_for(family)}
    models.unload(family.id)


def test_a_checkpoint_that_does_not_tell_is_asked_about(catalog: Catalog, models: ModelManager, tmp_path: Path) -> None:
    file = checkpoints.save(tmp_path / "two.safetensors", checkpoints.tensors("sd21"))
    with pytest.raises(StudioError, match=r"does not say what it predicts.*v_prediction .*768.* or epsilon") as caught:
        catalog.add_local(str(file))
    assert caught.value.field == "prediction"
    family = catalog.add_local(str(file), prediction="epsilon")
    assert drawn(models, family)[1]["prediction_type"] == "epsilon", "the folder it borrows configs from says v"
    mixed = {**checkpoints.tensors("sdxl"), "v_pred": torch.zeros(0)}
    file = checkpoints.save(tmp_path / "mixed.safetensors", mixed, **{"modelspec.prediction_type": "epsilon"})
    with pytest.raises(StudioError, match="contradicts itself"):
        catalog.add_local(str(file))
    assert catalog.add_local(str(file), prediction="v_prediction").prediction == "v_prediction"
    with pytest.raises(StudioError, match="either epsilon or v_prediction"):
        catalog.add_local(str(file), prediction="sample")
    models.unload(family.id)


@pytest.mark.parametrize(
    ("base", "start", "lacks"),
    [
        ("sd15", "first_stage_model.", ("vae",)),
        ("sd15", "cond_stage_model.", ("text_encoder",)),
        ("sdxl", "conditioner.embedders.1.", ("text_encoder", "text_encoder_2")),
    ],
)
def test_what_a_checkpoint_lacks_is_borrowed_with_a_note(
    base: str, start: str, lacks: tuple[str, ...], catalog: Catalog, models: ModelManager, tmp_path: Path
) -> None:
    wanted, _ = drawn(models, catalog.get(base))
    tensors = checkpoints.without(checkpoints.tensors(base), start)
    family = catalog.add_local(str(checkpoints.save(tmp_path / "part.safetensors", tensors)))
    assert family.borrowed == lacks and f"uses that of {catalog.get(base).name}" in family.summary
    assert abs(drawn(models, family)[0] - wanted).max() < 0.02
    models.unload(family.id)


REFUSALS = {
    "inpainting": (lambda: checkpoints.widened(sd15(), 9), "an inpainting model .9 input channels."),
    "edits": (lambda: checkpoints.widened(sd15(), 8), "edits by instruction .8 input channels."),
    "noise": (lambda: sd15(**{"edm_vpred.sigma_max": torch.zeros(1)}), "another kind of noise"),
    "no unet": (lambda: checkpoints.without(sd15(), "model.diffusion_model."), "no full SD 1.x"),
    "half a unet": (lambda: checkpoints.without(sd15(), "model.diffusion_model.out"), "no full SD 1.x"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_checkpoints_that_cannot_draw_are_refused_at_add(case: str, catalog: Catalog, tmp_path: Path) -> None:
    make, sentence = REFUSALS[case]
    with pytest.raises(StudioError, match=sentence):
        catalog.add_local(str(checkpoints.save(tmp_path / "file.safetensors", make())))


def test_a_checkpoint_without_its_base_names_what_to_download(tmp_path: Path) -> None:
    catalog = Catalog(tiny.settings(tmp_path))
    file = checkpoints.save(tmp_path / "dreamy.safetensors", sd15())
    with pytest.raises(StudioError, match=r"no tokenizer: first download Stable Diffusion 1\.5 .2\.2 GB."):
        catalog.add_local(str(file))
    checkpoints.place("sd15", catalog.settings)
    family = catalog.add_local(str(file))
    shutil.rmtree(catalog.settings.models_dir)
    with pytest.raises(StudioError, match=r"to use it, first download Stable Diffusion 1\.5"):
        ModelManager(catalog.settings, catalog).load(family.id)


def test_paths_are_taken_as_people_have_them(catalog: Catalog, tmp_path: Path) -> None:
    file = checkpoints.save(tmp_path / "with space" / "dreamy v8.safetensors", sd15())
    for told in (f'"{file}"', f"'{file}'", f"  {file} ", file.as_uri()):
        assert catalog.add_local(told).path == str(file)
    blob = tmp_path / "hub" / "blobs" / ("0f" * 32)
    blob.parent.mkdir(parents=True)
    shutil.copy(file, blob)
    link = tmp_path / "hub" / "snapshots" / "rev" / "model.safetensors"
    link.parent.mkdir(parents=True)
    link.symlink_to(os.path.relpath(blob, link.parent))
    assert catalog.add_local(str(link)).path == str(link)
    for nothing in ("", '""', "relative.safetensors", str(tmp_path / "none"), "/etc\0/passwd"):
        with pytest.raises(StudioError, match="give the full path"):
            catalog.add_local(nothing)


def folder(tmp_path: Path, name: str = "mine") -> Path:
    return Path(shutil.copytree(checkpoints.donor("sd15"), tmp_path / name))


def test_folders_draw_whatever_their_variant_and_whatever_lies_beside(
    catalog: Catalog, models: ModelManager, tmp_path: Path
) -> None:
    wanted, _ = drawn(models, catalog.get("sd15"))
    mine = folder(tmp_path)
    for file in list(mine.rglob("*.safetensors")):
        half = {key: value.bfloat16() for key, value in load_file(file).items()}
        save_file(half, file.with_name(f"{file.stem}.bf16.safetensors"), metadata={"format": "pt"})
        file.unlink()
    once = catalog.add_local(str(mine), name="once").download_gb
    weights = mine / "unet" / "diffusion_pytorch_model.bf16.safetensors"
    os.link(weights, mine / "unet" / "diffusion_pytorch_model.safetensors")
    (mine / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    shutil.copy(weights, mine / "unet" / "diffusion_pytorch_model.non_ema.safetensors")
    (mine / "unet" / "._diffusion_pytorch_model.bf16.safetensors").write_bytes(b"\0\5\x16\7" * 20)
    (mine / "__MACOSX").mkdir()
    (mine / "__MACOSX" / "._evil.bin").write_bytes(b"x")
    for config in mine.rglob("*.json"):
        config.write_bytes(b"\xef\xbb\xbf" + config.read_bytes())
    family = catalog.add_local(str(mine), name="mine")
    assert family.download_gb == once, "every weight counts once"
    assert abs(drawn(models, family)[0] - wanted).max() < 0.02
    models.unload(family.id)


def test_a_folder_borrows_what_it_lacks_or_is_refused(catalog: Catalog, models: ModelManager, tmp_path: Path) -> None:
    wanted, _ = drawn(models, catalog.get("sd15"))
    mine = folder(tmp_path)
    shutil.rmtree(mine / "tokenizer")
    shutil.rmtree(mine / "vae")
    family = catalog.add_local(str(mine))
    assert family.borrowed == ("tokenizer", "vae") and "no tokenizer and no vae of its own" in family.summary
    assert abs(drawn(models, family)[0] - wanted).max() < 1e-6
    models.unload(family.id)
    with pytest.raises(StudioError, match=r"has no tokenizer and no vae: first download Stable Diffusion 1\.5"):
        Catalog(tiny.settings(tmp_path / "empty")).add_local(str(mine))
    other = Path(shutil.copytree(tiny.folder("sd15"), tmp_path / "narrow"))
    shutil.rmtree(other / "text_encoder")
    with pytest.raises(StudioError, match="do not fit it; fetch the whole model"):
        catalog.add_local(str(other))


def test_a_folder_that_wants_a_mask_is_refused(catalog: Catalog, tmp_path: Path) -> None:
    mine = folder(tmp_path)
    config = mine / "unet" / "config.json"
    config.write_text(config.read_text().replace('"in_channels": 4', '"in_channels": 9'))
    with pytest.raises(StudioError, match=r"takes 9 channels .* inpainting"):
        catalog.add_local(str(mine))


def test_rows_that_cannot_be_read_are_left_out_with_a_sentence(tmp_path: Path) -> None:
    catalog = Catalog(tiny.settings(tmp_path))
    kept = catalog.add_local(str(tiny.folder("sd15")), name="kept")
    import json

    file = catalog.settings.data_dir / "models.json"
    [row] = json.loads(file.read_text())
    odd: list[Any] = [
        {**row, "id": "later", "name": "Later", "features": [*row["features"], "hologram"], "future": 1},
        {key: value for key, value in {**row, "id": "short", "name": "Short"}.items() if key != "steps"},
        {**row, "id": "typed", "name": "Typed", "steps": "many"},
        {**row, "id": "../../etc", "name": "Odd id"},
        {**row, "name": "Twice"},
        "text",
    ]
    file.write_text(json.dumps([row, *odd]))
    again = Catalog(catalog.settings)
    assert [each.id for each in again.all() if each.local] == ["kept", "later"]
    assert again.get("kept") == kept and again.get("later").features == kept.features
    assert [sentence.split(" in models.json")[0] for sentence in again.skipped] == [
        "Short", "Typed", "Odd id", "Twice", "Entry 7",
    ]  # fmt: skip
