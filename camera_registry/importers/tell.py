"""How the rules say what they find about one row."""

from __future__ import annotations

from .rows import CameraRow, Finding, Severity


class Teller:
    """Appends findings to a row's list, each with the heading that its field has in the file."""

    __slots__ = ("_findings", "_row")

    def __init__(self, row: CameraRow, findings: list[Finding]) -> None:
        self._row = row
        self._findings = findings

    def __call__(self, key: str, code: str, sentence: str, severity: Severity = "error") -> None:
        row = self._row
        self._findings.append(
            Finding(row.number, row.columns.get(key, ""), code, sentence, severity, key)
        )

    def of_heading(self, heading: str, code: str, sentence: str) -> None:
        """A warning about a column that is no field's."""
        self._findings.append(Finding(self._row.number, heading, code, sentence, "warning"))

    def asked(self, key: str) -> bool:
        """Whether the file has a column for the field."""
        return key in self._row.columns

    def told(self, key: str) -> bool:
        """Whether anything was found about the field."""
        return any(finding.field == key for finding in self._findings)

    def failed(self, key: str) -> bool:
        """Whether an error was found about the field."""
        return any(f.field == key and f.severity == "error" for f in self._findings)
