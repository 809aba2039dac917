"""How the command line tells the end of an import in the chosen language."""

from __future__ import annotations

from typing import Any

import pytest

from streamhub.cli.camera_import import _tell


@pytest.mark.parametrize(
    ("language", "refused", "kept", "ends"),
    [
        ("en", 0, False, "Nothing is changed."),
        ("en", 0, True, "To apply it: streamhub camera apply-import im_1"),
        ("zh", 0, False, "没有做任何改动。"),
        ("zh", 0, True, "应用：streamhub camera apply-import im_1"),
        ("zh", 1, True, "streamhub camera apply-import im_1 --without-refused"),
    ],
)
def test_the_end_is_told_in_the_language_of_the_findings(
    capsys: pytest.CaptureFixture[str], language: str, refused: int, kept: bool, ends: str
) -> None:
    counts = {"add": 12, "change": 0, "same": 0, "refused": refused, "warnings": 0}
    job: dict[str, Any] = {"id": "im_1", "state": "checked", "rows_done": 13, "counts": counts}
    _tell(job, [], str, language, kept=kept, report=None, max_added=None)
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("13 rows: 12 to add" if language == "en" else "共 13 行：新增 12")
    assert last.endswith(ends)
