"""An export of rows with its proof: a ZIP of the rows and of a manifest, made as a stream.

`rows.csv` or `rows.jsonl` has the rows that fit, in order, each with all that its hash covers. The
manifest has the signed statement of every segment that they are of, the hashes that show them to be
in it (merkle.py), and at the end a signed statement about the export itself. Whoever has the file
and the public key needs nothing else: `verify_export`.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, cast

from ..store.chain import canonical_json
from ..store.contract import Store
from ..store.contract_audit import AuditQuery
from . import merkle
from .keys import AuditKey
from .model import Segment
from .segment import line_of

Format = Literal["csv", "jsonl"]

KIND: Final = "streamhub-audit-export-1"
MANIFEST: Final = "manifest.jsonl"
# What a row's hash covers, then names for people, which only the export's own signature covers.
HASHED: Final = (
    *("seq", "at", "subject_id", "subject_name", "as_role", "remote", "act", "channel_id"),
    *("area_id", "outcome", "detail", "prev_hash", "hash"),
)
NAMES: Final = ("channel_name", "area_name")
# A spreadsheet takes a cell that begins so for a formula (OWASP, "CSV Injection").
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
_MANIFEST_IN_MEMORY: Final = 1 << 20

Name = Callable[[str | None], str | None]


def rows_file(kind: Format) -> str:
    return f"rows.{kind}"


def cell(value: object) -> str:
    """Of a CSV file: nothing for None; what begins as a formula, or with an apostrophe, is behind
    an apostrophe; so is an empty text.
    """
    if value is None:
        return ""
    text = str(value)
    return f"'{text}" if not text or text.startswith(_FORMULA) else text


def uncell(text: str) -> str | None:
    """What `cell` was given, as text."""
    if not text:
        return None
    return text[1:] if text.startswith("'") else text


class Export:
    """One export. `basis`: what else its statement says, such as who approved it; `names`: of
    channels and of areas, as they are called now."""

    def __init__(
        self,
        store: Store,
        key: AuditKey,
        query: AuditQuery,
        *,
        kind: Format,
        asked: Mapping[str, Any],
        by: str,
        basis: Mapping[str, Any],
        at: datetime,
        up_to_segment: int,
        names: tuple[Name, Name],
    ) -> None:
        self._store = store
        self._key = key
        self._query = query
        self._kind: Format = kind
        self._head = {
            "asked": dict(asked),
            "by": by,
            "at": at.isoformat(),
            "format": kind,
            **basis,
        }
        self._up_to = up_to_segment
        self._names = names
        self._digest = hashlib.sha256()
        self._rows = 0
        self._first: Any = None
        self._last: Any = None

    async def stream(self) -> AsyncIterator[bytes]:
        """The file. Raises RuntimeError where rows were cut meanwhile: then it has no end."""
        sink = _Sink()
        with (
            tempfile.SpooledTemporaryFile(max_size=_MANIFEST_IN_MEMORY) as manifest,
            zipfile.ZipFile(cast(Any, sink), "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            with archive.open(rows_file(self._kind), "w", force_zip64=True) as out:
                out.write(self._hashed(_header(self._kind)))
                async for segment in self._segments():
                    content, proof = await self._part(segment)
                    if content:
                        await asyncio.to_thread(out.write, content)
                        manifest.write(proof)
                        yield sink.taken()
            manifest.write(self._end())
            manifest.seek(0)
            with archive.open(MANIFEST, "w", force_zip64=True) as out:
                while part := manifest.read(1 << 16):
                    out.write(part)
                    yield sink.taken()
            archive.close()
            yield sink.taken()

    async def _segments(self) -> AsyncIterator[Segment]:
        after = 0
        while True:
            async with self._store.read() as tx:
                segments = await tx.audit.segments(after=after)
            for segment in segments:
                if segment.number > self._up_to:
                    return
                if segment.cut_at is None and _may_have(segment, self._query):
                    yield segment
            if not segments:
                return
            after = segments[-1].number

    async def _part(self, segment: Segment) -> tuple[bytes, bytes]:
        """The rows of one segment that fit, and the line of the manifest that proves them."""
        async with self._store.read() as tx:
            rows = await tx.audit.matching(
                self._query, first_seq=segment.first_seq, last_seq=segment.last_seq
            )
            if not rows:
                return b"", b""
            hashes = await tx.audit.hashes(segment.first_seq, segment.last_seq)
        if len(hashes) != segment.size:
            raise RuntimeError(f"segment {segment.number} was cut while it was exported")
        self._first = self._first or rows[0]
        self._last = rows[-1]
        self._rows += len(rows)
        return await asyncio.to_thread(self._written, segment, rows, hashes)

    def _written(
        self, segment: Segment, rows: Sequence[Any], hashes: Sequence[str]
    ) -> tuple[bytes, bytes]:
        leaves = [merkle.leaf(each) for each in hashes]
        shown = [row.seq - segment.first_seq for row in rows]
        proof = {
            "segment": json.loads(line_of(segment)),
            "rows": len(rows),
            "proof": [each.hex() for each in merkle.proof(leaves, shown)],
        }
        lines = [self._row(row) for row in rows]
        content = _csv(lines) if self._kind == "csv" else _jsonl(lines)
        return self._hashed(content), f"{canonical_json(proof)}\n".encode()

    def _row(self, row: Any) -> dict[str, Any]:
        of_channel, of_area = self._names
        fields = {name: getattr(row, name) for name in HASHED}
        return {
            **fields,
            "channel_name": of_channel(row.channel_id),
            "area_name": of_area(row.area_id),
        }

    def _hashed(self, content: bytes) -> bytes:
        self._digest.update(content)
        return content

    def _end(self) -> bytes:
        first, last = self._first, self._last
        statement = {
            "kind": KIND,
            **self._head,
            "rows": self._rows,
            "first_seq": first.seq if first else None,
            "first_hash": first.hash if first else None,
            "last_seq": last.seq if last else None,
            "last_hash": last.hash if last else None,
            "up_to_segment": self._up_to,
            "rows_sha256": self._digest.hexdigest(),
            "key_id": self._key.key_id,
        }
        signature = self._key.sign(canonical_json(statement).encode())
        return f"{canonical_json({**statement, 'signature': signature})}\n".encode()


class _Sink(io.RawIOBase):
    """What the archive writes, taken away part by part: nothing is kept."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._parts.append(bytes(content))
        return len(content)

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _may_have(segment: Segment, query: AuditQuery) -> bool:
    if query.max_seq is not None and segment.first_seq > query.max_seq:
        return False
    if query.since is not None and segment.spans_to < query.since:
        return False
    return query.until is None or segment.spans_from < query.until


def _header(kind: Format) -> bytes:
    # The mark of UTF-8: without it spreadsheets take it for something else.
    return b"\xef\xbb\xbf" + _csv([]) if kind == "csv" else b""


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    if not rows:
        writer.writerow((*HASHED, *NAMES))
    for row in rows:
        writer.writerow([cell(row[name]) for name in (*HASHED, *NAMES)])
    return out.getvalue().encode("utf-8", "surrogatepass")


def _jsonl(rows: Sequence[Mapping[str, Any]]) -> bytes:
    lines = [canonical_json({**row, "detail": json.loads(row["detail"])}) for row in rows]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")
