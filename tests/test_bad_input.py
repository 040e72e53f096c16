"""Bad input on every surface: one clear sentence, no stack trace, no job, no half-written file."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from studio import Studio
from studio.api import create_api
from studio.cli import main
from studio.settings import Settings
from tests.test_images import forged_header

GOOD = {"prompt": "a red apple"}
TABLE: list[tuple[str, dict[str, Any], str, str]] = [
    # name, what is added to a good request, the field at fault, what the sentence must name
    ("width-odd", {"width": 300}, "width", "use 320"),
    ("height-odd", {"height": 257}, "height", "use 256"),
    ("width-zero", {"width": 0}, "width", "at least 64"),
    ("width-negative", {"width": -512}, "width", "at least 64"),
    ("height-huge", {"height": 2**31}, "height", "at most 4096"),
    ("size-beyond-model", {"width": 4096}, "width", "use 512"),
    ("steps-zero", {"steps": 0}, "steps", "at least 1"),
    ("steps-negative", {"steps": -1}, "steps", "at least 1"),
    ("steps-10000", {"steps": 10_000}, "steps", "at most 150"),
    ("steps-fraction", {"steps": 2.5}, "steps", "whole number"),
    ("steps-word", {"steps": "many"}, "steps", "whole number"),
    ("guidance-nan", {"guidance_scale": float("nan")}, "guidance_scale", "finite"),
    ("guidance-infinite", {"guidance_scale": float("inf")}, "guidance_scale", "finite"),
    ("guidance-huge", {"guidance_scale": 1e30}, "guidance_scale", "at most 30"),
    ("prompt-empty", {"prompt": ""}, "prompt", "not be empty"),
    ("prompt-blank", {"prompt": " \n\t "}, "prompt", "not be empty"),
    ("prompt-200-kB", {"prompt": "x" * 200_000}, "prompt", "2000"),
    ("negative-200-kB", {"negative_prompt": "x" * 200_000}, "negative_prompt", "2000"),
    ("sampler-unknown", {"sampler": "magic"}, "sampler", "dpmpp-2m"),
    ("model-unknown", {"model": "gpt"}, "model", "starter"),
    ("seed-negative", {"seed": -1}, "seed", "at least 0"),
    ("seed-too-large", {"seed": 2**32}, "seed", "less than"),
    ("count-too-many", {"count": 1000}, "count", "at most 16"),
    ("field-unknown", {"cfg": 7}, "cfg", "cfg"),
]
JSON_ONLY: list[tuple[str, dict[str, Any], str, str]] = [
    ("prompt-number", {"prompt": 7}, "prompt", "text"),
    ("prompt-list", {"prompt": ["x"]}, "prompt", "text"),
    ("prompt-null", {"prompt": None}, "prompt", "text"),
    ("width-object", {"width": {}}, "width", "whole number"),
    ("styles-text", {"styles": "x"}, "styles", "list"),
]
IDS = [row[0] for row in TABLE]


def check_sentence(text: str, names: str = "") -> None:
    assert names in text
    assert text.endswith(".")
    assert "\n" not in text
    assert 20 <= len(text) <= 500
    for inside in ("Traceback", "pydantic", "Error(", "site-packages", ".py"):
        assert inside not in text


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A real studio without its worker: nothing here may get that far."""
    studio = Studio(Settings(data_dir=tmp_path_factory.mktemp("data"), min_free_disk_mb=0))
    studio.database.open()
    yield studio
    assert studio.jobs.list(user="local") == []
    studio.database.close()


@pytest.fixture(scope="module")
def client(quiet: Studio) -> TestClient:
    return TestClient(create_api(quiet, user="local"), base_url="http://localhost", raise_server_exceptions=False)


def post(client: TestClient, body: bytes) -> Any:
    return client.post("/api/v1/text-to-image", content=body, headers={"Content-Type": "application/json"})


class TestRest:
    @pytest.mark.parametrize(
        ("name", "change", "field", "names"), TABLE + JSON_ONLY, ids=IDS + [row[0] for row in JSON_ONLY]
    )
    def test_a_bad_value(self, client: TestClient, name: str, change: dict[str, Any], field: str, names: str) -> None:
        answer = post(client, json.dumps(GOOD | change).encode())
        assert answer.status_code == 422, answer.text
        assert set(answer.json()) == {"error", "field"}
        assert answer.json()["field"] == field
        check_sentence(answer.json()["error"], names)

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"", 422),
            (b"{", 422),
            (b"[]", 422),
            (b'"text"', 422),
            (b"null", 422),
            (b"\xff\xfe\x00", 400),
            (b"{}", 422),
            (b'{"prompt": "\\ud800"}', 422),
            (b'{"prompt": "x", "seed": ' + b"9" * 5000 + b"}", 422),
            (b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
            (b'{"prompt": "' + b"x" * 1_500_000 + b'"}', 413),
        ],
        ids=["nothing", "cut", "list", "text", "null", "bytes", "empty", "surrogate", "digits", "deep", "large"],
    )
    def test_a_bad_body(self, client: TestClient, body: bytes, status: int) -> None:
        answer = post(client, body)
        assert answer.status_code in (status, 400, 422), answer.text
        check_sentence(answer.json()["error"])

    def test_a_form_is_no_json(self, client: TestClient) -> None:
        answer = client.post("/api/v1/text-to-image", data={"prompt": "x"})
        assert answer.status_code == 422
        check_sentence(answer.json()["error"], "application/json")

    @pytest.mark.parametrize(
        "query",
        ["limit=0", "limit=x", "since=yesterday", "starred=maybe", "before=x", "before=2026~y", f"text={'x' * 300}"],
    )
    def test_a_bad_query(self, client: TestClient, query: str) -> None:
        answer = client.get(f"/api/v1/gallery?{query}")
        assert answer.status_code == 422, answer.text
        check_sentence(answer.json()["error"])

    @pytest.mark.parametrize("ids", [[], ["x" * 65], ["x"] * 501, "x", None])
    def test_a_bad_selection(self, client: TestClient, ids: Any) -> None:
        answer = client.post("/api/v1/gallery/delete", json={"ids": ids})
        assert answer.status_code == 422
        check_sentence(answer.json()["error"], "ids")

    @pytest.mark.parametrize(
        "content",
        [b"not a picture", forged_header(60_000, 60_000), b"GIF89a" + b"\0" * 50, b"\x89PNG\r\n\x1a\n" + b"\0" * 100],
        ids=["text", "bomb", "gif", "corrupt"],
    )
    def test_a_bad_picture(self, client: TestClient, content: bytes) -> None:
        answer = client.post("/api/v1/parameters", content=content)
        assert answer.status_code == 422
        check_sentence(answer.json()["error"], "picture")

    @pytest.mark.parametrize("name", ["size_huge.png", "own_hugew.png", "cfg_nan.png", "slow_words.png", "stealth.png"])
    def test_odd_settings_in_a_good_picture(self, client: TestClient, name: str) -> None:
        answer = client.post("/api/v1/parameters", content=(Path(__file__).parent / "cases" / name).read_bytes())
        assert answer.status_code == 200
        if name == "slow_words.png":
            assert answer.json() is None
        else:
            check_sentence(answer.json()["report"]["sentence"][:499].rstrip(".") + ".", "Not brought back")

    def test_a_picture_file_over_the_limit(self, quiet: Studio) -> None:
        small = Studio(quiet.settings.model_copy(update={"max_upload_mb": 1}))
        answer = TestClient(create_api(small, user="local"), base_url="http://localhost").post(
            "/api/v1/parameters", content=b"x" * 1_000_001
        )
        assert answer.status_code == 413
        check_sentence(answer.json()["error"], "1 MB")

    def test_a_full_disk(self, tmp_path: Path) -> None:
        studio = Studio(Settings(data_dir=tmp_path / "data", min_free_disk_mb=10**9), capabilities="tests.probe:ALL")
        studio.database.open()
        try:
            answer = TestClient(create_api(studio, user="local"), base_url="http://localhost").post(
                "/api/v1/gradient", json={}
            )
            assert answer.status_code == 507
            check_sentence(answer.json()["error"], "free")
            assert studio.jobs.list(user="local") == []
        finally:
            studio.database.close()

    def test_a_full_queue(self, tmp_path: Path) -> None:
        settings = Settings(data_dir=tmp_path / "data", min_free_disk_mb=0, max_queued_jobs=1)
        studio = Studio(settings, capabilities="tests.probe:ALL")
        studio.database.open()
        try:
            client = TestClient(create_api(studio, user="local"), base_url="http://localhost")
            answers = [client.post("/api/v1/gradient", json={}) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [202, 429]
            assert int(answers[1].headers["retry-after"]) > 0
            check_sentence(answers[1].json()["error"])
        finally:
            studio.database.close()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    monkeypatch.setenv("STUDIO_DATA_DIR", str(folder))
    monkeypatch.setenv("STUDIO_MIN_FREE_DISK_MB", "0")
    monkeypatch.setenv("STUDIO_EXECUTOR", "inprocess")
    return folder


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, names: str = "") -> None:
    """The command ends with 2, one sentence on stderr, nothing on stdout."""
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("studio: ")
    check_sentence(said.err.removesuffix("\n"), names)


class TestCommandLine:
    @pytest.mark.parametrize(("name", "change", "field", "names"), TABLE[:-1], ids=IDS[:-1])
    def test_a_bad_value(
        self,
        data: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        name: str,
        change: dict[str, Any],
        field: str,
        names: str,
    ) -> None:
        flags = [f"--{key.replace('_', '-')}={value}" for key, value in (GOOD | change).items()]
        refused(capsys, "text-to-image", *flags, "--out", str(tmp_path / "out"), "--json", names=names)
        assert not data.exists()  # no job was made, no studio was started
        assert list(tmp_path.glob("out/*")) == []

    @pytest.mark.parametrize(
        ("arguments", "names"),
        [
            ([], "COMMAND"),
            (["txt2img"], "text-to-image"),
            (["text-to-image"], "'prompt' is missing"),
            (["text-to-image", "--prompt"], "--prompt"),
            (["text-to-image", "--prompt", "x", "--cfg", "7"], "--cfg"),
            (["verify"], "file"),
            (["verify", "no-such-file.png"], "no-such-file.png"),
            (["serve", "--port", "many"], "STUDIO_PORT"),
            (["serve", "--port", "70000"], "at most 65535"),
            (["serve", "--host", "0.0.0.0"], "STUDIO_ALLOWED_HOSTS"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_a_bad_command(
        self, data: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], names: str
    ) -> None:
        refused(capsys, *arguments, names=names)
        assert not data.exists()

    def test_a_bad_picture_file(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        buffer = io.BytesIO()
        Image.new("RGB", (300, 300)).save(buffer, "PNG")
        for content in (b"", b"text", forged_header(60_000, 60_000), buffer.getvalue()[:-100]):
            (tmp_path / "file.png").write_bytes(content)
            refused(capsys, "verify", str(tmp_path / "file.png"), names="picture")

    def test_a_bad_variable(
        self, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STUDIO_DEVICE", "toaster")
        refused(capsys, "text-to-image", "--prompt", "x", names="STUDIO_DEVICE")

    def test_a_port_in_use(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            refused(capsys, "serve", "--port", str(port), names="STUDIO_PORT")
        assert not data.exists()

    def test_a_data_folder_that_is_a_file(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        data.write_text("not a folder")
        refused(capsys, "serve", "--port", "0", names="STUDIO_DATA_DIR")
        assert data.read_text() == "not a folder"

    def test_a_damaged_database(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        data.mkdir()
        (data / "studio.db").write_bytes(b"garbage " * 1000)
        refused(capsys, "serve", "--port", "0", names="damaged")
        assert (data / "studio.db").read_bytes() == b"garbage " * 1000

    def test_an_output_folder_that_cannot_be(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "file").write_text("")
        refused(capsys, "text-to-image", "--prompt", "x", "--out", str(tmp_path / "file" / "out"), names="--out")

    def test_a_full_output_disk_leaves_no_half_file(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        small = tmp_path / "small"
        small.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(small)]
        if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("needs the right to mount a tiny disk")
        monkeypatch.setenv("STUDIO_WATERMARK", "0")
        try:
            (small / "filler").write_bytes(b"x" * 4096)
            (small / "more").write_bytes(b"x" * 4096)
            assert main(["gradient", "--out", str(small)], capabilities="tests.probe:ALL") == 2
            said = capsys.readouterr().err.removesuffix("\n")
            check_sentence(said, "--out")
            assert sorted(path.name for path in small.iterdir()) == ["filler", "more"]
        finally:
            subprocess.run(["umount", str(small)], check=True)
