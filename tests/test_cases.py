"""Files that once were read wrongly: what each must give now. They lie in `cases`; large ones are made here."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image

from studio.capabilities.text_to_image import TextToImage
from studio.capability import PicturesRequest
from studio.cli import main
from studio.cli.handing_in import HandingIn
from studio.drawing.restore import Report, restore
from studio.errors import StudioError
from studio.media.files import AVIF
from studio.media.images import open_image, read_parameters
from studio.media.parameters import read_settings
from studio.models.catalog import Catalog
from studio.models.rows import ROWS
from studio.settings import Settings
from tests.test_parameters import chunk, png_with

CASES = Path(__file__).parent / "cases"
A1111 = {
    "prompt": "a red barn", "negative_prompt": "blurry, low quality", "steps": 20, "sampler": "dpmpp-2m-karras",
    "guidance_scale": 7.0, "seed": 1234567, "width": 512, "height": 768, "model_hash": "0123456789",
    "model": "mymodel_v1",
}  # fmt: skip


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return Catalog(Settings(data_dir=tmp_path_factory.mktemp("data")))


def report(name: str, catalog: Catalog) -> Report:
    found = read_settings(CASES / name)
    assert found is not None
    return restore(found, TextToImage(), catalog)


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("after_idat.png", "a red barn"),
        ("after_idat_itxt.png", "a red barn, 夜"),
        ("text_utf8.png", "夜の街, café"),
        ("uc_le_zh.jpg", "夜の街, 雨"),
        ("uc_bom_le.jpg", "a red barn, autumn"),
        ("uc_utf8.jpg", "a red barn, autumn"),
        ("uc_zero8.jpg", "ein Mädchen, café"),
        ("big_ztxt_workflow.png", "a small house"),
        ("neg_inside.png", 'a wooden sign with the words "Negative prompt: none", street'),
        ("stealth.png", "hidden barn"),
    ],
)
def test_settings_come_back_whole(name: str, prompt: str) -> None:
    assert open_image(CASES / name).width > 0
    for source in (CASES / name, (CASES / name).read_bytes()):
        assert read_parameters(source) == A1111 | {"prompt": prompt}


def test_a_damaged_text_beside_a_sound_picture() -> None:
    assert open_image(CASES / "badcrc_text.png").size == (256, 256)
    assert read_parameters(CASES / "badcrc_text.png") is None


def test_wrong_kinds_of_values_are_told_or_made_right(catalog: Catalog) -> None:
    assert "size (99999" in report("size_huge.png", catalog).sentence
    assert "width" not in report("size_huge.png", catalog).values
    told = report("own_width_str.png", catalog)
    assert (told.values["width"], told.not_restored) == (256, [])
    told = report("own_hugew.png", catalog)
    assert (told.values["width"], told.values["height"]) == (256, 256)
    assert "size (1000000000 x 1000000000): Starter draws 256 to 512" in told.sentence
    assert "guidance (nan): it is no number" in report("cfg_nan.png", catalog).sentence
    deep = '{"a":' + "[" * 200_000 + "]" * 200_000 + "}"
    fallback = b"fallback prompt\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 256x256"
    data = png_with(chunk(b"iTXt", b"studio\0\0\0\0\0" + deep.encode()), chunk(b"tEXt", b"parameters\0" + fallback))
    found = read_settings(data)
    assert found is not None
    told = restore(found, TextToImage(), catalog)
    assert told.values["prompt"] == "fallback prompt"
    assert "settings: the studio's own settings are damaged" in told.sentence


def test_long_words_take_no_time() -> None:
    begin = time.process_time()
    assert read_settings(CASES / "slow_words.png") is None
    assert time.process_time() - begin < 1


@pytest.mark.parametrize(("name", "wanted"), [("model_known.png", "mine"), ("model_known_hires.png", "mine")])
def test_a_known_model_is_chosen_and_what_is_lost_is_told(name: str, wanted: str, tmp_path: Path) -> None:
    file = tmp_path / "dreamy_v8.safetensors"
    file.write_bytes(b"weights")
    catalog = Catalog(Settings(data_dir=tmp_path / "data"))
    sd15 = next(row for row in ROWS if row.id == "sd15")
    catalog._write((replace(sd15, id=wanted, name="Anything", path=str(file), repo=""),))
    told = report(name, catalog)
    assert told.values["model"] == wanted
    lost = {loss.field for loss in told.not_restored}
    assert lost >= ({"hires fix", "clip skip", "VAE", "LoRA"} if "hires" in name else {"clip skip"})
    assert "all settings" not in told.sentence


def test_a_seed_of_64_bits_is_told(catalog: Catalog) -> None:
    told = report("seed64.png", catalog)
    assert "seed" not in told.values
    assert "seed (1125899906842624): seeds have 32 bits here" in told.sentence


@pytest.mark.parametrize(
    ("name", "tool", "values"),
    [
        ("comfy.png", "ComfyUI", {"prompt": "a green house", "negative_prompt": "bad", "seed": 5, "height": 640}),
        ("invoke.png", "InvokeAI", {"prompt": "a boat", "seed": 99, "width": 832, "sampler": "euler-a", "model": "m"}),
        ("nai.png", "NovelAI", {"prompt": "a boat", "steps": 28, "width": 832, "sampler": "euler-a"}),
    ],
)
def test_other_tools_are_read(name: str, tool: str, values: dict[str, Any], catalog: Catalog) -> None:
    found = read_settings(CASES / name)
    assert found is not None
    assert (found.tool, found.values | values) == (tool, found.values)
    assert f"Made by {tool}." in report(name, catalog).sentence
    if tool == "ComfyUI":
        assert "its graph cannot be restored, the prompt can" in report(name, catalog).sentence


@pytest.mark.parametrize("name", sorted(path.name for path in CASES.iterdir() if path.suffix in (".png", ".jpg")))
def test_verify_prints_every_file_sanely(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(CASES / name), "--json"]) in (0, 1)
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"file", "watermark", "made_by", "parameters", "unused"}


def test_avif_is_a_picture() -> None:
    if not AVIF:
        pytest.skip("this Pillow reads no AVIF")
    assert open_image(CASES / "photo.avif").size == (256, 256)


def test_odd_file_names_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUDIO_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("STUDIO_MIN_FREE_DISK_MB", "0")
    monkeypatch.setenv("STUDIO_EXECUTOR", "inprocess")
    folder = tmp_path / "shop"
    folder.mkdir()
    odd = bytes(folder) + b"/foto_m\xfcller.png"
    try:
        with open(odd, "wb") as file:
            Image.new("RGB", (16, 16), "red").save(file, "PNG")
        (folder / "a.png").write_bytes((CASES / "narrow_1x300.png").read_bytes())
        (folder / "b\n=1+1.png").write_bytes(b"no picture")
    except OSError:
        pytest.skip("this file system takes no such names")
    table = tmp_path / "table.csv"
    command = ["look", "--pictures", str(folder), "--csv", str(table), "--out", str(tmp_path / "out")]
    assert main([*command, "--json"], capabilities="tests.probe:ALL") == 0
    told = json.loads(capsys.readouterr().out)
    assert [Path(each["path"]).name for each in told["results"]] == ["a.png", "foto_m\ufffdller.png"]
    assert [Path(each["path"]).name for each in told["skipped"]] == ["b\n=1+1.png"]
    assert "foto_m\ufffdller.png" in table.read_text("utf-8-sig")
    assert main(command, capabilities="tests.probe:ALL") == 0
    assert main(["look", "--pictures", str(folder / "no\udcfc.png")], capabilities="tests.probe:ALL") == 2
    assert "no\ufffd.png" in capsys.readouterr().err


class Transport:
    """A studio that answers each file in turn as it is told: an id, or what it raises."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)

    def upload(self, path: Path, purpose: str) -> str:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_one_file_that_the_transport_loses_ends_no_batch(tmp_path: Path) -> None:
    files = [tmp_path / f"{n}.png" for n in range(6)]
    for file in files:
        file.write_bytes(b"x")
    lost, crashed = StudioError("No answer.", status=502), StudioError("Answered 500.", status=500)

    def hand_in(*answers: str | Exception) -> tuple[list[str], HandingIn]:
        handing = HandingIn(PicturesRequest, {"pictures": [str(file) for file in files]})
        return handing.run(cast(Any, Transport(*answers)))["pictures"], handing

    ids, handing = hand_in("a" * 32, lost, crashed, OSError("odd"), lost, "b" * 32)
    assert ids == ["a" * 32, "b" * 32]
    assert [Path(each["path"]).name for each in handing.skipped] == ["1.png", "2.png", "3.png", "4.png"]
    with pytest.raises(StudioError, match="No answer"):  # nobody is there any more
        hand_in("a" * 32, lost, lost, lost, "b" * 32, "c" * 32)
    with pytest.raises(StudioError, match="full"):
        hand_in("a" * 32, StudioError("The disk is full.", status=507))
