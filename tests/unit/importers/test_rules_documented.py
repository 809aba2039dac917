"""docs/import-rules.md lists the codes that the source can raise, and no others."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
REGISTRY = ROOT / "camera_registry"
# What makes a finding or a refusal, and where its code stands among the arguments.
MAKERS = {
    "fault": 1,
    "tell": 1,
    "of_heading": 1,
    "ValidationFailed": 1,
    "Duplicate": 1,
    "Finding": 2,
    "CellFault": 0,
    "FileRefused": 0,
    "bad": 0,
    "_bad": 0,
    "_say": 2,
}
# Outside of the package: the checks that the rules call.
BORROWED = {
    "gb_code.py": {"parse", "check_camera", "check_division"},
    "validation.py": {"rtsp_url", "without_password"},
    "devices.py": {"credentials"},
}
CODE = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*")


def trees() -> Iterator[ast.AST]:
    for path in sorted((REGISTRY / "importers").glob("*.py")):
        yield ast.parse(path.read_text(encoding="utf-8"))
    for name, wanted in BORROWED.items():
        functions = [
            node
            for node in ast.walk(ast.parse((REGISTRY / name).read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef) and node.name in wanted
        ]
        assert {function.name for function in functions} == wanted
        yield from functions


def raised() -> set[str]:
    found: set[str] = set()
    for tree in trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            at = MAKERS.get(name)
            if at is None or len(node.args) <= at:
                continue
            code = node.args[at]
            for part in (code.body, code.orelse) if isinstance(code, ast.IfExp) else (code,):
                text = part.value if isinstance(part, ast.Constant) else None
                if isinstance(text, str) and CODE.fullmatch(text):
                    found.add(text)
    return found


def documented() -> list[str]:
    text = (ROOT / "docs" / "import-rules.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| ((?:`[a-z0-9_]+`(?:, )?)+) \| (?:error|warning|file) \|", text, flags=re.MULTILINE
    )
    return [code for row in rows for code in re.findall(r"[a-z0-9_]+", row)]


def test_the_source_and_the_table_have_the_same_codes() -> None:
    codes = raised()
    assert {"required", "duplicate_mac", "url_not_rtsp", "column_twice"} <= codes
    listed = documented()
    assert sorted(set(listed)) == sorted(listed), "a code is listed twice"
    assert codes - set(listed) == set(), "add these codes to docs/import-rules.md"
    assert set(listed) - codes == set(), "nothing raises these codes of docs/import-rules.md"
