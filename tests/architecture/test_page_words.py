"""The page has a Chinese sentence for every code that the service says to it, and words for every
act of the audit."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from camera_registry.filing_rules import STEP_ACTS
from gateways.onvif.describe import NOTES
from gateways.onvif.errors import NEXT_STEP

ROOT = Path(__file__).resolve().parents[2]
CATALOGUES = sorted((ROOT / "web" / "src" / "locales").glob("said*.zh.ts"))
# Which the service has, too, for what it writes itself (camera_registry/importers/said.py).
OF_IMPORTS = ROOT / "camera_registry" / "importers" / "said.zh.json"
CODE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
# What reaches the page: the rooms behind HTTP. The rest is the command line's.
ROOMS = ("streamhub/api", "streamhub/access", "streamhub/delivery", "streamhub/discovery")
FILES = ("streamhub/media/contract.py",)
REGISTRY = "camera_registry"
NOT_OF_THE_PAGE = ("backup", "demo", "bench")
# Where the code stands among the positional arguments of what refuses or tells.
CODE_AT = {
    "ValidationFailed": 1,
    "Conflict": 1,
    "Problem": 1,
    "FileRefused": 0,
    "VendorRefused": 0,
    "Unusable": 0,
    "CellFault": 0,
    "Duplicate": 1,
    "fault": 1,
    "say": 1,
    "skip": 2,
    "_note": 2,
}
# Where the act stands among the positional arguments of what writes a row.
ACT_AT = {"record": 0, "_record": 0, "write": 0, "_acting": 1}
# Of the service's start and the command line, which no page meets.
NEVER_SHOWN = {
    "demo_refused",
    "schema_missing",
    "schema_too_new",
    "store_unfit",
    "vault_key_exposed",
    "vault_key_missing",
    "vault_key_wrong",
    "backup_damaged",
    "backup_error",
    "passphrase_wrong",
}


def _sources() -> Iterator[Path]:
    for room in (*ROOMS, REGISTRY):
        for path in sorted((ROOT / room).rglob("*.py")):
            if not path.name.startswith(NOT_OF_THE_PAGE) and "migrations" not in path.parts:
                yield path
    yield from (ROOT / name for name in FILES)


def _codes_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            said = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            if name in CODE_AT:
                said += node.args[CODE_AT[name] : CODE_AT[name] + 1]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            said = [node.value] if node.targets[0].id in {"code", "default_code"} else []
        else:
            continue
        for each in said:
            code = each.value if isinstance(each, ast.Constant) else None
            if isinstance(code, str) and CODE.fullmatch(code):
                yield code


def _acts_of(path: Path) -> Iterator[str]:
    """Acts that a file writes into the audit, by their text or by the name of a constant."""
    tree = ast.parse(path.read_text())
    constants = {
        node.targets[0].id if isinstance(node, ast.Assign) else node.target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(node.targets[0] if isinstance(node, ast.Assign) else node.target, ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        given = [keyword.value for keyword in node.keywords if keyword.arg == "act"]
        if name in ACT_AT:
            given += node.args[ACT_AT[name] : ACT_AT[name] + 1]
        for each in given:
            for said in (each.body, each.orelse) if isinstance(each, ast.IfExp) else (each,):
                act = constants.get(said.id) if isinstance(said, ast.Name) else None
                act = said.value if isinstance(said, ast.Constant) else act
                if isinstance(act, str) and CODE.fullmatch(act):
                    yield act


def _documented() -> Iterator[str]:
    """Codes that documents list: errors of the API, findings of an import."""
    errors = (ROOT / "docs" / "api.md").read_text().partition("\n## Errors")[2]
    for line in errors.splitlines():
        if re.match(r"\| \d{3} \|", line):
            yield from re.findall(r"`([a-z]+(?:_[a-z0-9]+)+)`", line)
    for line in (ROOT / "docs" / "import-rules.md").read_text().splitlines():
        if re.match(r"\| `", line):
            yield from re.findall(r"`([a-z0-9_]+)`", line.split("|")[1])


def _translated() -> dict[str, str]:
    found = [
        pair
        for catalogue in CATALOGUES
        for pair in re.findall(r"^  ([a-z0-9_]+): '(.*)',$", catalogue.read_text(), re.MULTILINE)
    ]
    found += json.loads(OF_IMPORTS.read_text(), object_pairs_hook=list)
    assert len(found) == len(dict(found)), "a code stands twice"
    return dict(found)


@pytest.mark.parametrize(
    ("least", "codes"),
    [
        pytest.param(
            150, {code for path in _sources() for code in _codes_of(path)}, id="in the code"
        ),
        pytest.param(80, set(_documented()), id="in the documents"),
        pytest.param(30, NEXT_STEP.keys() | NOTES.keys(), id="of found devices"),
    ],
)
def test_every_code_has_a_chinese_sentence(least: int, codes: set[str]) -> None:
    assert len(codes) >= least, "the search has gone blind"
    assert codes - _translated().keys() - NEVER_SHOWN == set()


def test_every_act_of_the_audit_has_words() -> None:
    rooms = (ROOT / room for room in ("streamhub", REGISTRY))
    paths = [path for room in rooms for path in room.rglob("*.py") if "bench" not in path.parts]
    acts = STEP_ACTS | {act for path in paths for act in _acts_of(path)}
    assert len(acts) >= 90, "the search has gone blind"
    words = (ROOT / "web" / "src" / "locales" / "log.zh.ts").read_text()
    assert acts - set(re.findall(r"'log\.act\.([a-z_]+)'", words)) == set()


def test_what_browser_tests_find_is_documented() -> None:
    page = (ROOT / "docs" / "page.md").read_text()
    told = set(re.findall(r"`([a-z0-9_-]+)(?:<|`)", page.partition("**For browser tests.**")[2]))
    views = sorted((ROOT / "web" / "src").rglob("*.vue"))
    found = [re.findall(r'data-testid="`?([a-z0-9_-]+)', each.read_text()) for each in views]
    marks = {mark for each in found for mark in each} - {"testid"}
    assert len(marks) >= 150, "the search has gone blind"
    # One that ends with a hyphen goes on with an id or a name.
    named = {mark for mark in marks if mark.endswith("-") and any(t.startswith(mark) for t in told)}
    assert marks - told - named == set()


def test_the_sentences_are_chinese_and_whole() -> None:
    for code, sentence in _translated().items():
        assert re.search(r"[\u4e00-\u9fff]", sentence), code
        assert sentence.endswith(("。", "（{detail}）")), code
