"""Chinese names as they are typed in Latin letters: full pinyin, initials, and other readings.

The reading is pypinyin's, which knows words ("重庆" is chongqing). Where a character is read in
several ways in names of places and its word is not known, the others are kept beside it.
"""

from __future__ import annotations

import itertools
import re
from typing import Final

MAX_READINGS: Final = 4  # of one name: two such characters; each reading is as long as the name
# What names of roads, villages and buildings have; pypinyin's own lists have readings nobody types.
POLYPHONES: Final = {
    "单": ("dan", "shan"),
    "乐": ("le", "yue"),
    "会": ("hui", "kuai"),
    "厦": ("sha", "xia"),
    "台": ("tai", "yi"),
    "堡": ("bao", "pu", "bu"),
    "塔": ("ta", "da"),
    "巷": ("xiang", "hang"),
    "曾": ("zeng", "ceng"),
    "朝": ("chao", "zhao"),
    "校": ("xiao", "jiao"),
    "盛": ("sheng", "cheng"),
    "藏": ("cang", "zang"),
    "行": ("xing", "hang"),
    "角": ("jiao", "jue"),
    "解": ("jie", "xie"),
    "调": ("diao", "tiao"),
    "车": ("che", "ju"),
    "都": ("du", "dou"),
    "重": ("zhong", "chong"),
    "长": ("chang", "zhang"),
    "降": ("jiang", "xiang"),
}

# What pypinyin has readings of: the ideographs, without extensions that fonts lack too.
_IDEOGRAPHS: Final = re.compile("[\u3007\u3400-\u4dbf\u4e00-\u9fff]+")


def readings(text: str) -> list[tuple[str, str]]:
    """(full pinyin, initials), the likeliest first, at most `MAX_READINGS`; all else in `text`
    stays as it is. Empty for a text without ideographs.

    >>> readings("新华大街3号")
    [('xinhuadajie3hao', 'xhdj3h')]
    """
    if not _IDEOGRAPHS.search(text):
        return []
    # Here: the tables take 0.2 s and 40 MB, and a registry that is only read does without.
    from pypinyin import lazy_pinyin

    ways: list[tuple[str, ...]] = []
    at = 0
    for run in _IDEOGRAPHS.finditer(text):
        ways += [(char,) for char in text[at : run.start()]]
        for char, usual in zip(run[0], lazy_pinyin(run[0]), strict=True):
            others = POLYPHONES.get(char, ())
            ways.append((usual, *(other for other in others if other != usual)))
        at = run.end()
    ways += [(char,) for char in text[at:]]
    found = []
    for reading in itertools.islice(itertools.product(*ways), MAX_READINGS):
        initials = "".join(syllable[:1] for syllable in reading)
        found.append(("".join(reading), initials))
    return found
