"""The styles of a workbook gain those that mark cells; a marked cell keeps the rest of its own."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

from lxml import etree

from .sheet_edit import Mark

# Light red and light yellow: those that spreadsheet programs offer for bad and neutral cells.
COLOURS: Final[dict[Mark, str]] = {"error": "FFFFC7CE", "warning": "FFFFEB9C"}


class StyleEditor:
    """Hands out indexes of styles that it adds to the styles part in the end (`content`)."""

    def __init__(self, root: Any) -> None:
        """`root` is the tree of styles.xml, which changes. Raises `LookupError`: no formats."""
        self._root = root
        formats, fills = root.find("{*}cellXfs"), root.find("{*}fills")
        if formats is None or not len(formats) or fills is None:
            raise LookupError("cellXfs")
        self._formats = formats
        self._fills = fills
        self._own = len(formats)
        self._made: dict[tuple[int, Mark], int] = {}
        self._colours: dict[Mark, int] = {}

    def style(self, base: int, mark: Mark) -> int:
        """The index of the style `base` with a mark on it."""
        base = base if 0 <= base < self._own else 0
        if (base, mark) not in self._made:
            self._formats.append(self._marked(deepcopy(self._formats[base]), mark))
            self._made[base, mark] = len(self._formats) - 1
        return self._made[base, mark]

    def content(self) -> bytes:
        for parent in (self._formats, self._fills):
            parent.set("count", str(len(parent)))
        return etree.tostring(self._root, xml_declaration=True, encoding="UTF-8", standalone=True)

    def _marked(self, style: Any, mark: Mark) -> Any:
        if mark in COLOURS:
            style.set("fillId", str(self._fill(mark)))
            style.set("applyFill", "1")
            return style
        for old in style.findall("{*}alignment"):
            style.remove(old)
        # The first child by the schema.
        style.insert(0, self._element(style, "alignment", vertical="top", wrapText="1"))
        style.set("applyAlignment", "1")
        return style

    def _fill(self, mark: Mark) -> int:
        if mark not in self._colours:
            fill = self._element(self._fills, "fill")
            pattern = self._element(fill, "patternFill", patternType="solid")
            pattern.append(self._element(fill, "fgColor", rgb=COLOURS[mark]))
            pattern.append(self._element(fill, "bgColor", indexed="64"))
            fill.append(pattern)
            self._fills.append(fill)
            self._colours[mark] = len(self._fills) - 1
        return self._colours[mark]

    def _element(self, near: Any, name: str, **attributes: str) -> Any:
        space = etree.QName(near).namespace
        return near.makeelement(etree.QName(space, name).text, attributes)
