"""The documents hold: links and anchors resolve, and what they name exists."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from streamhub import cli
from streamhub.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = {"node_modules", "target", "dist"}
README = (ROOT / "README.md").read_text()
API = (ROOT / "docs" / "api.md").read_text()


def documents() -> list[Path]:
    def walk(directory: Path) -> Iterator[Path]:
        for path in sorted(directory.iterdir()):
            if path.is_dir() and path.name not in SKIPPED and not path.name.startswith("."):
                yield from walk(path)
            elif path.suffix == ".md":
                yield path

    return list(walk(ROOT))


def outside_code(text: str) -> str:
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "", text)


def in_code(text: str) -> list[str]:
    """The lines of fenced blocks and the code spans."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return lines + re.findall(r"`([^`\n]+)`", rest)


def anchors(path: Path) -> set[str]:
    """As the usual renderers make them of headings."""
    found: set[str] = set()
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for heading in re.findall(r"^#{1,6} +(.+?)\s*$", text, flags=re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 0
        while (name := slug if number == 0 else f"{slug}-{number}") in found:
            number += 1
        found.add(name)
    return found


@pytest.mark.parametrize("document", documents(), ids=lambda p: str(p.relative_to(ROOT)))
def test_links_resolve(document: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", outside_code(document.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        inside = target.exists() and target.is_relative_to(ROOT)
        if not inside or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_picture_is_shown_and_small() -> None:
    made = (ROOT / "scripts" / "page-pictures").read_text()
    shown = "\n".join(path.read_text() for path in documents())
    for path in sorted((ROOT / "docs" / "images").iterdir()):
        assert f"images/{path.name})" in shown, path.name
        assert f'"{path.stem}": ' in made, f"{path.name} can't be made anew"
        assert path.stat().st_size <= 200_000, path.name


def test_every_decision_is_listed() -> None:
    directory = ROOT / "docs" / "decisions"
    listed = re.findall(r"\]\((\d{4}-[^)]+)\)", (directory / "README.md").read_text())
    assert listed == sorted(path.name for path in directory.glob("[0-9]*.md"))


def test_make_targets_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    for document in documents():
        for code in in_code(document.read_text()):
            for line in [code, *re.findall(r"&& (.*)", code)]:
                if line.startswith("make "):
                    words = line.split("#")[0].split()[1:]
                    named = {word for word in words if "=" not in word}
                    assert named <= targets, f"{document.name}: {line}"


def test_commands_that_are_named_exist_with_their_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["streamhub", "--help"])
    root: Any = typer.main.get_command(cli.build())
    seen = 0
    for document in documents():
        for code in in_code(document.read_text()):
            for call in re.findall(r"(?:^|[\s(/])streamhub ((?:[^|&)\"]|\"[^\"]*\")+)", code):
                words = call.split()
                if not re.fullmatch(r"[a-z][a-z-]*", words[0]):
                    continue
                found, path = root, "streamhub"
                while hasattr(found, "commands") and words:
                    path = f"{path} {words[0]}"
                    assert words[0] in found.commands, f"{document.name}: {path}"
                    found = found.commands[words.pop(0)]
                options = {opt for p in found.params for opt in (*p.opts, *p.secondary_opts)}
                for word in words:
                    if word.startswith("--"):
                        assert word in options, f"{document.name}: {path} {word}"
                seen += 1
    assert seen > 10


def test_the_settings_table_is_the_settings() -> None:
    names = set()
    for field, info in Settings.model_fields.items():
        section = getattr(info.annotation, "model_fields", None)
        if section is None:
            names.add(f"STREAMHUB_{field.upper()}")
        else:
            names |= {f"STREAMHUB_{field.upper()}__{name.upper()}" for name in section}
    table = [line for line in README.splitlines() if line.startswith("|")]
    listed = set(re.findall(r"STREAMHUB_[A-Z_]+", "\n".join(table)))
    assert listed == names


def test_every_stable_code_is_documented() -> None:
    codes = set()
    for path in (ROOT / "streamhub" / "api").glob("*.py"):
        codes |= set(re.findall(r'Problem\(\s*\d{3},\s*"([a-z_]+)"', path.read_text()))
    for path in (ROOT / "streamhub" / "access", ROOT / "streamhub" / "delivery"):
        for file in path.glob("*.py"):
            codes |= set(re.findall(r'\bcode="([a-z_]+)"', file.read_text()))
            codes |= set(
                re.findall(r'^    (?:default_)?code = "([a-z_]+)"', file.read_text(), re.M)
            )
    peer = ROOT / "core" / "peer" / "src"
    for file, kind in (
        ("rtsp_client/failure.rs", "FailureKind"),
        ("webrtc/viewer.rs", "CloseCause"),
        ("rtsp_door.rs", "Over"),
    ):
        kinds = (peer / file).read_text().partition(f"impl {kind}")[2].partition("\n}")[0]
        codes |= set(re.findall(r'Self::\w+ => "([a-z_]+)"', kinds))
    documented = set(re.findall(r"`([a-z_]+)`", API))
    # Roots of the exception trees, which are never raised; what only the page's visitor sees; and
    # our own end of a viewer, whose cause is the one it was ended for.
    known = {"access", "delivery_error", "page_not_built", "closed"}
    assert codes - documented - known == set()


def test_every_route_of_the_api_is_documented() -> None:
    routes = set()
    for path in (ROOT / "streamhub" / "api").glob("*.py"):
        routes |= set(re.findall(r'prefix="(/api/v1/[a-z]+)"', path.read_text()))
    for route in routes:
        assert f"`{route}`" in API or f"{route}/" in API, route
