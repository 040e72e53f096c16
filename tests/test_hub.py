"""The real huggingface_hub client against a small hub of our own on localhost, and against no hub at all."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from studio.capability import Output
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.hub import Downloads, DownloadState, wanted_files, wanted_of_reader
from tests import tiny


class Hub:
    """Serves one repository at any revision; records what was asked for."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[tuple[str, str]] = []
        self.gate: Callable[[str], None] = lambda path: None
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def answer(self, body: bytes, code: int = 200, **headers: str) -> None:
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def do_GET(self) -> None:
                path = self.path.split("?")[0]
                if path.startswith("/api/models/"):
                    revision = path.rsplit("/", 1)[1]
                    listing: Any = {"id": "a/b", "sha": revision, "siblings": []}
                    if "/tree/" in path:
                        listing = [
                            {"type": "file", "path": name, "size": len(body), "oid": hashlib.sha1(body).hexdigest()}
                            for name, body in hub.files.items()
                        ]
                    self.answer(json.dumps(listing).encode(), Content_Type="application/json")
                    return
                revision, name = path.split("/resolve/")[1].split("/", 1)
                body, start = hub.files[name], 0
                if self.command == "GET":
                    hub.asked.append((name, self.headers.get("Range", "")))
                    hub.gate(name)
                    if wanted := self.headers.get("Range"):
                        start = int(wanted.removeprefix("bytes=").split("-")[0])
                headers = {
                    "ETag": f'"{hashlib.sha1(body).hexdigest()}"',
                    "X_Repo_Commit": revision,
                    "Accept_Ranges": "bytes",
                }
                if start:
                    headers["Content_Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                self.answer(body[start:], 206 if start else 200, **headers)

            do_HEAD = do_GET

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def fetched(self) -> set[str]:
        return {name for name, _ in self.asked}


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A repository as they are: pickles, full and half precision, single files and pictures beside the folders."""
    folder = tiny.folder("sd15")
    files = {
        str(path.relative_to(folder)).replace("\\", "/"): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    files |= {
        "unet/diffusion_pytorch_model.bin": b"pickle",
        "unet/diffusion_pytorch_model.non_ema.safetensors": b"training only",
        "vae/diffusion_pytorch_model.fp16.safetensors": files["vae/diffusion_pytorch_model.safetensors"],
        "v1-5-pruned.safetensors": b"x" * 1000,
        "safety_checker/model.safetensors": b"x",
        "unet/evil.py": b"boom",
        "README.md": b"# Hello",
    }
    hub = Hub(files)
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


def finished(downloads: Downloads, id: str) -> DownloadState:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        state = downloads.state(id)
        assert state is not None
        if state.status != "running":
            return state
        time.sleep(0.02)
    raise AssertionError("the download never ended")


def test_only_what_the_pipeline_needs_is_fetched_and_then_the_family_is_available(hub: Hub, tmp_path: Path) -> None:
    catalog = Catalog(tiny.settings(tmp_path))
    downloads = Downloads(catalog.settings, catalog, endpoint=hub.url)
    assert downloads.state("sd15") is None
    downloads.start("sd15")
    state = finished(downloads, "sd15")
    assert state.status == "finished", state.error
    assert state.done_bytes == state.total_bytes > 0
    assert catalog.available("sd15")
    assert "unet/diffusion_pytorch_model.safetensors" in hub.fetched()
    assert "vae/diffusion_pytorch_model.fp16.safetensors" in hub.fetched()
    assert not hub.fetched() & {
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "v1-5-pruned.safetensors",
        "safety_checker/model.safetensors",
        "unet/evil.py",
        "README.md",
    }
    # What came over the wire draws: half precision here and full precision there, through the same manager.
    from studio.capabilities import BY_NAME

    capability = BY_NAME["text-to-image"]
    request = capability.request(prompt="a", model="sd15", width=256, height=256, steps=1, seed=1)  # type: ignore[call-arg]
    context: Any = tiny.Context(catalog)
    [output] = capability.run(capability.prepare(request, catalog), context)
    assert isinstance(output, Output)
    assert output.image.size == (256, 256)


def test_a_cancelled_download_is_not_available_and_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    catalog = Catalog(tiny.settings(tmp_path))
    downloads = Downloads(catalog.settings, catalog, endpoint=hub.url)
    hub.gate = lambda name: downloads.cancel("sd15") if name.startswith("unet/diffusion") else None
    downloads.start("sd15")
    assert finished(downloads, "sd15").status == "cancelled"
    assert not catalog.available("sd15")
    before = hub.fetched()
    hub.asked.clear()
    hub.gate = lambda name: None
    downloads.start("sd15")
    assert finished(downloads, "sd15").status == "finished"
    assert catalog.available("sd15")
    complete = {name for name in before if not name.startswith("unet/diffusion")}
    assert complete and not hub.fetched() & complete


def test_a_hub_out_of_reach_is_said_in_one_sentence(tmp_path: Path) -> None:
    catalog = Catalog(tiny.settings(tmp_path))
    downloads = Downloads(catalog.settings, catalog, endpoint="http://127.0.0.1:9")
    downloads.start("sdxl")
    state = finished(downloads, "sdxl")
    assert state.status == "failed"
    assert state.unreachable
    assert "cannot be reached" in state.error and "add the model from disk" in state.error and "\n" not in state.error
    assert not catalog.available("sdxl")


def test_offline_mode_is_respected(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    from huggingface_hub.utils import close_session

    close_session()
    catalog = Catalog(tiny.settings(tmp_path))
    downloads = Downloads(catalog.settings, catalog, endpoint=hub.url)
    downloads.start("sd15")
    state = finished(downloads, "sd15")
    close_session()
    assert state.status == "failed" and "HF_HUB_OFFLINE" in state.error
    assert hub.asked == []


def test_a_full_disk_is_noticed_before_the_first_block(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.models.hub.SPARE_BYTES", 10**18)
    catalog = Catalog(tiny.settings(tmp_path))
    downloads = Downloads(catalog.settings, catalog, endpoint=hub.url)
    downloads.start("sd15")
    state = finished(downloads, "sd15")
    assert state.status == "failed" and "STUDIO_DATA_DIR" in state.error
    assert hub.fetched() == {"model_index.json"}


def test_a_component_with_pickles_only_is_refused() -> None:
    index = {"_class_name": "X", "unet": ["diffusers", "UNet2DConditionModel"]}
    with pytest.raises(StudioError, match="'unet' of this model comes as a pickle only"):
        wanted_files({"model_index.json": 1, "unet/config.json": 1, "unet/model.bin": 9}, index)


def test_of_a_model_that_understands_only_configs_tokenizers_and_safetensors_are_fetched(tmp_path: Path) -> None:
    folder = tiny.folder("clip-vit-l14")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    unwanted = {
        "pytorch_model.bin": b"pickle",
        "model.fp16.safetensors": b"x",
        "flax_model.msgpack": b"x",
        "modeling_evil.py": b"boom",
        "onnx/model.safetensors": b"x",
        "README.md": b"# Hello",
    }
    hub = Hub({**files, **unwanted})
    try:
        catalog = Catalog(tiny.settings(tmp_path))
        downloads = Downloads(catalog.settings, catalog, endpoint=hub.url)
        downloads.start("clip-vit-l14")
        state = finished(downloads, "clip-vit-l14")
    finally:
        hub.server.shutdown()
        hub.server.server_close()
    assert state.status == "finished", state.error
    assert hub.fetched() == set(files) and "model.safetensors" in files
    from studio.models.manager import ModelManager
    from studio.models.spec import PipelineSpec

    with ModelManager(catalog.settings, catalog).use(PipelineSpec("clip-vit-l14", "understanding")) as reader:
        assert reader.texts(["a"]).shape == (1, 12)


def test_weights_in_parts_are_fetched_with_their_index_and_pickles_are_refused() -> None:
    parts = {"config.json": 1, "model-00001-of-00002.safetensors": 5, "model-00002-of-00002.safetensors": 5}
    indexed = {**parts, "model.safetensors.index.json": 1, "video_preprocessor_config.json": 1, "vocab.json": 1}
    assert wanted_of_reader({**indexed, "optimizer.pt": 9}) == indexed
    assert set(wanted_of_reader({**indexed, "model.safetensors": 10})) == {
        "config.json",
        "model.safetensors",
        "video_preprocessor_config.json",
        "vocab.json",
    }
    with pytest.raises(StudioError, match="comes as a pickle only"):
        wanted_of_reader({"config.json": 1, "pytorch_model.bin": 9})


def test_families_from_disk_have_nothing_to_download(tmp_path: Path) -> None:
    catalog = Catalog(tiny.settings(tmp_path))
    with pytest.raises(StudioError, match="does not come from the hub"):
        Downloads(catalog.settings, catalog).start("starter")
