"""The command line, alone and against a running server."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from studio.capabilities import ALL
from studio.cli import main
from studio.media.images import write_png
from studio.server import SERVER_FILE
from studio.settings import ROOT, Settings
from studio.trust import Trust
from tests.viewing import scene

PROBE = "tests.probe:ALL"
PATIENCE = 300.0
OFFERED = [capability for capability in ALL if not capability.hidden]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of every studio in the test, this process's and its children's."""
    folder = tmp_path / "data"
    for name, value in {
        "DATA_DIR": str(folder),
        "MIN_FREE_DISK_MB": "0",
        "EXECUTOR": "inprocess",
        "WATERMARK": "0",
    }.items():
        monkeypatch.setenv(f"STUDIO_{name}", value)
    return folder


def spawn(*arguments: str, executor: str = "inprocess") -> subprocess.Popen[str]:
    """The command line with the probe capability, in a process of its own."""
    # A shell that runs the tests in its background hands SIGINT down ignored.
    awake = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"import signal, sys; {awake}; from studio.cli import main; sys.exit(main(capabilities={PROBE!r}))"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=os.environ | {"STUDIO_EXECUTOR": executor},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@contextmanager
def server(data: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    # As shipped: in-process, the server would import torch beside the page.
    process = spawn("serve", "--port", "0", executor="process")
    try:
        end = time.monotonic() + PATIENCE
        while not (data / SERVER_FILE).exists() or not (data / SERVER_FILE).read_text():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.1)
        yield process, json.loads((data / SERVER_FILE).read_text())["url"]
    finally:
        process.kill()
        process.communicate()


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


class TestDrawing:
    def test_json_is_one_object_and_the_files_are_there(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "a" / "b"
        command = ["gradient", "--prompt", "x", "--seed", "7", "--count", "2", "--out", str(out), "--json"]
        assert main(command, capabilities=PROBE) == 0
        result = printed(capsys)
        assert list(result) == ["job", "model", "seconds", "images"]
        assert (result["model"], len(result["job"])) == ("starter", 32)
        assert [list(image) for image in result["images"]] == [["path", "seed", "width", "height"]] * 2
        assert [image["seed"] for image in result["images"]] == [7, 8]
        for image in result["images"]:
            with Image.open(image["path"]) as opened:
                assert opened.size == (image["width"], image["height"]) == (256, 256)
        assert sorted(map(str, out.iterdir())) == sorted(image["path"] for image in result["images"])

        first = [Path(image["path"]).read_bytes() for image in result["images"]]
        assert main(command, capabilities=PROBE) == 0  # the same seed and settings
        assert [Path(image["path"]).read_bytes() for image in printed(capsys)["images"]] == first

    def test_without_json_a_person_reads_it(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["gradient", "--seed", "3", "--out", str(tmp_path)], capabilities=PROBE) == 0
        said = capsys.readouterr()
        assert "seed 3" in said.out
        assert "1 picture(s) by starter" in said.out
        assert said.err == "Note: Drawn by a probe.\n"

    def test_a_failed_job_ends_with_its_sentence(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["gradient", "--fault", "refuse", "--out", str(tmp_path)], capabilities=PROBE) == 1
        assert capsys.readouterr().err == "studio: The probe refuses: ask for no fault.\n"
        assert not list(tmp_path.glob("*.png"))

    @pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
    def test_ctrl_c_cancels_the_job(self, data: Path, tmp_path: Path) -> None:
        process = spawn("gradient", "--steps", "1000", "--step-seconds", "0.2", "--seed", "1", "--out", str(tmp_path))
        end = time.monotonic() + PATIENCE
        while not (data / "trace-1").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
        assert (process.returncode, said) == (130, "studio: Stopped.\n")
        assert len((data / "trace-1").read_text().split()) < 1000
        assert jobs(data) == ["cancelled"]

    def test_every_field_of_every_request_has_a_flag(self, capsys: pytest.CaptureFixture[str]) -> None:
        for capability in OFFERED:
            with pytest.raises(SystemExit) as caught:
                main([capability.name, "--help"])
            assert caught.value.code == 0
            said = capsys.readouterr().out
            for name in capability.request.model_fields:
                assert f"--{name.replace('_', '-')}" in said


def jobs(data: Path) -> list[str]:
    """States of all jobs, as the database has them."""
    import sqlite3

    with sqlite3.connect(data / "studio.db") as connection:
        return [row[0] for row in connection.execute("SELECT status FROM jobs")]


def picture(path: Path, colour: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), colour).save(path)
    return path


class TestReading:
    def test_a_folder_is_read_and_what_cannot_be_is_named(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = tmp_path / "shop"
        red, blue = picture(folder / "a.png", "red"), picture(folder / "deep" / "b.png", "blue")
        picture(folder / "c.png", "red")
        picture(folder / ".hidden.png", "lime")
        (folder / "d.png").write_bytes(red.read_bytes()[:45])
        (folder / "e.txt").write_text("=1+1")
        table = tmp_path / "answers.csv"
        command = ["look", "--pictures", str(folder), "--csv", str(table), "--out", str(tmp_path / "o"), "--json"]
        assert main(command, capabilities=PROBE) == 0
        said = capsys.readouterr()
        result = json.loads(said.out)
        assert list(result) == ["job", "model", "seconds", "images", "results", "skipped"]
        assert [(each["path"], each["colour"]) for each in result["results"]] == [
            (str(red), [255, 0, 0]),
            (str(blue), [0, 0, 255]),
        ]
        assert [Path(each["path"]).name for each in result["skipped"]] == ["c.png", "d.png", "e.txt"]
        assert f"the same picture as {red}" in result["skipped"][0]["error"]
        for each in result["skipped"]:
            assert f"Skipped {each['path']}: {each['error']}" in said.err
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        assert [(row["name"], row["colour.3"]) for row in rows] == [("a.png", "0"), ("b.png", "255")]
        assert not (tmp_path / "o").exists()

        assert main(["look", "--pictures", str(red), str(blue)], capabilities=PROBE) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == f"{red}  colour: 255, 0, 0"
        assert lines[2].startswith("2 answer(s) by starter in ")

        assert main(["board", "import", str(folder), "--json"], capabilities=PROBE) == 0
        board = printed(capsys)
        assert (board["name"], board["count"], len(board["skipped"])) == ("shop", 2, 3)
        more = picture(tmp_path / "lime.png", "lime")
        assert main(["board", "import", str(more), "--name", "shop"], capabilities=PROBE) == 0
        assert main(["board", "list", "--json"], capabilities=PROBE) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1]) == [{"id": board["id"], "name": "shop", "count": 3}]
        id = result["results"][1]["picture"]
        assert main(["look", "--board", "shop", "--pictures", id, "--json"], capabilities=PROBE) == 0
        assert [each["name"] for each in printed(capsys)["results"]] == ["b.png", "a.png", "lime.png"]

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["look"], "Choose at least one picture."),
            (["look", "--pictures", "none.png"], "There is no file, folder or picture none.png; check its path."),
            (["look", "--pictures", "empty"], "There is no file in the folder empty; choose another."),
            (["look", "--pictures", *(["0" * 32] * 5001)], "'pictures' may have at most 5000 entries; remove some."),
            (["look", "--others", *(["0" * 32] * 6)], "'others' may have at most 5 entries; remove some."),
            (["search", "   "], "Say what to look for: some words, or pictures after --like."),
            (["board", "import", "a.txt"], "The board needs a name; give it with --name."),
            (["hush"], "Argument COMMAND: invalid choice: 'hush'"),
        ],
        ids=lambda value: str(value)[:30],
    )
    def test_a_refusal_starts_no_studio(
        self,
        data: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        sentence: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "empty").mkdir()
        (tmp_path / "a.txt").write_text("x")
        assert main(arguments, capabilities=PROBE) == 2
        assert capsys.readouterr().err.startswith(f"studio: {sentence}")
        assert not data.exists()

    def test_what_the_studio_does_not_know_is_told(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["look", "--board", "nowhere"], capabilities=PROBE) == 2
        assert "There is no board 'nowhere'; there is: none yet" in capsys.readouterr().err
        assert main(["look", "--pictures", "0" * 32], capabilities=PROBE) == 2
        assert "There is no picture 000" in capsys.readouterr().err
        (tmp_path / "a.png").write_bytes(b"no picture")
        assert main(["look", "--pictures", str(tmp_path / "a.png")], capabilities=PROBE) == 2
        assert "None of these files could be read" in capsys.readouterr().err

    def test_pictures_are_found_by_words_and_by_a_file(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = tmp_path / "in"
        folder.mkdir()
        for name, background in (("cat", "white"), ("banana", "blue")):
            scene(name, background=background).save(folder / f"{name}.png")
        assert main(["board", "import", str(folder)]) == 0
        capsys.readouterr()
        assert main(["search", "a banana", "--json"]) == 0
        found = printed(capsys)
        assert (found["embedded"], found["total"]) == (2, 2)
        assert [hit["name"] for hit in found["hits"]] == ["banana.png"]
        assert main(["search", "--like", str(folder / "banana.png"), "--limit", "1"]) == 0
        assert capsys.readouterr().out.split()[2] == "cat.png"  # the picture itself is no hit


class TestWords:
    def test_styles_and_wildcards_are_kept_listed_and_forgotten(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "fruit.txt").write_text("apple\n# no\npear\n")
        assert main(["style", "save", "ink", "--prompt", "{prompt}, ink drawing", "--negative", "colour"]) == 0
        assert main(["wildcard", "save", "fruit", str(tmp_path / "fruit.txt")]) == 0
        capsys.readouterr()
        assert main(["style", "list", "--json"]) == 0
        kept = [{"name": "ink", "prompt": "{prompt}, ink drawing", "negative": "colour"}]
        assert json.loads(capsys.readouterr().out) == kept
        assert main(["wildcard", "list"]) == 0
        assert capsys.readouterr().out.split() == ["__fruit__", "2", "choice(s)"]
        assert main(["style", "delete", "pencil"]) == 2
        assert "There is no style 'pencil'; there is: ink." in capsys.readouterr().err
        assert main(["style", "delete", "ink"]) == 0
        assert main(["wildcard", "delete", "fruit"]) == 0
        assert main(["wildcard", "list", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == []


class TestServer:
    def test_a_command_uses_the_running_server_which_stops_on_sigterm(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with server(data) as (process, url):
            with urllib.request.urlopen(url, timeout=PATIENCE) as page:
                assert "gradio" in page.read().decode().lower()
                assert "frame-ancestors 'self'" in page.headers["Content-Security-Policy"]
            assert main(["gradient", "--seed", "9", "--out", str(tmp_path / "o"), "--json"], capabilities=PROBE) == 0
            (image,) = printed(capsys)["images"]
            with Image.open(image["path"]) as opened:
                assert opened.size == (256, 256)

            red = picture(tmp_path / "red.png", "red")
            (tmp_path / "bad.png").write_bytes(b"no picture")
            (tmp_path / "huge.png").write_bytes(bytes(Settings().max_upload_mb * 1_000_000 + 1))
            files = [str(tmp_path / name) for name in ("bad.png", "huge.png", "red.png")]
            assert main(["board", "import", *files, "--name", "ü & 1", "--json"], capabilities=PROBE) == 0
            board = printed(capsys)
            assert (board["count"], len(board["skipped"])) == (1, 2)
            assert main(["look", "--board", "ü & 1", "--pictures", str(red), "--json"], capabilities=PROBE) == 0
            (record,) = printed(capsys)["results"]
            assert (record["path"], record["colour"]) == (str(red), [255, 0, 0])
            odd = tmp_path / "foto_m\udcfcller.png"  # a name that is no UTF-8
            picture(odd, "blue")
            assert main(["board", "import", str(odd), "--name", "odd", "--json"], capabilities=PROBE) == 0
            assert printed(capsys)["count"] == 1
            assert main(["search", "--like", "f" * 32], capabilities=PROBE) == 2
            assert main(["style", "save", "a/b", "--prompt", "ink"]) == 0
            assert main(["style", "delete", "a/b"]) == 0
            capsys.readouterr()

            assert main(["gradient", "--prompt", "forbidden", "--out", str(tmp_path)], capabilities=PROBE) == 2
            assert capsys.readouterr().err == "studio: This prompt is refused: write another one.\n"

            second = spawn("serve", "--port", "0")
            _, said = second.communicate(timeout=PATIENCE)
            assert second.returncode == 2
            assert said.startswith("studio: Another studio is already running on ")

            process.send_signal(signal.SIGTERM)
            out, said = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, said
            assert out == f"Creative Studio is ready: {url}\n"
            assert "Traceback" not in said
        assert not (data / SERVER_FILE).exists()
        assert jobs(data) == ["done", "done"]

    def test_the_file_of_a_killed_server_misleads_nobody(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        data.mkdir()
        (data / SERVER_FILE).write_text(json.dumps({"url": f"http://127.0.0.1:{port}", "instance": "x"}))
        assert main(["gradient", "--out", str(tmp_path), "--json"], capabilities=PROBE) == 0
        assert len(printed(capsys)["images"]) == 1


class TestListing:
    def test_capabilities_have_their_schemas(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["capabilities", "--json"]) == 0
        listing = {each["name"]: each for each in printed(capsys)}
        assert list(listing) == [capability.name for capability in OFFERED]
        schema = listing["text-to-image"]["schema"]
        assert schema["required"] == ["prompt"]
        assert schema["additionalProperties"] is False
        assert main(["capabilities"]) == 0
        assert capsys.readouterr().out.startswith("text-to-image")

    def test_verify_reads_watermark_and_settings(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        ours, bare = tmp_path / "ours.png", tmp_path / "bare.png"
        released = Trust(Settings(data_dir=tmp_path)).release(
            Image.new("RGB", (256, 256), "teal"), parameters={"prompt": "x"}
        )
        ours.write_bytes(released.png)
        Image.new("RGB", (256, 256), "teal").save(bare)
        assert main(["verify", str(ours), "--json"]) == 0
        key = released.watermark["key"]
        told = {"made_by": "Creative Studio", "parameters": released.parameters, "unused": []}
        assert printed(capsys) == {"file": str(ours), "watermark": key, **told}
        assert main(["verify", str(ours)]) == 0
        assert f"watermark: {key} (as its settings say)" in capsys.readouterr().out
        assert main(["verify", str(bare)]) == 1
        assert "watermark: none found" in capsys.readouterr().out

    def test_verify_tells_when_the_settings_belong_to_another_picture(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        released = Trust(Settings(data_dir=tmp_path)).release(Image.new("RGB", (256, 256), "teal"), parameters={})
        forged = tmp_path / "forged.png"
        with Image.open(io.BytesIO(released.png)) as image:
            forged.write_bytes(write_png(image.convert("RGB"), {"prompt": "x", "watermark": {"key": "00000000"}}))
        assert main(["verify", str(forged)]) == 0
        assert "(NOT its settings')" in capsys.readouterr().out


def test_image_to_image_takes_a_file(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, odd = tmp_path / "source.png", tmp_path / "odd.txt"
    Image.new("RGB", (200, 200), "red").save(source)
    odd.write_text("no picture")
    command = ["image-to-image", "--prompt", "a frog", "--steps", "4", "--out", str(tmp_path / "out"), "--picture"]
    assert main([*command, str(source), "--json"]) == 0
    (image,) = json.loads(capsys.readouterr().out)["images"]
    assert (image["width"], image["height"]) == (256, 256)
    assert Path(image["path"]).is_file()
    for given, sentence in (
        (tmp_path / "nowhere.png", "no file, folder or picture"),
        (odd, "None of these files could be read"),
        (tmp_path, "is a folder; name one file in it"),
    ):
        assert main([*command, str(given)]) == 2
        assert sentence in capsys.readouterr().err
