# transformers, diffusers and Pillow type these calls wider than they are.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportOperatorIssue=false, reportCallIssue=false
"""The recipe itself, run small: it trains, resumes, writes a pack and measures it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from studio.starter import train
from studio.starter.art import Art, ArtError, fetch
from studio.starter.training import Loop, averaged

SPRITES = Path(__file__).parent / "sprites"


def _loop(folder: Path, steps: int) -> tuple[Loop, nn.Linear]:
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    loop = Loop(folder, model, rate=0.05, minutes=60, max_steps=steps)
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
    y = x @ torch.tensor([[1.0], [-2.0], [0.5], [3.0]])
    loop.run(lambda step: {"mse": (model(x) - y).square().mean()})
    return loop, model


def test_training_adds_up_over_sittings(tmp_path: Path) -> None:
    first, _ = _loop(tmp_path, 100)
    assert first.step == 100 and first.progress == 1
    again, model = _loop(tmp_path, 400)
    assert again.step == 400 and again.spent > first.spent
    done, _ = _loop(tmp_path, 400)
    assert done.step == 400
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows[-1]["step"] == 400 and rows[-1]["mse"] < rows[0]["mse"] / 10
    weights = averaged(tmp_path, nn.Linear(4, 1)).state_dict()["weight"]
    assert torch.allclose(weights, model.weight, atol=0.2)
    assert again.learning_rate() == 0


def test_sprites_survive_saving(tmp_path: Path) -> None:
    art = Art.load(SPRITES)
    art.save(tmp_path / "again")
    back = Art.load(tmp_path / "again")
    assert back.names == art.names and back.colours == art.colours
    assert (back.sprites[..., 3] == art.sprites[..., 3]).all()
    solid = art.sprites[..., 3] > 0
    assert (back.sprites[solid] == art.sprites[solid]).all()


def test_without_npm_the_reason_and_the_remedy_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ArtError, match=r"install Node\.js"):
        fetch(tmp_path / "art")


@pytest.mark.parametrize("preset", ["cpu", "gpu"])
def test_a_tiny_run_writes_a_pack_that_plain_diffusers_draws_with(tmp_path: Path, preset: str) -> None:
    from diffusers import StableDiffusionPipeline
    from transformers import BlipForConditionalGeneration, BlipForQuestionAnswering, BlipProcessor, CLIPModel

    out = tmp_path / "pack"
    steps = [s for s in train.STEPS if s not in ("art", "evaluate")]
    small = ["--preset", preset, "--device", "cpu", "--max-steps", "2", "--scenes", "96", "--batch", "8",
             "--sprites", str(SPRITES), "--out", str(out)]  # fmt: skip
    train.main([*small, "--cache", str(tmp_path / "cache"), "--steps", *steps])
    first = load_file(out / "painter/vae/diffusion_pytorch_model.safetensors")
    shipped = (out / "painter/unet").stat().st_mtime_ns
    train.main([*small, "--from-pack", str(out), "--cache", str(tmp_path / "elsewhere"), "--steps", "vae", "clip",
                "painter", "blip", "export"])  # fmt: skip
    assert (out / "painter/unet").stat().st_mtime_ns > shipped
    again = load_file(out / "painter/vae/diffusion_pytorch_model.safetensors")
    assert all(torch.equal(again[k], v) for k, v in first.items() if k.startswith("encoder.")), "settled by the painter"
    pipe = StableDiffusionPipeline.from_pretrained(out / "painter", torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    picture = pipe("a cat", num_inference_steps=2, generator=torch.Generator().manual_seed(0)).images[0]
    native = json.loads((out / "vocabulary.json").read_text(encoding="utf-8"))["native_size"]
    assert picture.size == (native, native)
    assert (
        CLIPModel.from_pretrained(out / "clip").config.text_config.hidden_size == pipe.unet.config.cross_attention_dim
    )
    looked = BlipForQuestionAnswering.from_pretrained(out / "vqa")
    asked = BlipProcessor.from_pretrained(out / "vqa")(images=picture, text="what is this?", return_tensors="pt")
    assert looked.generate(**asked, max_new_tokens=4).shape[0] == 1
    assert BlipForConditionalGeneration.from_pretrained(out / "caption").config.vision_config.image_size == native
    assert max(f.stat().st_size for f in out.rglob("*") if f.is_file()) < 9.5e6
    assert all(f.suffix != ".bin" for f in out.rglob("*"))
