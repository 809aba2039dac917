"""What is shipped: the wheel's file list, the commands it installs, the image's steps."""

from __future__ import annotations

import importlib.metadata
import re
import runpy
import stat
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CHECK = runpy.run_path(str(ROOT / "scripts" / "check-wheel"))
FARM, PAGE = CHECK["FARM"], CHECK["PAGE"]
ASSET = "streamhub/_web/assets/index.js"


def make_wheel(path: Path, names: set[str], farm_mode: int = 0o755) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(names | {"streamhub-0.1.0.dist-info/RECORD"}):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFREG | (farm_mode if name == FARM else 0o644)) << 16
            archive.writestr(entry, b"")
    return path


def test_every_package_of_the_tree_is_shipped() -> None:
    packages = {
        path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests"
    }
    assert set(PYPROJECT["tool"]["maturin"]["python-packages"]) == packages


def test_the_wheel_must_hold_migrations_and_what_is_built() -> None:
    wanted = CHECK["wanted"]()
    assert {CHECK["CORE"], FARM, PAGE} <= wanted
    assert "camera_registry/store/migrations/script.py.mako" in wanted
    versions = [n for n in wanted if n.startswith("camera_registry/store/migrations/versions/r")]
    assert versions
    assert not [name for name in wanted if "__pycache__" in name or name.startswith("tests/")]


def test_what_is_built_is_included_though_git_ignores_it() -> None:
    included = {
        each["path"]
        for each in PYPROJECT["tool"]["maturin"]["include"]
        if each["format"] == "wheel"
    }
    assert included == {"streamhub/_bin/*", "streamhub/_web/**/*"}


def test_a_whole_wheel_has_no_faults(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "whole.whl", CHECK["wanted"]() | {ASSET})
    assert CHECK["faults"](wheel) == []


@pytest.mark.parametrize(
    ("without", "fault"),
    [
        (FARM, f"{FARM} is missing"),
        (PAGE, f"{PAGE} is missing"),
        (ASSET, "the page has no assets"),
        ("streamhub/app.py", "streamhub/app.py is missing"),
    ],
)
def test_a_wheel_that_lacks_something_is_named_faulty(
    tmp_path: Path, without: str, fault: str
) -> None:
    names = (CHECK["wanted"]() | {ASSET}) - {without}
    assert CHECK["faults"](make_wheel(tmp_path / "part.whl", names)) == [fault]


def test_a_farm_that_cannot_run_and_strangers_are_named(tmp_path: Path) -> None:
    names = CHECK["wanted"]() | {ASSET, "tests/conftest.py"}
    wheel = make_wheel(tmp_path / "odd.whl", names, farm_mode=0o644)
    assert CHECK["faults"](wheel) == [
        f"{FARM} can't be executed",
        "tests/conftest.py does not belong in it",
    ]


def test_the_installed_command_is_ours() -> None:
    [command] = importlib.metadata.entry_points(group="console_scripts", name="streamhub")
    assert command.value == PYPROJECT["project"]["scripts"]["streamhub"]
    assert callable(command.load())


def test_the_rust_minimum_is_one_number() -> None:
    cargo: dict[str, Any] = tomllib.loads((ROOT / "Cargo.toml").read_text())
    bootstrap = (ROOT / "scripts" / "bootstrap").read_text()
    [minimum] = re.findall(r"^RUST_MINIMUM=(\S+)", bootstrap, flags=re.MULTILINE)
    assert cargo["workspace"]["package"]["rust-version"] == minimum


def test_the_image_is_built_by_the_scripts_that_make_calls() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "RUN make install DEST=/opt/streamhub" in dockerfile
    assert not re.search(r"\b(pip|cargo|npm|uv) ", dockerfile)
    last_stage = dockerfile.rpartition("\nFROM ")[2]
    assert re.search(r"^USER (?!root)", last_stage, flags=re.MULTILINE)


def test_scripts_are_executable_and_parse() -> None:
    scripts = [
        path
        for path in (*(ROOT / "scripts").iterdir(), ROOT / ".ci" / "run")
        if path.is_file() and path.suffix == ""
    ]
    for script in scripts:
        assert script.stat().st_mode & stat.S_IXUSR, script
        if "bash" in script.read_text().splitlines()[0]:
            subprocess.run(["bash", "-n", str(script)], check=True)


def test_bootstrap_refuses_a_part_it_does_not_know() -> None:
    done = subprocess.run(
        [str(ROOT / "scripts" / "bootstrap"), "everything"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "unknown part everything" in done.stderr


def test_install_says_where_to_when_not_told() -> None:
    done = subprocess.run([str(ROOT / "scripts" / "install")], capture_output=True, text=True)
    assert done.returncode == 2
    assert "DEST=" in done.stderr


def test_install_leaves_another_directory_alone(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("mine")
    done = subprocess.run(
        [str(ROOT / "scripts" / "install"), str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "no environment of ours" in done.stderr
    assert (tmp_path / "letters").read_text() == "mine"
