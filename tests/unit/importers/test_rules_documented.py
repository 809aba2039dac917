"""docs/import-rules.md lists the codes that the source can raise, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from support import finding_codes

ROOT = Path(__file__).resolve().parents[3]
# Of a vendor's form, which no import asks for.
NEVER_SAID = {"unknown_form"}


def documented() -> list[str]:
    text = (ROOT / "docs" / "import-rules.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| ((?:`[a-z0-9_]+`(?:, )?)+) \| (?:error|warning|file) \|", text, flags=re.MULTILINE
    )
    return [code for row in rows for code in re.findall(r"[a-z0-9_]+", row)]


def test_the_source_and_the_table_have_the_same_codes() -> None:
    codes = finding_codes.of_rules() - NEVER_SAID
    assert {"required", "duplicate_mac", "url_not_rtsp", "column_twice"} <= codes
    listed = documented()
    assert sorted(set(listed)) == sorted(listed), "a code is listed twice"
    assert codes - set(listed) == set(), "add these codes to docs/import-rules.md"
    assert set(listed) - codes == set(), "nothing raises these codes of docs/import-rules.md"
