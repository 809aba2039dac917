"""What a channel is found by: one folded text kept beside it, and the pieces of a question.

Both databases index texts by runs of three characters, which neither a word of two ideographs nor
two initials have. So each character of the names, the address and the initials stands between two
`GLUE`: "新华" is kept, and asked for, as ``X新X华X``, of which two runs of three are of one
character alone and one is of both. Full pinyin and the code follow as they are, for words of three
and more letters and digits.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from .domain import Channel
from .pinyin import readings

GLUE: Final = "X"  # a letter to every index, and never in a text in lower case
BORDER: Final = "\n"  # between parts; no word has it, so nothing is found across
PLAIN_CHARS: Final = 3  # a word of so many ASCII characters is asked for as it is

_PLAIN: Final = re.compile(rf"[!-~]{{{PLAIN_CHARS},}}")
# Latin letters beside others: "新华dajie" is asked as "新华" and "dajie".
_SEAM: Final = re.compile(r"(?<=[a-z])(?=[^\x00-\x7f])|(?<=[^\x00-\x7f])(?=[a-z])")


def folded(text: str) -> str:
    """In lower case, full-width forms as narrow ones: Unicode's NFKC and case folding."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def search_text(channel: Channel) -> str:
    """Glued: name, common name, address, the names' initials. Plain: their ASCII words, the
    names' pinyin and initials, the code.
    """
    names = [folded(channel.name), folded(channel.facts.get("common_name", ""))]
    texts = [*names, folded(channel.facts.get("address", ""))]
    # As one word: whoever types "azuodongmen" has not seen the space.
    spoken = [reading for name in names for reading in readings("".join(name.split()))]
    initials = [short for _, short in spoken]
    plain = [word for text in texts for word in _PLAIN.findall(text)]
    plain += [full for full, _ in spoken] + initials + [folded(channel.code)]
    parts = [_glued(part) for text in (*texts, *initials) for part in text.split()]
    return BORDER.join(dict.fromkeys(part for part in (*parts, *plain) if part))


def pieces(question: str) -> tuple[str, ...]:
    """What must all be within a search text for the channel to be found, each once."""
    question = question.replace("\x00", "\N{REPLACEMENT CHARACTER}")  # no store takes NUL
    words = (part for word in folded(question).split() for part in _SEAM.split(word))
    return tuple(dict.fromkeys(word if _is_plain(word) else _glued(word) for word in words))


def runs(piece: str) -> tuple[str, ...]:
    """The runs of three that an index is asked for: those of two characters of a glued piece, else
    as few as cover it. Runs of one character alone are in so many rows that they only cost time.
    """
    if not piece.startswith(GLUE):
        starts = {*range(0, len(piece) - 2, 3), len(piece) - 3}
    elif len(piece) == 3:
        starts = {0}
    else:
        starts = set(range(1, len(piece) - 3, 2))
    return tuple(dict.fromkeys(piece[start : start + 3] for start in sorted(starts)))


def runs_of(text: str) -> set[str]:
    """All runs of three of a search text: each that a question could be asked by."""
    text = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")  # as PostgreSQL keeps it
    return {part[at : at + 3] for part in text.split(BORDER) for at in range(len(part) - 2)}


def _is_plain(word: str) -> bool:
    return _PLAIN.fullmatch(word) is not None


def _glued(text: str) -> str:
    return f"{GLUE}{GLUE.join(text)}{GLUE}"
