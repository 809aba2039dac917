"""An export proves itself: whatever is changed in the file is found with the public key alone."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_registry.audit.export import MANIFEST, Export, Format, cell, rows_file, uncell
from camera_registry.audit.roots import RootFiles
from camera_registry.audit.verify_export import ExportUnreadable, ExportVerification, verify_export
from camera_registry.domain import AuditEntry
from camera_registry.store import AuditQuery, SqlStore, chain
from camera_registry.store.chain import canonical_json

from .audit_kit import KEY, OTHER_KEY, Clock, Log, few_rows
from .conftest import Place

KEYS = {KEY.key_id: KEY.public}
ODD = ('=HYPERLINK("http://x")', "+1", "-1", "@x", "'quoted", "", "two\r\nlines", "永顺,镇", "\t=1")


@pytest.fixture
async def log(store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    clock = Clock()
    few_rows(monkeypatch, clock)
    log = Log(store, clock, RootFiles(tmp_path / "roots"))
    await log.days(3, 6)
    for odd in ODD:
        await store.append_audit(
            AuditEntry(
                "sign_in", "refused", subject_name=odd, remote="192.0.2.1", detail={"x": odd}
            )
        )
    await log.keeper().seal(everything=True)
    return log


async def exported(
    log: Log, path: Path, kind: Format = "csv", query: AuditQuery | None = None
) -> Path:
    async with log.store.read() as tx:
        last = await tx.audit.last_segment()
    assert last is not None
    export = Export(
        log.store,
        KEY,
        query or AuditQuery(),
        kind=kind,
        asked={"subject": "永顺"},
        by="admin",
        basis={"approved_by": "auditor"},
        at=log.clock.now,
        up_to_segment=last.number,
        names=(lambda channel_id: channel_id and f"路口 {channel_id}", lambda area_id: None),
    )
    with path.open("wb") as file:
        async for part in export.stream():
            file.write(part)
    return path


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def repacked(path: Path, **changed: bytes) -> ExportVerification:
    """The verification of the file with some of its parts in place of the true ones."""
    forged = path.with_name("forged.zip")
    with zipfile.ZipFile(forged, "w") as archive:
        for name, content in {**contents(path), **changed}.items():
            archive.writestr(name, content)
    return verify_export(forged, KEYS)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
async def test_all_or_some_rows_with_their_proof(log: Log, kind: Format, tmp_path: Path) -> None:
    everything = await exported(log, tmp_path / "all.zip", kind)
    found = verify_export(everything, KEYS)
    assert (found.ok, found.rows, found.segments) == (True, 9 + len(ODD), 6)
    assert found.statement["asked"] == {"subject": "永顺"}
    proofs = contents(everything)[MANIFEST].splitlines()[:-1]
    assert all(json.loads(line)["proof"] == [] for line in proofs)  # all rows need no more

    some = AuditQuery(area_ids=frozenset(), channel_ids=frozenset({"ch_1", "ch_5"}))
    found = verify_export(await exported(log, tmp_path / "some.zip", kind, some), KEYS)
    assert (found.ok, found.rows, found.segments) == (True, 3, 3)

    none = AuditQuery(channel_id="ch_none")
    found = verify_export(await exported(log, tmp_path / "none.zip", kind, none), KEYS)
    assert (found.ok, found.rows, found.segments) == (True, 0, 0)

    other = {OTHER_KEY.key_id: OTHER_KEY.public}
    assert verify_export(everything, other).faults.total == 6 + 1


async def test_what_a_spreadsheet_would_take_for_a_formula_is_defused(
    log: Log, tmp_path: Path
) -> None:
    path = await exported(log, tmp_path / "all.zip")
    text = contents(path)[rows_file("csv")].decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    for row in rows:
        for value in row.values():
            assert not value.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert [uncell(row["subject_name"]) for row in rows if row["act"] == "sign_in"] == list(ODD)
    assert rows[0]["channel_name"] == "路口 ch_0"


@given(st.one_of(st.none(), st.text()))
def test_a_cell_says_what_it_was_given(text: str | None) -> None:
    assert uncell(cell(text)) == text
    assert not cell(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def _csv_changed(column: str, place: int, to: str) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
        rows[place][rows[0].index(column)] = to
        out = io.StringIO()
        csv.writer(out, lineterminator="\r\n").writerows(rows)
        return out.getvalue().encode("utf-8-sig")

    return change


def _rehashed(content: bytes) -> bytes:
    """A row altered together with its hash."""
    lines = content.splitlines(keepends=True)
    row = json.loads(lines[2])
    row["subject_name"] = "somebody else"
    row["hash"] = chain.row_hash(row, canonical_json(row["detail"]))
    lines[2] = f"{canonical_json(row)}\n".encode()
    return b"".join(lines)


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        ("csv", _csv_changed("remote", 2, "192.0.2.99"), "Row 2 was changed"),
        ("csv", _csv_changed("detail", 5, "{}"), "Row 5 was changed"),
        ("csv", _csv_changed("seq", 4, "3"), "was changed"),
        ("csv", _csv_changed("seq", 4, "x"), "cannot be read"),
        # Names are no part of a row's hash: the export's own signature has them.
        ("csv", _csv_changed("channel_name", 1, "别处"), "another rows_sha256"),
        ("jsonl", _rehashed, "the root of segment 1"),
        ("jsonl", lambda content: content.partition(b"\n")[2], "root of segment 1"),
        ("jsonl", lambda content: content + content.splitlines()[-1] + b"\n", "more rows"),
        ("jsonl", lambda content: b"".join(reversed(content.splitlines(True))), "cannot|was|not"),
    ],
)
async def test_altered_rows(
    log: Log, kind: Format, change: Callable[[bytes], bytes], says: str, tmp_path: Path
) -> None:
    path = await exported(log, tmp_path / "all.zip", kind)
    name = rows_file(kind)
    found = repacked(path, **{name: change(contents(path)[name])})
    assert not found.ok
    assert any(re.search(says, fault.sentence) for fault in found.faults.told), found.faults.told


def _lines_changed(change: Callable[[list[dict[str, Any]]], None]) -> Callable[[bytes], bytes]:
    def changed(content: bytes) -> bytes:
        lines = [json.loads(line) for line in content.splitlines()]
        change(lines)
        return "".join(f"{canonical_json(line)}\n" for line in lines).encode()

    return changed


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines.pop(),  # the end
        lambda lines: lines.pop(0),
        lambda lines: lines[-1].update(by="somebody else"),
        lambda lines: lines[-1].update(asked={}),
        lambda lines: lines[-1].update(signature="00" * 64),
        lambda lines: lines[0]["segment"].update(root="00" * 32),
        lambda lines: lines[0]["segment"].update(first_seq=2),
        lambda lines: lines[0].update(proof=["00" * 32]),
        lambda lines: lines.insert(1, lines[0]),
        lambda lines: lines[0].update(rows=1),
    ],
)
async def test_an_altered_manifest(
    log: Log, change: Callable[[list[dict[str, Any]]], None], tmp_path: Path
) -> None:
    path = await exported(log, tmp_path / "all.zip", "jsonl")
    altered = _lines_changed(change)(contents(path)[MANIFEST])
    assert not repacked(path, **{MANIFEST: altered}).ok


async def test_what_is_no_export_is_said_so(log: Log, tmp_path: Path) -> None:
    path = await exported(log, tmp_path / "all.zip")
    whole = path.read_bytes()
    for content in (b"", b"minutes of a meeting", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ExportUnreadable, match="no whole export"):
            verify_export(path, KEYS)


async def test_what_was_cut_is_not_exported(log: Log, place: Place, tmp_path: Path) -> None:
    log.keep_days = 1
    log.clock.forward(hours=-6)
    await log.keeper().write_roots()
    await log.keeper().cut()
    found = verify_export(await exported(log, tmp_path / "all.zip"), KEYS)
    assert found.ok
    assert found.statement["first_seq"] == 4
