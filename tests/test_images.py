"""Opening what users hand in, and the parameters that a PNG carries."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sd_parsers import ParserManager

from studio.errors import StudioError
from studio.media.files import AVIF
from studio.media.foreign import from_infotext
from studio.media.images import open_image, read_parameters, write_png
from studio.media.infotext import infotext
from studio.models.samplers import SAMPLERS

PARAMETERS: dict[str, Any] = {
    "capability": "text-to-image",
    "prompt": "a red apple on a blue background, (shiny:1.2)",
    "negative_prompt": "blurry, dark",
    "width": 512,
    "height": 256,
    "steps": 20,
    "guidance_scale": 7.5,
    "sampler": "dpmpp-2m-karras",
    "seed": 4294967295,
    "model": "sd15",
    "model_hash": "0a1b2c3d4e",
    "versions": {"studio": "0.1.0"},
}


def parse_infotext(text: str) -> dict[str, Any] | None:
    found = from_infotext(text)
    return found.values if found else None


def picture(width: int = 32, height: int = 16) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def forged_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


class TestOpening:
    @pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", *(["AVIF"] if AVIF else [])])
    def test_every_format_opens_from_bytes_and_from_a_path(self, format: str, tmp_path: Path) -> None:
        content = encoded(picture(), format)
        (tmp_path / "file").write_bytes(content)
        for source in (content, tmp_path / "file"):
            image = open_image(source)
            assert (image.size, image.mode) == ((32, 16), "RGB")

    def test_the_camera_s_rotation_is_applied(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6  # turned by 90 degrees
        assert open_image(encoded(picture(), "JPEG", exif=exif)).size == (16, 32)

    def test_an_animation_gives_its_first_frame(self) -> None:
        red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
        for format in ("PNG", "WEBP"):
            image = open_image(encoded(red, format, save_all=True, append_images=[blue], lossless=True))
            assert image.convert("RGB").getpixel((4, 4)) == (255, 0, 0)

    def test_transparency_is_kept_and_16_bits_are_scaled(self) -> None:
        assert open_image(encoded(Image.new("RGBA", (4, 4), (1, 2, 3, 4)), "PNG")).mode == "RGBA"
        grey = Image.fromarray(np.full((4, 4), 0x8000, np.uint16))
        assert open_image(encoded(grey, "PNG")).getpixel((0, 0)) == (128, 128, 128)

    @pytest.mark.parametrize(
        ("width", "height"), [(13_000, 13_000), (1, 178_000_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)]
    )
    def test_a_bomb_is_refused_by_its_header(self, width: int, height: int) -> None:
        with pytest.raises(StudioError):
            open_image(forged_header(width, height))

    def test_the_limit_counts_pixels(self) -> None:
        assert open_image(encoded(picture(), "PNG"), max_pixels=512).size == (32, 16)
        with pytest.raises(StudioError, match="32 x 16"):
            open_image(encoded(picture(), "PNG"), max_pixels=511)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"hello",
            b"\x89PNG\r\n\x1a\n",
            encoded(picture(), "GIF"),
            encoded(picture(), "TIFF"),
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            b'<svg xmlns="http://www.w3.org/2000/svg"/>',
            encoded(picture(200, 200), "PNG")[:-2000],
            encoded(picture(200, 200), "JPEG")[:2000],
            encoded(picture(200, 200), "WEBP")[:2000],
            *([encoded(picture(200, 200), "AVIF")[:2000]] if AVIF else []),
        ],
        ids=[
            "empty",
            "text",
            "stub",
            "gif",
            "tiff",
            "eps",
            "svg",
            "cut-png",
            "cut-jpeg",
            "cut-webp",
            *(["cut-avif"] if AVIF else []),
        ],
    )
    def test_anything_else_is_refused_in_one_sentence(self, content: bytes) -> None:
        with pytest.raises(StudioError, match="not a readable PNG, JPEG, WebP or AVIF") as caught:
            open_image(content)
        assert caught.value.field == "image"

    def test_heic_is_named(self) -> None:
        for brands in (b"heic\0\0\0\0mif1heic", b"mif1\0\0\0\0mif1heic", b"heix\0\0\0\0mif1"):
            with pytest.raises(StudioError, match="export this one as JPEG"):
                open_image(struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + b"\0" * 40)

    def test_damaged_exif_turns_nothing(self) -> None:
        for exif in (b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + b"\x99" * 60, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"):
            assert open_image(encoded(picture(), "JPEG", exif=exif)).size == (32, 16)
            assert read_parameters(encoded(picture(), "WEBP", exif=exif)) is None

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(StudioError, match=r"nothing\.png"):
            open_image(tmp_path / "nothing.png")


class TestParameters:
    def test_our_own_come_back_whole_and_unicode_survives(self) -> None:
        given = PARAMETERS | {"prompt": "ein Häuschen 🏠\nzweite Zeile", "requested": {"nested": [1, None, True]}}
        assert read_parameters(write_png(picture(), given)) == given

    def test_the_same_picture_and_parameters_give_the_same_bytes(self) -> None:
        shuffled = dict(reversed(PARAMETERS.items()))
        assert write_png(picture(), PARAMETERS) == write_png(picture(), shuffled)

    def test_another_tool_s_reader_finds_everything(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(write_png(picture(), PARAMETERS))
        found = ParserManager().parse(tmp_path / "a.png")
        assert found is not None
        (sampler,) = found.samplers
        assert sampler.name == "DPM++ 2M Karras"
        assert [prompt.value for prompt in sampler.prompts] == [PARAMETERS["prompt"]]
        assert [prompt.value for prompt in sampler.negative_prompts] == [PARAMETERS["negative_prompt"]]
        assert sampler.model is not None
        assert (sampler.model.name, sampler.model.hash) == ("sd15", "0a1b2c3d4e")
        wanted = {"steps": "20", "cfg_scale": "7.5", "seed": "4294967295"}
        assert {name: str(sampler.parameters[name]) for name in wanted} == wanted
        assert found.metadata["Size"] == "512x256"

    def test_infotext_comes_back_for_every_sampler(self) -> None:
        kept = [name for name in PARAMETERS if name not in ("capability", "versions")]
        for row in SAMPLERS.values():
            given = PARAMETERS | {"sampler": row.id}
            found = parse_infotext(infotext(given))
            assert found == {name: given[name] for name in kept}

    def test_values_with_commas_are_quoted(self) -> None:
        found = parse_infotext(infotext(PARAMETERS | {"model": 'my, "odd": model'}))
        assert found is not None
        assert (found["model"], found["seed"]) == ('my, "odd": model', PARAMETERS["seed"])

    def test_the_newer_form_of_other_writers_is_read(self) -> None:
        found = parse_infotext(
            "two, lines\nof prompt\nNegative prompt: bad\nhands\n"
            "Steps: 30, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 5, Seed: 12, Size: 640x960, "
            'Model hash: abc, Model: some_model, Lora hashes: "a: 1, b: 2", Version: v1.10'
        )
        assert found == {
            "prompt": "two, lines\nof prompt",
            "negative_prompt": "bad\nhands",
            "steps": 30,
            "sampler": "dpmpp-2m-karras",
            "guidance_scale": 5.0,
            "seed": 12,
            "width": 640,
            "height": 960,
            "model_hash": "abc",
            "model": "some_model",
        }

    @pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le"])
    def test_a_jpeg_carries_them_in_its_exif_comment(self, encoding: str) -> None:
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + infotext(PARAMETERS).encode(encoding)
        found = read_parameters(encoded(picture(), "JPEG", exif=exif))
        assert found is not None
        assert found["prompt"] == PARAMETERS["prompt"]

    @pytest.mark.parametrize("text", ["", "just words", "Steps: many", "{}", "Steps: 1\n" * 500])
    def test_text_that_is_no_infotext_is_no_settings(self, text: str) -> None:
        assert parse_infotext(text) is None

    def test_a_value_that_cannot_be_read_is_left_out(self) -> None:
        found = parse_infotext("x\nSteps: many, Sampler: Euler, CFG scale: 2, Seed: 1, Size: ?")
        assert found == {"prompt": "x", "negative_prompt": "", "sampler": "euler", "guidance_scale": 2.0, "seed": 1}

    def test_a_picture_without_settings_has_none(self) -> None:
        assert read_parameters(encoded(picture(), "PNG")) is None

    def test_parameters_must_be_json(self) -> None:
        for wrong in (float("nan"), object()):
            with pytest.raises((ValueError, TypeError)):
                write_png(picture(), {"prompt": "x", "wrong": wrong})

    def test_a_broken_chunk_of_ours_falls_back_to_the_infotext(self) -> None:
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_text("studio", json.dumps(PARAMETERS)[:-5])
        info.add_text("parameters", infotext(PARAMETERS))
        found = read_parameters(encoded(picture(), "PNG", pnginfo=info))
        assert found is not None
        assert found["seed"] == PARAMETERS["seed"]
