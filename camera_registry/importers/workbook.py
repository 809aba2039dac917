"""An XLSX file as a package of parts (ECMA-376 part 2), opened with care: a ZIP of foreign XML."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from posixpath import dirname, join, normpath
from typing import Any, Final
from xml.parsers import expat

from lxml import etree
from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format

from .rows import FileRefused
from .xml_feed import CHUNK_BYTES, CellText, damaged, feed, new_parser, unescaped

# A workbook of a hundred sheets with a picture in each has some five hundred parts.
MAX_MEMBERS: Final = 4_096
# 200,000 rows of 73 filled columns are about 900 MB of XML. It is read as a stream.
MAX_UNPACKED_BYTES: Final = 1 << 30
# Sheets shrink ten- to thirtyfold, and very monotonous ones a hundredfold; a bomb a thousandfold.
MAX_RATIO: Final = 250
_RATIO_FROM_BYTES: Final = 1 << 20
# Parts that are read whole: the workbook, relations, styles. Ordinary ones have some 100 KB.
MAX_PART_BYTES: Final = 8 << 20
# Texts that cells share, all in memory: 100,000 rows of 50 texts of their own.
MAX_STRINGS_BYTES: Final = 192 << 20
_DIRECTORY_ENTRY: Final = b"PK\x01\x02"
_PADDED: Final = re.compile(r"0{2,30}")


@contextmanager
def told_as_damage() -> Iterator[None]:
    """What ZIP, deflate and XML raise over broken bytes becomes a `FileRefused`."""
    try:
        yield
    except expat.ExpatError as error:
        raise damaged(expat.ErrorString(error.code)) from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        etree.LxmlError,
        EOFError,
        OSError,
        KeyError,
        ValueError,  # of numbers and of encodings
        LookupError,
        OverflowError,
        NotImplementedError,  # a ZIP of a later version
        RuntimeError,  # an encrypted member
    ):
        raise damaged() from None


@dataclass(frozen=True, slots=True)
class Sheet:
    name: str
    part: str
    hidden: bool


@dataclass(frozen=True, slots=True)
class Styles:
    """What number formats say of cells, by the cell's style index."""

    dates: frozenset[int]
    padded: dict[int, int]  # shown with leading zeros -> to this many digits


class Strings:
    """The shared texts: one run of UTF-8 and where each begins, a third of what a list takes."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("L", [0])

    def append(self, text: str) -> None:
        self._bytes += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._bytes))

    def __getitem__(self, index: int) -> str:
        if index < 0:
            raise IndexError(index)
        start, end = self._ends[index], self._ends[index + 1]
        return self._bytes[start:end].decode("utf-8", "surrogatepass")


class Workbook:
    """The parts of a workbook that a table needs. All methods may raise `FileRefused`."""

    def __init__(self, source: bytes) -> None:
        """Raises `FileRefused`: `xlsx_broken`, `not_xlsx`, `file_encrypted`, `zip_bomb`."""
        if source.count(_DIRECTORY_ENTRY) > MAX_MEMBERS:  # before each costs memory
            raise _bomb(f"more than {MAX_MEMBERS} parts")
        with told_as_damage():
            self.zip = zipfile.ZipFile(io.BytesIO(source))
            _check_members(self.zip.infolist())
            self.path = self._main_part()
            self._root = self.tree(self.path)
            self._targets = self._relations(self.path)

    @cached_property
    def sheets(self) -> list[Sheet]:
        """Worksheets in the order of their tabs; charts are left out."""
        sheets = []
        for element in self._root.iter("{*}sheet"):
            relation = next((v for k, v in element.attrib.items() if str(k).endswith("}id")), None)
            kind, part = self._targets.get(str(relation), ("", ""))
            if kind == "worksheet":
                hidden = element.get("state", "visible") != "visible"
                sheets.append(Sheet(str(element.get("name", "")), part, hidden))
        return sheets

    @cached_property
    def from_1904(self) -> bool:
        """Days are counted from 1904, as old programs for the Macintosh did."""
        for element in self._root.iter("{*}workbookPr"):
            return element.get("date1904") in ("1", "true")
        return False

    def part_of(self, kind: str) -> str | None:
        """The workbook's part of a kind of relation, e.g. "styles"."""
        return next((part for of, part in self._targets.values() if of == kind), None)

    @cached_property
    def styles(self) -> Styles:
        part = self.part_of("styles")
        if part is None:
            return Styles(frozenset(), {})
        with told_as_damage():
            root = self.tree(part)
            formats = dict(BUILTIN_FORMATS)
            for element in root.iter("{*}numFmt"):
                formats[int(element.get("numFmtId", ""))] = str(element.get("formatCode", ""))
            codes = [
                formats.get(int(xf.get("numFmtId", "0")), "General")
                for xf in root.iterfind("{*}cellXfs/{*}xf")
            ]
        return Styles(
            frozenset(index for index, code in enumerate(codes) if is_date_format(code)),
            {index: len(code) for index, code in enumerate(codes) if _PADDED.fullmatch(code)},
        )

    @cached_property
    def strings(self) -> Strings:
        """The texts that cells share. Raises `FileRefused`: `too_many_texts`."""
        strings = Strings()
        part = self.part_of("sharedStrings")
        if part is None:
            return strings
        with told_as_damage():
            if self.zip.getinfo(part).file_size > MAX_STRINGS_BYTES:
                raise FileRefused(
                    "too_many_texts",
                    f"The workbook holds more than {MAX_STRINGS_BYTES >> 20} MiB of text; divide "
                    "it into several files.",
                )
            reader = _TextReader(strings.append)
            for _ in self.events(part, reader.parser):
                pass
        return strings

    def tree(self, part: str) -> Any:
        """A small part as a tree. A declaration of a document type is refused."""
        if self.zip.getinfo(part).file_size > MAX_PART_BYTES:
            raise _bomb(f"the part {part} is larger than {MAX_PART_BYTES >> 20} MiB")
        content = self.zip.read(part)
        new_parser().Parse(content, True)  # refuses what a tree must not be built from
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
        return etree.fromstring(content, parser)

    def events(self, part: str, parser: expat.XMLParserType) -> Iterator[bytes]:
        """Feeds a part to a parser piece by piece; yields each piece after its events."""
        with told_as_damage(), self.zip.open(part) as stream:
            yield from feed(stream, parser)

    def pieces(self, part: str) -> Iterator[bytes]:
        """The bytes of a part, piece by piece."""
        with told_as_damage(), self.zip.open(part) as stream:
            while piece := stream.read(CHUNK_BYTES):
                yield piece

    def _main_part(self) -> str:
        names = set(self.zip.namelist())
        if "_rels/.rels" in names:
            for kind, part in self._relations("").values():
                if kind != "officeDocument" or part not in names or part.endswith(".bin"):
                    continue
                if etree.QName(self.tree(part)).localname == "workbook":
                    return part
        raise FileRefused(
            "not_xlsx", "The file holds no Excel workbook; save it as .xlsx or as CSV in UTF-8."
        )

    def _relations(self, part: str) -> dict[str, tuple[str, str]]:
        """By id: the kind (the last word of its address) and the part."""
        folder, _, name = part.rpartition("/")
        path = join(folder, "_rels", f"{name}.rels")
        found = {}
        if path in self.zip.NameToInfo:
            for element in self.tree(path).iter("{*}Relationship"):
                target = str(element.get("Target", ""))
                at = target[1:] if target.startswith("/") else join(dirname(part), target)
                kind = str(element.get("Type", "")).rpartition("/")[2]
                found[str(element.get("Id", ""))] = kind, normpath(at)
        return found


class _TextReader:
    """sharedStrings.xml: the `t` of each `si`, without those of phonetic runs (`rPh`)."""

    def __init__(self, add: Callable[[str], None]) -> None:
        self._add = add
        self._text = CellText()
        self._phonetic = False
        self.parser = new_parser()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        if local == "t" and not self._phonetic:
            self.parser.CharacterDataHandler = self._text.add
        elif local == "rPh":
            self._phonetic = True

    def _end(self, name: str) -> None:
        local = name.rpartition(":")[2]
        if local == "t":
            self.parser.CharacterDataHandler = None
        elif local == "si":
            self._add(unescaped(self._text.take()))
        elif local == "rPh":
            self._phonetic = False


def _bomb(what: str) -> FileRefused:
    return FileRefused(
        "zip_bomb",
        f"The workbook unpacks to far more than a table of cameras ({what}); copy the rows into a "
        "new workbook.",
    )


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    total = 0
    for member in members:
        if member.flag_bits & 1:
            raise encrypted()
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise damaged("an unusual compression")
        total += member.file_size
        if member.file_size > max(_RATIO_FROM_BYTES, MAX_RATIO * member.compress_size):
            raise _bomb(f"a part grows more than {MAX_RATIO} times")
    if total > MAX_UNPACKED_BYTES:
        raise _bomb(f"more than {MAX_UNPACKED_BYTES >> 20} MiB")


def encrypted() -> FileRefused:
    return FileRefused(
        "file_encrypted",
        "The workbook is protected by a password; save a copy without one.",
    )
