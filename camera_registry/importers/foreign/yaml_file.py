"""YAML as plain words with their lines: every scalar is a text, nothing is built, aliases count.

Anchors and merge keys (`<<`, YAML 1.1) are in use, so they are read. An alias shares what it names
and costs no memory, but whoever walks the document meets all of it again: so it counts in full, and
a "billion laughs" file is refused at the alias that passes the bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import yaml

from ..rows import FileRefused
from .config import label

# A configuration of 20,000 cameras has 4 MB; the parser takes about 1 s for it.
MAX_YAML_BYTES: Final = 8 << 20
MAX_NODES: Final = 1_000_000  # with aliases in full; 20,000 cameras have some 200,000
MAX_DEPTH: Final = 32  # these programs nest six deep
MERGE: Final = "<<"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where it is built in
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"true", "yes", "on", "y", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "n", "0"})


@dataclass(slots=True)
class Node:
    """A value and its line (1, 2, …). `value`: a text, None, a list or a mapping by key."""

    line: int
    value: str | list[Node] | dict[str, Node] | None
    weight: int = 1  # nodes beneath it, aliases in full

    @property
    def text(self) -> str | None:
        return self.value if isinstance(self.value, str) else None

    @property
    def items(self) -> list[Node]:
        return self.value if isinstance(self.value, list) else []

    @property
    def mapping(self) -> dict[str, Node]:
        return self.value if isinstance(self.value, dict) else {}

    def at(self, *keys: str) -> Node:
        """What lies under the keys; a node of None where nothing does."""
        node = self
        for key in keys:
            node = node.mapping.get(key) or Node(node.line, None)
        return node

    def switch(self) -> bool | None:
        """The text as on or off; None when it is neither."""
        word = (self.text or "").lower()
        return True if word in _TRUE else False if word in _FALSE else None


def parse(text: str) -> Node:
    """The first document. Raises `FileRefused`: not YAML, a key twice, too deep, too much."""
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if builder.feed(event):
                break
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise FileRefused(
            "not_yaml", f"The file is not YAML{where}; check its indentation and quotes there."
        ) from None
    return builder.root or Node(1, None)


@dataclass(slots=True)
class _Open:
    """A list or mapping that is not closed yet."""

    node: Node
    anchor: str | None
    key: tuple[str, int] | None = None  # of a mapping: the key whose value comes next
    merges: list[Node] | None = None


class _Builder:
    """Events in, nodes out."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self._open: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}  # None: still open

    def feed(self, event: yaml.Event) -> bool:
        """True when the first document is complete."""
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.ScalarEvent):
            plain = event.style is None or event.style == ""
            value = None if plain and event.value in _NULL else event.value
            node = Node(line, value)
            if event.anchor:
                self._anchors[event.anchor] = node
            # A key is what is written, `null` and `~` included.
            self._add(node, event.value)
        elif isinstance(event, yaml.AliasEvent):
            known = self._anchors.get(event.anchor or "")
            if known is None:
                raise FileRefused(
                    "yaml_alias", f"Line {line}: *{(event.anchor or '')[:40]} names no value above."
                )
            self._add(Node(line, known.value, known.weight), known.text)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            if len(self._open) >= MAX_DEPTH:
                raise FileRefused(
                    "yaml_too_deep", f"Line {line}: the file nests deeper than {MAX_DEPTH} levels."
                )
            is_map = isinstance(event, yaml.MappingStartEvent)
            if event.anchor:
                self._anchors[event.anchor] = None
            self._open.append(_Open(Node(line, {} if is_map else []), event.anchor))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._close()
        return isinstance(event, yaml.DocumentEndEvent)

    def _close(self) -> None:
        done = self._open.pop()
        for source in done.merges or ():
            for key, node in source.mapping.items():
                if key not in done.node.mapping:  # what is written beside wins
                    done.node.mapping[key] = node
        if done.anchor:
            self._anchors[done.anchor] = done.node
        self._add(done.node, None)

    def _add(self, node: Node, key: str | None) -> None:
        if not self._open:
            self.root = node
            return
        top = self._open[-1]
        if isinstance(top.node.value, list):
            top.node.value.append(node)
        elif top.key is None:
            if key is None:
                raise FileRefused(
                    "yaml_key", f"Line {node.line}: a key has to be a word, not a list or mapping."
                )
            top.key = (key, node.line)
            return
        else:
            (name, line), top.key = top.key, None
            if name == MERGE:
                top.merges = [*(top.merges or []), *(node.items or [node])]
            elif name in top.node.mapping:
                raise FileRefused(
                    "yaml_key_twice",
                    f"Line {line}: {label(name)} stands twice in one mapping; take one out.",
                )
            else:
                top.node.mapping[name] = Node(line, node.value, node.weight)
        top.node.weight += node.weight
        if top.node.weight > MAX_NODES:
            raise FileRefused(
                "yaml_too_much",
                f"Line {node.line}: with its aliases written out the file has more than "
                f"{MAX_NODES} values.",
            )
