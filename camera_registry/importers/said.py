"""What is said of a file and its rows, in the reader's language, by its stable code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Literal

from .fields import text_of

Language = Literal["zh", "en"]


@cache
def chinese() -> Mapping[str, str]:
    """By code. `{detail}` is the English sentence, for what this one can't say by itself: which
    row, which camera, which value. The page has its words from the same file (JSON, as Vite reads
    that without a plugin)."""
    words: dict[str, str] = json.loads(text_of("said.zh.json"))
    return words


def said(code: str | None, sentence: str, language: Language) -> str:
    """The sentence in that language; as it is, in English, where there are no words for the code.

    The page does the same (`web/src/state/said.ts`).
    """
    own = chinese().get(code or "") if language == "zh" else None
    return sentence if own is None else own.replace("{detail}", sentence)
