"""A GB/T 28181 catalogue: the `Item`s of Catalog messages (GB/T 28181-2022 annex A.2.6.1).

A platform sends its catalogue in many messages; one file may hold all of them, one after another.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import Final

from lxml import etree

from ..rows import MAX_CELL_CHARS, FileRefused
from . import gb_item
from .config import ForeignConfig, Gathering

MAX_XML_BYTES: Final = 64 << 20  # 100,000 items
_DECLARATION = re.compile(r"<\?xml[^>]{0,200}\?>")  # its encoding is done with already
_DTD = re.compile(r"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
# What a NOTIFY says of an item that it describes; ON, OFF, VLOST, DEFECT and DEL only name it.
_THERE: Final = frozenset({"", "ADD", "UPDATE"})


def cameras(text: str) -> ForeignConfig:
    """One camera per item that has a picture. Raises `FileRefused`: not XML, or with a DTD."""
    if _DTD.search(text):
        raise FileRefused(
            "xml_dtd", "The file declares a document type, which no catalogue has; take it out."
        )
    found = Gathering("gb28181-catalogue")
    seen: set[str] = set()
    content = f"<all>{_DECLARATION.sub('', text)}</all>".encode()
    try:
        for _, element in etree.iterparse(
            BytesIO(content),
            tag="{*}Item",
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
        ):
            _item(found, seen, _flat(element))
            _forget(element)
    except etree.XMLSyntaxError as error:
        raise FileRefused(
            "not_xml",
            f"The file is not XML (line {error.lineno or 1}); save the messages' bodies whole.",
        ) from None
    return found.done()


def _item(found: Gathering, seen: set[str], item: dict[str, str]) -> None:
    row = found.row(0)
    code = item.get("deviceid", "")
    if item.get("event", "").upper() not in _THERE:
        found.skip(row, "Item", "notice", "This is a notice of a change, no camera.", "warning")
    elif code in seen:
        # Packets are sent again when their answer was lost; parts of a catalogue overlap.
        found.skip(row, "Item", "repeated", f"{code} stands in the file already.", "warning")
    elif gb_item.put(found, row, item, "Item"):
        seen.add(code)
        found.take(row)


def _flat(element: etree._Element) -> dict[str, str]:
    """The texts of an item and of its `Info`."""
    texts: dict[str, str] = {}
    for child in element.iterdescendants("{*}*"):
        if len(child) == 0 and child.text:
            # By hand: etree.QName raises on a prefix that was never declared.
            name = str(child.tag).rpartition("}")[2].rpartition(":")[2]
            texts.setdefault(name, child.text[:MAX_CELL_CHARS])
    return gb_item.flat(texts)


def _forget(element: etree._Element) -> None:
    """Lets go of what was read, so that the tree does not grow."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]
