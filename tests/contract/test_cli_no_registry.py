"""Commands where there is no registry: none is made by who only looks, or named no directory."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from streamhub.cli import build
from streamhub.cli.control import CliError

BEGIN = ("area", "add", "110112", "通州区", "--kind", "district")


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory, and no setting."""
    monkeypatch.chdir(tmp_path)
    for name in [each for each in os.environ if each.startswith("STREAMHUB_")]:
        monkeypatch.delenv(name)


def typed(*arguments: str, **env: str) -> Result:
    return CliRunner().invoke(build(), arguments, env=env)


def refused(*arguments: str, **env: str) -> None:
    done = typed(*arguments, **env)
    assert isinstance(done.exception, CliError), done.output
    assert done.exception.exit_code == 2
    assert "There is no registry in" in str(done.exception)
    assert "set STREAMHUB_DATA_DIR" in str(done.exception)


@pytest.mark.parametrize(
    "arguments",
    [
        ("camera", "list"),
        ("subject", "list"),
        ("audit", "list"),
        ("audit", "verify"),
        ("camera", "remove", "11011200111310000001"),
        BEGIN,
        ("subject", "add", "chief", "--no-password"),
    ],
)
def test_none_is_made_where_nobody_named_a_directory(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    refused(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_one_is_begun_in_a_directory_that_was_named(tmp_path: Path) -> None:
    named = {"STREAMHUB_DATA_DIR": "hub"}
    refused("camera", "list", **named)
    assert list(tmp_path.iterdir()) == []
    assert typed(*BEGIN, **named).exit_code == 0
    listed = typed("area", "list", "--json", **named)
    assert [each["code"] for each in json.loads(listed.stdout)] == ["110112"]
    assert [each.name for each in tmp_path.iterdir()] == ["hub"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("role", "add", "night"),
        ("purpose", "set", "inquiry", "核查"),
        ("camera", "filing", "--second-person", "off"),
        ("audit", "export-settings", "--second-person", "off"),
    ],
)
def test_what_needs_nothing_before_it_may_be_the_first(arguments: tuple[str, ...]) -> None:
    refused(*arguments)
    done = typed(*arguments, STREAMHUB_DATA_DIR="hub")
    assert done.exit_code == 0, (done.output, done.exception)


def test_one_is_begun_where_the_usual_directory_is_there(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    refused("camera", "list")
    assert typed("subject", "add", "chief", "--no-password", "--kind", "service").exit_code == 0
    assert (tmp_path / "data" / "registry.db").exists()


def test_templates_are_told_without_one(tmp_path: Path) -> None:
    told = typed("camera", "templates", "--json")
    rows = json.loads(told.stdout)
    assert [each["name"] for each in rows] == ["archive-27", "archive-73", "full"]
    assert set(rows[0]) == {"name", "title", "title_en", "columns"}
    assert list(tmp_path.iterdir()) == []
