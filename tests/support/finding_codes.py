"""The codes that the source of the importers can give a finding or a refused file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

REGISTRY = Path(__file__).resolve().parents[2] / "camera_registry"
# What makes a finding or a refusal, and where its code stands among the arguments.
MAKERS = {
    "fault": 1,
    "tell": 1,
    "of_heading": 1,
    "ValidationFailed": 1,
    "VendorRefused": 0,
    "Duplicate": 1,
    "Finding": 2,
    "CellFault": 0,
    "FileRefused": 0,
    "Unusable": 0,
    "_note": 2,
    "say": 1,
    "skip": 2,
}
# Outside of the package: the checks that the rules call, and what those are made by.
BORROWED_MAKERS = {**MAKERS, "bad": 0, "_bad": 0}
BORROWED = {
    "gb_code.py": {"parse", "check_camera", "check_division"},
    "validation.py": {"rtsp_url", "without_password"},
    "devices.py": {"credentials"},
}


def of_rules() -> set[str]:
    """What is said of a sheet and its rows."""
    found = _of(REGISTRY / "importers")
    for name, wanted in BORROWED.items():
        functions = [
            node
            for node in ast.walk(ast.parse((REGISTRY / name).read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef) and node.name in wanted
        ]
        assert {function.name for function in functions} == wanted
        for function in functions:
            found |= set(_codes(function, {}, BORROWED_MAKERS))
    return found


def of_foreign() -> set[str]:
    """What is said of another program's file and its entries."""
    return _of(REGISTRY / "importers" / "foreign")


def _of(folder: Path) -> set[str]:
    found: set[str] = set()
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {
            node.target.id: node.value
            for node in tree.body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        }
        found |= set(_codes(tree, constants, MAKERS))
    return found


def _codes(
    tree: ast.AST, constants: dict[str, ast.expr | None], makers: dict[str, int]
) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        at = makers.get(name)
        if at is None or len(node.args) <= at:
            continue
        code = node.args[at]
        for part in (code.body, code.orelse) if isinstance(code, ast.IfExp) else (code,):
            told = constants.get(part.id) if isinstance(part, ast.Name) else part
            if isinstance(told, ast.Constant) and isinstance(told.value, str):
                yield told.value
            elif not isinstance(part, ast.Starred):  # passed on from where it was made
                passed = getattr(part, "id", getattr(part, "attr", ""))
                assert passed == "code", f"which code is {ast.unparse(code)}?"
