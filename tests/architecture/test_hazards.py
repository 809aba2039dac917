"""The hazards of cameras are written down, and each names the tests that cover it."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HAZARDS = tomllib.loads((ROOT / "tests/captures/hazards.toml").read_text(encoding="utf-8"))[
    "hazard"
]
# Dialogue, sign-in, transport, SDP, RTP and time, H.264, H.265, sound, ONVIF: as many as were
# known when they were written down. One more is welcome, one less is not.
AT_LEAST = {1: 18, 2: 6, 3: 18, 4: 6, 5: 10, 6: 19, 7: 3, 8: 4, 9: 19}


@cache
def names_in(path: str) -> frozenset[str]:
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith(".py"):
        return frozenset(re.findall(r"^(?:async )?def (test_\w+)", text, re.MULTILINE))
    # A test, or a property inside `proptest!`: both carry the attribute.
    attribute = r"#\[test\]\s*(?:#\[[^\]]*\]\s*)*(?:///[^\n]*\s*)*fn (\w+)"
    return frozenset(re.findall(attribute, text)) | frozenset(
        re.findall(r"^\s*fn (\w+)\(\s*\w+ in ", text, re.MULTILINE)
    )


def test_each_has_an_id_of_its_own_and_none_was_lost() -> None:
    ids = [hazard["id"] for hazard in HAZARDS]
    assert len(ids) == len(set(ids))
    sections = Counter(hazard["section"] for hazard in HAZARDS)
    print(dict(sorted(sections.items())))
    for section, known in AT_LEAST.items():
        assert sections[section] >= known, f"section {section}"


@pytest.mark.parametrize("hazard", HAZARDS, ids=[hazard["id"] for hazard in HAZARDS])
def test_it_is_covered_or_says_why_not(hazard: dict[str, object]) -> None:
    assert set(hazard) - {"covered_by", "not_covered"} == {"id", "section", "says"}
    assert ("covered_by" in hazard) != ("not_covered" in hazard)
    assert str(hazard["id"]).startswith(f"{hazard['section']}-")
    if "not_covered" in hazard:
        reason = str(hazard["not_covered"])
        assert reason.startswith(("not applicable: ", "not built yet: ")), reason
        return
    covered_by = hazard["covered_by"]
    assert isinstance(covered_by, list)
    assert covered_by
    for named in covered_by:
        path, _, test = named.partition("::")
        assert test in names_in(path), f"{named} is no test"
