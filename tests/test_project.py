"""The project's own promises: documents that list everything, locks that fit the ranges, a page that needs no torch."""

from __future__ import annotations

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
        "heavy = {'torch', 'diffusers', 'transformers', 'compel', 'cv2'} & set(sys.modules); "
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
