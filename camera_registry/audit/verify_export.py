"""Checks an export by itself: the file and the public key are all that it takes. Bounded memory."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from ..errors import AuditError
from ..store.chain import canonical_json, row_hash
from . import merkle
from .export import HASHED, KIND, MANIFEST, Format, rows_file, uncell
from .keys import PublicKeys, is_signed
from .model import Faults, Segment
from .segment import from_line, statement

# A line of the manifest is a segment's: half of its 10,000 rows' hashes at most, and some words.
MAX_LINE_BYTES: Final = 1 << 20
MAX_ROW_BYTES: Final = 1 << 16


class ExportUnreadable(AuditError):
    code = "export_unreadable"


@dataclass(frozen=True, slots=True)
class ExportVerification:
    """`statement` is what was signed about the export; empty when it has none."""

    rows: int
    segments: int
    statement: dict[str, Any]
    faults: Faults

    @property
    def ok(self) -> bool:
        return self.faults.total == 0


def verify_export(
    path: Path, keys: PublicKeys, progress: Callable[[int, int], None] | None = None
) -> ExportVerification:
    """Raises ExportUnreadable for what is no export."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _Check(archive, keys, progress).run()
    except (OSError, zipfile.BadZipFile, KeyError, EOFError, ValueError) as error:
        raise ExportUnreadable(f"{path} is no whole export of the audit ({error}).") from error


class _Check:
    def __init__(
        self,
        archive: zipfile.ZipFile,
        keys: PublicKeys,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._archive = archive
        self._keys = keys
        self._progress = progress
        self._faults = Faults()
        self._digest = hashlib.sha256()
        self._rows = 0
        self._segments = 0
        self._first: dict[str, Any] | None = None
        self._last: dict[str, Any] | None = None

    def run(self) -> ExportVerification:
        said = self._said()
        kind: Format = "csv" if said.get("format") == "csv" else "jsonl"
        with self._archive.open(rows_file(kind)) as file, self._archive.open(MANIFEST) as manifest:
            reader = _Reader(file, self._digest)
            rows = _csv_rows(reader) if kind == "csv" else _jsonl_rows(reader)
            for line in _lines(manifest, MAX_LINE_BYTES):
                fields = json.loads(line)
                if "segment" in fields:
                    self._segment(fields, rows, said)
            if next(rows, None) is not None:
                self._faults.add(0, None, "There are more rows than the manifest proves.")
                for _ in rows:
                    pass
        self._compare(said)
        return ExportVerification(self._rows, self._segments, said, self._faults)

    def _said(self) -> dict[str, Any]:
        """The statement about the export: the last line of the manifest."""
        last = b""
        with self._archive.open(MANIFEST) as manifest:
            for line in _lines(manifest, MAX_LINE_BYTES):
                last = line
        fields = json.loads(last) if last else {}
        if not isinstance(fields, dict) or fields.get("kind") != KIND:
            self._faults.add(0, None, "The manifest has no end: the export was cut off.")
            return {}
        signature = str(fields.pop("signature", ""))
        message = canonical_json(fields).encode()
        if not is_signed(self._keys, str(fields.get("key_id")), signature, message):
            self._faults.add(0, None, "The export is not signed by the key.")
        return fields

    def _segment(
        self, fields: dict[str, Any], rows: Iterator[dict[str, Any]], said: dict[str, Any]
    ) -> None:
        segment = from_line(canonical_json(fields["segment"]))
        if not is_signed(self._keys, segment.key_id, segment.signature, statement(segment)):
            self._faults.add(
                segment.first_seq,
                segment.day,
                f"The root of segment {segment.number} is not signed by the key.",
            )
        shown: dict[int, bytes] = {}
        marred = False
        for _ in range(int(fields["rows"])):
            row = next(rows, None)
            if row is None:
                self._faults.add(
                    segment.first_seq, segment.day, f"Rows of segment {segment.number} are missing."
                )
                return
            marred = not self._row(row, segment, shown) or marred
        self._segments += 1
        if self._progress is not None:
            self._progress(self._rows, int(said.get("rows") or 0))
        if marred:
            return
        try:
            proof = [bytes.fromhex(each) for each in fields["proof"]]
            root = merkle.root_of(segment.size, shown, proof).hex()
        except (ValueError, TypeError) as error:
            root = str(error)
        if root != segment.root:
            self._faults.add(
                min(shown, default=0) + segment.first_seq,
                segment.day,
                f"The rows are not those that the root of segment {segment.number} was made of.",
            )

    def _row(self, row: dict[str, Any], segment: Segment, shown: dict[int, bytes]) -> bool:
        self._rows += 1
        self._first = self._first or row
        self._last = row
        try:
            seq, detail = int(row["seq"]), str(row.pop("detail_text"))
            true_hash = row_hash({**row, "seq": seq}, detail)
            leaf = merkle.leaf(true_hash)
        except (ValueError, TypeError, KeyError):
            self._faults.add(0, segment.day, f"Row {str(row.get('seq'))[:20]} cannot be read.")
            return False
        if true_hash != row["hash"]:
            self._faults.add(seq, segment.day, f"Row {seq} was changed after it was written.")
            return False
        place = seq - segment.first_seq
        if place in shown or place < max(shown, default=-1):
            self._faults.add(seq, segment.day, f"Row {seq} is not in its place.")
            return False
        shown[place] = leaf
        return True

    def _compare(self, said: dict[str, Any]) -> None:
        """The export as a whole with what was signed about it."""
        if not said:
            return
        first, last = self._first or {}, self._last or {}
        found = {
            "rows": self._rows,
            "first_hash": first.get("hash"),
            "last_hash": last.get("hash"),
            "rows_sha256": self._digest.hexdigest(),
        }
        for name, value in found.items():
            if said.get(name) != value:
                self._faults.add(0, None, f"The manifest says another {name} than the file has.")


class _Reader(io.RawIOBase):
    """Hashes what is read."""

    def __init__(self, file: IO[bytes], digest: Any) -> None:
        self._file = file
        self._digest = digest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._file.read(len(buffer))
        self._digest.update(content)
        buffer[: len(content)] = content
        return len(content)


def _csv_rows(reader: _Reader) -> Iterator[dict[str, Any]]:
    text = io.TextIOWrapper(
        io.BufferedReader(reader), "utf-8-sig", errors="surrogatepass", newline=""
    )
    csv.field_size_limit(MAX_ROW_BYTES)
    try:
        for cells in csv.DictReader(text, restval=""):
            row: dict[str, Any] = {name: uncell(cells.get(name) or "") for name in HASHED}
            yield {**row, "detail_text": row["detail"]}
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _jsonl_rows(reader: _Reader) -> Iterator[dict[str, Any]]:
    for line in _lines(io.BufferedReader(reader), MAX_ROW_BYTES):
        row = json.loads(line.decode("utf-8", "surrogatepass"))
        if not isinstance(row, dict):
            raise ValueError("a line is no row")
        yield {**row, "detail_text": canonical_json(row.get("detail"))}


def _lines(file: IO[bytes] | io.BufferedReader, most: int) -> Iterator[bytes]:
    while line := file.readline(most):
        if not line.endswith(b"\n"):
            raise ValueError("a line is cut off, or too long")
        yield line
