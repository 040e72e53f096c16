"""The project's own promises: documents that list everything, locks that fit the ranges, a page that needs no torch."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from studio import Studio
from studio.models.rows import ROWS, UNDERSTANDING
from studio.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def requirements(name: str) -> list[Requirement]:
    lines = (ROOT / name).read_text("utf-8").splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]


def test_readme_lists_every_setting_and_no_other() -> None:
    listed = re.findall(r"^\| `(STUDIO_\w+)`", README, re.MULTILINE)
    assert sorted(listed) == sorted(f"STUDIO_{name.upper()}" for name in Settings.model_fields)


def test_readme_lists_every_family_with_its_figures() -> None:
    rows = {
        cells[2].strip("` "): cells for cells in (line.split("|") for line in README.splitlines()) if len(cells) == 9
    }
    for family in ROWS:
        cells = rows[family.id]
        assert cells[1].strip() == family.name
        assert cells[3].strip() == f"{family.native_size} px"
        assert f"{family.memory_gb:g} GB" in cells[4]
        assert cells[5].strip() == (f"{family.download_gb:g} GB" if family.download_gb else "none")
        assert cells[7].strip().startswith("yes" if family.commercial else "no")


def test_readme_lists_every_model_that_understands() -> None:
    rows = {
        cells[2].strip("` "): cells for cells in (line.split("|") for line in README.splitlines()) if len(cells) == 10
    }
    for family in UNDERSTANDING:
        cells = rows[family.id]
        assert cells[1].strip() == family.name
        assert cells[4].strip() == f"{family.native_size} px"
        assert f"{family.memory_gb:g} GB" in cells[5]
        assert cells[6].strip() == (f"{family.download_gb:g} GB" if family.download_gb else "none")
        assert family.licence.split(" (")[0] in cells[7]
        assert cells[8].strip() == ("yes" if family.commercial else "no")


@pytest.mark.parametrize(
    "document", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda path: path.name
)
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)\)", document.read_text("utf-8"))
    missing = [each for each in targets if "://" not in each and not (document.parent / each).exists()]
    assert not missing


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_lock_fits_the_ranges_and_names_no_place(lock: str) -> None:
    pinned: dict[str, list[Requirement]] = {}
    for each in requirements(lock):
        pinned.setdefault(each.name, []).append(each)
        assert [clause.operator for clause in each.specifier] == ["=="], each
        assert "+" not in str(each.specifier), f"{each} exists for one machine only"
    assert not re.search(r"://|^-|@ ", (ROOT / lock).read_text("utf-8"), re.MULTILINE)
    assert "opencv-python" not in pinned, "its Qt build overwrites the headless one"
    for wanted in requirements("requirements.txt"):
        name = canonicalize_name(wanted.name)
        assert name in pinned, f"{wanted} is not locked: run make lock"
        for found in pinned[name]:
            (clause,) = found.specifier
            assert wanted.specifier.contains(clause.version), f"{found} is outside {wanted}: run make lock"


def test_vendored_scripts_are_what_their_manifest_says() -> None:
    folder = ROOT / "assets/ui/vendor"
    packages = json.loads((folder / "manifest.json").read_text("utf-8"))
    listed = {name: digest for package in packages.values() for name, digest in package["files"].items()}
    assert {path.name for path in folder.iterdir()} == {*listed, "manifest.json"}
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, f"{name} was changed: make vendor"
        if name.endswith(".js"):
            assert not re.search(r"""\b(from|import)\s*["'][^.]""", (folder / name).read_text("utf-8")), name
    pinned = json.loads((ROOT / "package.json").read_text("utf-8"))["devDependencies"]
    for name, package in packages.items():
        assert pinned[name] == package["version"]
        assert package["licence"] in ("MIT", "Apache-2.0")
        assert any(each.endswith("LICENSE.txt") for each in package["files"])


def test_script_lock_pins_everything_and_names_no_place() -> None:
    lock = (ROOT / "package-lock.json").read_text("utf-8")
    packages = {name: each for name, each in json.loads(lock)["packages"].items() if name}
    assert all(each["integrity"].startswith("sha512-") and "resolved" not in each for each in packages.values())
    pinned = json.loads((ROOT / "package.json").read_text("utf-8"))["devDependencies"]
    assert all(re.fullmatch(r"[\d.]+", version) for version in pinned.values())


def test_development_lock_extends_the_runtime_lock() -> None:
    assert {str(each) for each in requirements("requirements.lock")} <= {
        str(each) for each in requirements("requirements-dev.lock")
    }


def test_extras_hold_nothing_that_the_studio_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = {Requirement(line).name for extra in project["optional-dependencies"].values() for line in extra}
    assert not extras & {each.name for each in requirements("requirements.txt")}


def test_the_serving_process_imports_no_torch() -> None:
    program = (
        "import sys, studio.cli, studio.api, studio.ui, studio.jobs, studio.models.hub, studio.capabilities; "
        "heavy = {'torch', 'diffusers', 'transformers', 'compel', 'cv2', 'onnxruntime'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_make_target_is_described() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert len(phony.split()) <= 8
    for target in phony.split():
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
        assert f"make {target}" in README


def test_the_capability_of_the_guide_goes_through_the_whole_studio(
    launch: Callable[..., Studio], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = (ROOT / "docs/guides/add-a-capability.md").read_text("utf-8")
    code = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)[0]
    (tmp_path / "guide_capability.py").write_text(f"{code}\n\nALL = (Recolour(),)\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    studio = launch(capabilities="guide_capability:ALL")
    job = studio.jobs.submit("recolour", {"colour": "plum", "seed": 3}, user="local")
    last = [event.job for event in studio.jobs.events(job.id, user="local")][-1]
    assert last.status == "done", last.error
    asset = studio.gallery.get(last.asset_ids[0], user="local")
    assert (asset.width, asset.height, asset.seed, asset.parameters["colour"]) == (512, 512, 3, "plum")


def test_no_module_and_no_class_outgrows_its_room() -> None:
    for path in sorted((ROOT / "studio").rglob("*.py")):
        text = path.read_text("utf-8")
        if path.name != "rows.py":  # rows of data
            assert len(text.splitlines()) <= 500, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                assert (node.end_lineno or 0) - node.lineno < 300, f"{path}: {node.name}"
