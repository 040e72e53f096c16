"""Settings in picture files: other tools' ways of writing them, hostile ones, and what is brought back here."""

from __future__ import annotations

import gzip
import json
import struct
import time
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from studio.capabilities.text_to_image import TextToImage
from studio.drawing.restore import restore
from studio.errors import StudioError
from studio.media.files import AVIF
from studio.media.foreign import from_infotext, read_foreign
from studio.media.images import open_image, write_png
from studio.media.parameters import read_parameters, read_settings
from studio.media.texts import png_texts, sound_png
from studio.models.catalog import Catalog
from studio.settings import Settings as StudioSettings
from tests.test_images import PARAMETERS, encoded, picture

INFOTEXT = "a red barn\nNegative prompt: dull\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 12, Size: 256x256"
OURS = {
    "prompt": "a red barn", "negative_prompt": "dull", "steps": 20, "sampler": "euler-a", "guidance_scale": 7.0,
    "seed": 12, "width": 256, "height": 256,
}  # fmt: skip


def chunk(kind: bytes, body: bytes, *, sound: bool = True) -> bytes:
    sum = zlib.crc32(kind + body) if sound else 7
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", sum)


def png_with(*chunks: bytes, behind: bool = False) -> bytes:
    data = encoded(picture(), "PNG")
    place = len(data) - 12 if behind else 33  # before IEND, or after IHDR
    return data[:place] + b"".join(chunks) + data[place:]


def commented(comment: bytes, format: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[0x013B] = "x"  # Pillow takes an EXIF block without a tag of its own for none
    exif.get_ifd(0x8769)[0x9286] = comment
    return encoded(picture(), format, exif=exif)


class TestContainers:
    @pytest.mark.parametrize("behind", [False, True])
    @pytest.mark.parametrize(
        "written",
        [
            chunk(b"tEXt", b"parameters\0" + INFOTEXT.encode()),
            chunk(b"zTXt", b"parameters\0\0" + zlib.compress(INFOTEXT.encode())),
            chunk(b"iTXt", b"parameters\0\0\0\0\0" + INFOTEXT.encode()),
            chunk(b"iTXt", b"parameters\0\1\0en\0Parameter\0" + zlib.compress(INFOTEXT.encode())),
        ],
        ids=["text", "packed", "international", "packed-international"],
    )
    def test_every_kind_of_text_wherever_it_stands(self, written: bytes, behind: bool) -> None:
        assert read_parameters(png_with(written, behind=behind)) == OURS

    @pytest.mark.parametrize(
        "beside",
        [
            chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b"x" * 30_000_000)),
            chunk(b"iTXt", b"junk\0\1\0\0\0" + b"not packed at all"),
            chunk(b"tEXt", b"no keyword ends here"),
            chunk(b"tEXt", b"parameters\0of a damaged chunk", sound=False),
            chunk(b"eXIf", b"II*\0\xff\xff\xff\xff"),
            chunk(b"iCCP", b"profile\0\0" + b"not packed"),
            chunk(b"pHYs", b"\0", sound=False),
            chunk(b"tIME", b"", sound=True),
            chunk(b"zzZz", b"x" * 100_000, sound=False),
        ],
        ids=["bomb", "unpacked", "no-end", "damaged", "exif", "profile", "short", "empty", "unknown"],
    )
    def test_what_stands_beside_spoils_nothing(self, beside: bytes) -> None:
        data = png_with(beside, chunk(b"tEXt", b"parameters\0" + INFOTEXT.encode()))
        assert open_image(data).size == (32, 16)
        assert read_parameters(data) == OURS

    def test_the_picture_is_untouched_by_leaving_out_what_stands_beside(self) -> None:
        image = Image.new("P", (8, 8), 1)
        image.putpalette([0, 0, 0, 200, 100, 50])
        data = encoded(image, "PNG", transparency=0)
        assert open_image(data).getpixel((0, 0)) == (200, 100, 50, 255)

    def test_too_many_chunks_are_no_picture(self) -> None:
        data = png_with(chunk(b"tIME", b"") * 250_000)
        with pytest.raises(StudioError):
            open_image(data)

    def test_a_cut_file_is_no_picture_but_its_texts_are_read(self) -> None:
        data = png_with(chunk(b"tEXt", b"parameters\0" + INFOTEXT.encode()))[:-700]
        with pytest.raises(StudioError):
            open_image(data)
        assert read_parameters(data) == OURS

    @pytest.mark.parametrize("format", ["JPEG", "WEBP", "PNG", *(["AVIF"] if AVIF else [])])
    @pytest.mark.parametrize(
        "comment",
        [
            INFOTEXT.encode(),
            b"ASCII\0\0\0" + INFOTEXT.encode(),
            b"\0" * 8 + INFOTEXT.encode() + b"\0" * 300,
            b"UNICODE\0" + INFOTEXT.encode("utf-16-be"),
            b"UNICODE\0" + INFOTEXT.encode("utf-16-le"),
            b"UNICODE\0" + b"\xff\xfe" + INFOTEXT.encode("utf-16-le") + b"\0" * 64,
            b"UNICODE\0" + b"\xfe\xff" + INFOTEXT.encode("utf-16-be"),
            b"UNICODE\0" + b"\xef\xbb\xbf" + INFOTEXT.encode(),
            b"Unicode " + INFOTEXT.encode(),
            b"JIS\0\0\0\0\0" + INFOTEXT.encode("iso2022_jp"),
            b"        " + INFOTEXT.encode(),
        ],
        ids=["bare", "ascii", "zeros", "be", "le", "le-mark", "be-mark", "utf8-mark", "small", "jis", "spaces"],
    )
    def test_a_comment_in_every_coding(self, comment: bytes, format: str) -> None:
        assert read_parameters(commented(comment, format)) == OURS

    @pytest.mark.parametrize("coding", ["utf-8", "utf-16-le", "utf-16-be"])
    def test_other_scripts_in_a_comment(self, coding: str) -> None:
        text = INFOTEXT.replace("a red barn", "夜の街, ein Häuschen, дом 🏠")
        found = read_parameters(commented(b"UNICODE\0" + text.encode(coding)))
        assert found is not None
        assert found["prompt"] == "夜の街, ein Häuschen, дом 🏠"

    def test_latin_1_is_read_where_it_is_no_utf_8(self) -> None:
        for coding in ("latin-1", "utf-8"):
            data = png_with(chunk(b"tEXt", b"parameters\0" + INFOTEXT.replace("barn", "Häuschen").encode(coding)))
            assert (read_parameters(data) or {})["prompt"] == "a red Häuschen"

    def test_a_jpeg_comment(self) -> None:
        assert read_parameters(encoded(picture(), "JPEG", comment=INFOTEXT.encode())) == OURS

    @pytest.mark.parametrize("packed", [False, True])
    @pytest.mark.parametrize("mode", ["RGB", "RGBA"])
    def test_the_lowest_bits(self, mode: str, packed: bool) -> None:
        body = gzip.compress(INFOTEXT.encode()) if packed else INFOTEXT.encode()
        kind = {"RGB": b"rgb", "RGBA": b"png"}[mode]
        data = b"stealth_" + kind + (b"comp" if packed else b"info") + struct.pack(">I", len(body) * 8) + body
        bits = np.unpackbits(np.frombuffer(data, np.uint8))
        pixels = np.random.default_rng(0).integers(0, 256, (90, 70, len(mode)), dtype=np.uint8)
        columns = pixels.transpose(1, 0, 2).copy()
        chosen = columns[:, :, 3:].reshape(-1) if mode == "RGBA" else columns.reshape(-1)
        chosen[: len(bits)] = chosen[: len(bits)] & 0xFE | bits
        if mode == "RGBA":
            columns[:, :, 3] = chosen.reshape(70, 90)
        else:
            columns = chosen.reshape(columns.shape)
        assert read_parameters(encoded(Image.fromarray(columns.transpose(1, 0, 2).copy()), "PNG")) == OURS


COMFY = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 2**53, "steps": 20, "cfg": 7.0, "sampler_name": "dpmpp_2m", "scheduler": "karras", "denoise": 1,
            "model": ["9", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0],
        },
        "is_changed": [None],
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sub/dreamy_v8.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 640, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a green house", "clip": ["9", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "bad", "clip": ["9", 1]}},
    "9": {"class_type": "LoraLoader", "inputs": {"lora_name": "x.safetensors", "model": ["4", 0], "clip": ["4", 1]}},
}  # fmt: skip
FOOOCUS = {
    "prompt": "a boat", "negative_prompt": "bad", "steps": 30, "styles": "['Fooocus V2']", "performance": "Speed",
    "resolution": "(896, 1152)", "guidance_scale": 4, "sharpness": 2, "base_model": "juggernautXL_v8", "seed": "77",
    "base_model_hash": "aeb7e9e689", "refiner_model": "None", "sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras",
    "loras": [["offset", 0.1, "abc"]], "version": "Fooocus v2.5.5", "metadata_scheme": "fooocus",
}  # fmt: skip
SWARM = {
    "sui_image_params": {
        "prompt": "a boat", "negativeprompt": "bad", "model": "dreamy_v8", "seed": 9, "steps": 25, "cfgscale": 6.5,
        "width": 640, "height": 896, "sampler": "euler_ancestral", "scheduler": "normal", "swarm_version": "0.9.5",
        "loras": ["x"], "loraweights": ["1"], "refinerupscale": 1.5,
    },
    "sui_extra_data": {"date": "2025-01-01"},
}  # fmt: skip
EASY = {
    "prompt": "a boat", "negative_prompt": "bad", "seed": 5, "width": 512, "height": 512, "num_inference_steps": 25,
    "guidance_scale": 7.5, "use_stable_diffusion_model": "sd-v1-5", "sampler_name": "euler_a", "use_lora_model": "x",
}  # fmt: skip


class TestOtherTools:
    def test_comfyui_without_its_workflow(self) -> None:
        found = read_foreign({"prompt": json.dumps(COMFY).replace("null", "NaN")})
        assert found is not None
        assert found.values == {
            "prompt": "a green house", "negative_prompt": "bad", "sampler": "dpmpp-2m-karras", "steps": 20,
            "guidance_scale": 7.0, "seed": 2**53, "model": "sub/dreamy_v8.safetensors", "width": 512, "height": 640,
        }  # fmt: skip
        assert [loss.field for loss in found.losses] == ["workflow", "LoRA"]
        assert found.losses[0].why == "its graph cannot be restored, the prompt can"

    def test_comfyui_in_a_webp(self) -> None:
        exif = Image.Exif()
        exif[0x0110] = "prompt:" + json.dumps(COMFY)
        exif[0x010F] = "workflow:{}"
        assert (read_parameters(encoded(picture(), "WEBP", exif=exif)) or {})["prompt"] == "a green house"

    def test_a_comfyui_graph_of_another_kind_still_gives_its_words(self) -> None:
        graph = {
            "1": {"class_type": "SamplerCustomAdvanced", "inputs": {"noise": ["2", 0]}},
            "2": {"class_type": "RandomNoise", "inputs": {"noise_seed": 4}},
            "3": {"class_type": "CLIPTextEncodeFlux", "inputs": {"clip_l": "", "t5xxl": "a long description"}},
        }
        found = read_foreign({"prompt": json.dumps(graph), "workflow": "{}"})
        assert found is not None
        assert (found.tool, found.values["prompt"]) == ("ComfyUI", "a long description")

    def test_a_workflow_alone_is_named(self) -> None:
        found = read_foreign({"workflow": "{}"})
        assert found is not None
        assert (found.tool, found.values, found.losses[0].field) == ("ComfyUI", {}, "workflow")

    def test_a_graph_that_would_take_long_is_not_walked(self) -> None:
        sampler = COMFY["3"]["inputs"]
        graph = {
            str(n): {"class_type": "KSampler", "inputs": {**sampler, "model": [str(n + 1), 0]}} for n in range(900)
        }
        begin = time.process_time()
        found = read_foreign({"prompt": json.dumps(graph)})
        assert found is not None
        assert found.losses[1].why == "the graph is too large"
        assert time.process_time() - begin < 2

    @pytest.mark.parametrize("text", ["UserComment", "parameters"])
    def test_fooocus(self, text: str) -> None:
        found = read_foreign({text: json.dumps(FOOOCUS)})
        assert found is not None
        assert found.tool == "Fooocus"
        assert {**found.values} == {
            "prompt": "a boat", "negative_prompt": "bad", "sampler": "dpmpp_2m_sde_gpu", "steps": 30, "seed": 77,
            "guidance_scale": 4, "model": "juggernautXL_v8", "model_hash": "aeb7e9e689", "width": 896, "height": 1152,
        }  # fmt: skip
        assert {"LoRA", "styles", "sharpness", "schedule"} <= {loss.field for loss in found.losses}

    def test_swarmui(self) -> None:
        found = read_foreign({"parameters": json.dumps(SWARM)})
        assert found is not None
        assert (found.tool, found.values["sampler"], found.values["guidance_scale"]) == ("SwarmUI", "euler-a", 6.5)
        assert (found.values["width"], found.values["model"], found.values["seed"]) == (640, "dreamy_v8", 9)
        assert {loss.field for loss in found.losses} == {"LoRA", "hires fix"}

    @pytest.mark.parametrize("way", ["chunks", "comment"])
    def test_easy_diffusion(self, way: str) -> None:
        texts = (
            {key: str(value) for key, value in EASY.items()} if way == "chunks" else {"UserComment": json.dumps(EASY)}
        )
        found = read_foreign(texts)
        assert found is not None
        assert (found.tool, found.values["model"], found.values["seed"]) == ("Easy Diffusion", "sd-v1-5", 5)
        assert (found.values["steps"], found.values["guidance_scale"]) == (25, 7.5)
        assert [loss.field for loss in found.losses] == ["LoRA"]

    def test_novelai_in_the_lowest_bits_and_in_a_comment(self) -> None:
        comment = {"prompt": "a boat", "steps": 28, "height": 1216, "width": 832, "scale": 5.0, "seed": 99,
                   "sampler": "k_dpmpp_2m", "noise_schedule": "karras", "uc": "bad"}  # fmt: skip
        whole = {
            "Comment": json.dumps(comment),
            "Description": "a boat",
            "Software": "NovelAI",
            "Source": "NAI 1234ABCD",
        }
        for text in (json.dumps(whole), json.dumps(comment)):
            found = read_foreign({"UserComment": text})
            assert found is not None
            assert (found.tool, found.values["sampler"], found.values["width"]) == ("NovelAI", "dpmpp-2m-karras", 832)

    def test_the_older_ways_of_invokeai(self) -> None:
        dream = '"a boat [bad]" -s 30 -S 99 -W 512 -H 768 -C 7.5 -A k_euler_a'
        found = read_foreign({"Dream": dream})
        assert found is not None
        assert (found.values["prompt"], found.values["negative_prompt"]) == ("a boat", "bad")
        assert (found.values["sampler"], found.values["height"]) == ("euler-a", 768)
        image = {
            "prompt": [{"prompt": "a boat", "weight": 1}],
            "steps": 9,
            "cfg_scale": 7,
            "seed": 3,
            "sampler": "ddim",
        }
        found = read_foreign(
            {"sd-metadata": json.dumps({"image": image, "model_weights": "x", "model_hash": "ab" * 8})}
        )
        assert found is not None
        assert (found.values["steps"], found.values["model"], found.values["sampler"]) == (9, "x", "ddim")

    def test_a_prompt_may_begin_with_a_brace(self) -> None:
        found = read_foreign({"parameters": "{a|b} " + INFOTEXT})
        assert found is not None
        assert found.values["prompt"] == "{a|b} a red barn"

    def test_a_tool_whose_values_make_no_sense_is_named(self) -> None:
        for text in ("[]", "{}", '{"seed": []}', "nonsense", "[" * 100_000, '{"positive_prompt": 7}'):
            found = read_foreign({"invokeai_metadata": text})
            assert found is not None
            assert found.tool == "InvokeAI"


class TestInfotext:
    def test_the_marker_counts_only_at_the_start_of_a_line(self) -> None:
        found = from_infotext(
            'a sign "Negative prompt: none"\n  Negative prompt: dull\nNegative prompt: x\n' + SETTINGS
        )
        assert found is not None
        assert found.values["prompt"] == 'a sign "Negative prompt: none"'
        assert found.values["negative_prompt"] == "dull\nNegative prompt: x"

    def test_what_no_field_takes_is_told(self) -> None:
        found = from_infotext(
            "x\n" + SETTINGS + ', Schedule type: Exponential, Lora hashes: "a: 1, b: 2", Denoising strength: 0.4, '
            'Hires upscale: 2, Clip skip: 2, VAE: v.pt, ControlNet 0: "Module: canny, Model: c", Version: v1.10, '
            'Hashes: {"vae": "1", "model": "2"}, TI hashes: "e: 1", Refiner: r, Tiling: False, RNG: CPU'
        )
        assert found is not None
        assert {loss.field: loss.said for loss in found.losses} == {
            "schedule": "Schedule type Exponential", "LoRA": "Lora hashes a: 1, b: 2", "clip skip": "Clip skip 2",
            "hires fix": "Denoising strength 0.4, Hires upscale 2", "VAE": "v.pt", "embeddings": "TI hashes e: 1",
            "ControlNet": "ControlNet 0 Module: canny, Model: c", "refiner": "Refiner r", "RNG": "CPU",
        }  # fmt: skip

    @pytest.mark.parametrize(
        "text",
        [
            "a" * 290_000,
            "a," * 140_000,
            "a b: " * 50_000,
            'a: "' * 70_000,
            'a: "\\",' * 40_000,
            "a: {, " * 45_000,
            "a: {}, " * 40_000,
            " " * 290_000,
            "\n" * 290_000,
            "Negative prompt:\n" * 17_000,
            "Steps: 1, Seed: 2\n" * 15_000,
            'a: "b" ' + " " * 140_000 + 'a: "b" ' * 20_000,
            "Steps: 1, " * 28_000,
        ],
        ids=range(13),
    )
    def test_the_time_is_linear(self, text: str) -> None:
        begin = time.process_time()
        read_foreign({"parameters": "p\n" + text})
        assert time.process_time() - begin < 3  # a quadratic reader takes hours

    def test_longer_texts_are_not_read_and_that_is_said(self) -> None:
        data = png_with(chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"a" * 3_000_000)))
        found = read_settings(data)
        assert found is not None
        assert "longer" in found.losses[0].why

    @pytest.mark.parametrize(
        ("said", "field"),
        [
            ("Size: " + "9" * 5000 + "x512", "width"), ("Seed: " + "9" * 5000, "seed"), ("Size: 64", "width"),
            ("CFG scale: inf", "guidance_scale"),
            ("CFG scale: nan", "guidance_scale"), ("CFG scale: 1e999", "guidance_scale"), ("Steps: ٣", "steps"),
            ("Steps: 2.5", "steps"), ("Steps: 1_000", "steps"), ("Size: x", "width"), ("Seed: 0x10", "seed"),
        ],
    )  # fmt: skip
    def test_odd_values_are_told(self, said: str, field: str) -> None:
        rest = ["Steps: 1", "Sampler: Euler", "CFG scale: 2", "Seed: 1", "Size: 64x64"]
        line = ", ".join([said, *[each for each in rest if each.split(":")[0] != said.split(":")[0]]])
        found = from_infotext("x\n" + line)
        assert found is not None
        assert field not in found.values
        assert field in [loss.field for loss in found.losses]


SETTINGS = "Steps: 20, Sampler: Euler, CFG scale: 7, Seed: 12, Size: 256x256"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
known = st.sampled_from(
    ["prompt", "negative_prompt", "width", "height", "steps", "guidance_scale", "sampler", "seed", "model",
     "model_hash", "capability", "styles", "count", "class_type", "inputs", "text", "uc", "Comment", "sui_image_params",
     "base_model", "num_inference_steps", "workflow", "image", "positive", "scheduler", "cfg_scale", "versions",
     "requested"]
)  # fmt: skip
objects = st.dictionaries(
    known | st.text(max_size=8), json_values | st.dictionaries(known, json_values, max_size=5), max_size=9
)


def sane(data: bytes, catalog: Catalog) -> None:
    """Whatever is in the file: settings or none, and a report that can be sent on."""
    found = read_settings(data)
    if found is None:
        return
    report = restore(found, TextToImage(), catalog)
    json.dumps([found.values, report.values], allow_nan=False, ensure_ascii=False).encode()
    assert all(len(loss.said) <= 200 and loss.why for loss in report.not_restored)
    assert len(report.sentence.encode()) < 9000
    TextToImage.request.model_validate({"prompt": "x", **{k: v for k, v in report.values.items() if v != ""}})


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return Catalog(StudioSettings(data_dir=tmp_path_factory.mktemp("data")))


class TestHostile:
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(value=objects, keyword=st.sampled_from(["studio", "parameters", "prompt", "invokeai_metadata", "Comment"]))
    def test_json_of_any_kind(self, catalog: Catalog, value: Any, keyword: str) -> None:
        body = json.dumps(value).encode()
        extra = chunk(b"tEXt", b"Software\0NovelAI")
        sane(png_with(extra, chunk(b"iTXt", keyword.encode() + b"\0\0\0\0\0" + body)), catalog)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(text=st.text(max_size=300), end=st.text(max_size=60))
    def test_infotext_of_any_kind(self, catalog: Catalog, text: str, end: str) -> None:
        whole = f"{text}\n{SETTINGS}, {end}".encode("utf-8", "surrogatepass")
        sane(png_with(chunk(b"tEXt", b"parameters\0" + whole)), catalog)
        sane(commented(b"UNICODE\0" + whole[:8000]), catalog)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(body=st.binary(max_size=200), kind=st.sampled_from([b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"iCCP", b"tRNS"]))
    def test_chunks_of_any_kind(self, catalog: Catalog, body: bytes, kind: bytes) -> None:
        data = png_with(chunk(kind, body), chunk(kind, b"studio\0" + body))
        assert isinstance(png_texts(data), dict)
        assert sound_png(data)
        sane(data, catalog)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(place=st.integers(0, 4000), body=st.binary(max_size=40), format=st.sampled_from(["PNG", "JPEG", "WEBP"]))
    def test_damage_anywhere(self, catalog: Catalog, place: int, body: bytes, format: str) -> None:
        data = {"PNG": write_png(picture(), PARAMETERS)}.get(format) or commented(
            b"ASCII\0\0\0" + INFOTEXT.encode(), format
        )
        place %= len(data)
        try:
            sane(data[:place] + body + data[place + len(body) :], catalog)
        except StudioError as error:
            assert error.field == "image"

    @pytest.mark.parametrize(
        "own",
        [
            '{"a":' + "[" * 200_000 + "]" * 200_000 + "}",
            '{"a":' + "[" * 500 + "]" * 500 + "}",
            '{"seed": ' + "9" * 5000 + "}",
            '{"guidance_scale": NaN}',
            '{"guidance_scale": 1e999}',
            "[" + "0," * 300_000 + "0]",
            '{"prompt": "' + "x" * 5_000_000 + '"}',
            "null",
        ],
        ids=["deep", "less-deep", "digits", "nan", "infinite", "many", "long", "null"],
    )
    def test_our_own_chunk_damaged(self, catalog: Catalog, own: str) -> None:
        data = png_with(chunk(b"iTXt", b"studio\0\1\0\0\0" + zlib.compress(own.encode())))
        assert read_parameters(data) is None
        found = read_settings(data)
        assert found is not None
        report = restore(found, TextToImage(), catalog)
        assert "the studio's own settings are damaged" in report.sentence

    def test_wrong_kinds_in_our_own_chunk(self, catalog: Catalog) -> None:
        wrong = {
            "prompt": 7,
            "width": [1],
            "height": "x",
            "steps": True,
            "seed": -1,
            "guidance_scale": "7.5",
            "model": {},
        }
        data = png_with(chunk(b"iTXt", b"studio\0\0\0\0\0" + json.dumps(wrong).encode()))
        assert read_parameters(data) == {"seed": -1, "guidance_scale": 7.5}
        sane(data, catalog)
