"""One row's way through the plan, and the verdict on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..domain import Channel
from ..jobs import ImportRow, Verdict
from ..vault import Vault
from .payloads import HIDDEN, channel_payload, device_payload, differences, finding_payload
from .plan_devices import Chosen
from .rows import Finding, Severity
from .rules import CheckedRow


@dataclass(slots=True)
class Planned:
    """A row and what the plan makes of it."""

    row: CheckedRow
    columns: Mapping[str, str]  # the file's headings by field key
    before: Channel | None = None
    after: Channel | None = None
    chosen: Chosen | None = None
    findings: list[Finding] = field(default_factory=list)

    def means(self, channel: Channel) -> None:
        """The row is about this camera, whose position an empty cell keeps."""
        self.before = channel
        if channel.lon is not None:
            self.findings = [each for each in self.findings if each.code != "position_missing"]

    @property
    def refused(self) -> bool:
        return any(finding.severity == "error" for finding in self.findings)

    def failed(self, *keys: str) -> bool:
        """Whether an error was found about one of these fields."""
        return any(each.severity == "error" and each.field in keys for each in self.findings)

    def told(self, *codes: str) -> bool:
        """Whether one of these was found."""
        return any(each.code in codes for each in self.findings)

    def say(self, key: str, code: str, sentence: str, *, warning: bool = False) -> None:
        column = self.columns.get(key, "")
        severity: Severity = "warning" if warning else "error"
        self.findings.append(Finding(self.row.number, column, code, sentence, severity, key))

    def verdict(self, area_codes: Mapping[str, str], vault: Vault) -> ImportRow:
        """What is kept of the row; a password that it brings is sealed for its device.

        `area_codes` by the areas' ids.
        """
        findings = [finding_payload(finding) for finding in self.findings]
        if self.refused or self.after is None:
            payload: dict[str, Any] = {
                "code": self.row.values.get("code"),
                "name": self.row.values.get("name"),
                "findings": findings,
            }
            return ImportRow(self.row.number, Verdict.REFUSED, payload)
        changes = differences(self.before, self.after, area_codes)
        written = self.chosen if self.chosen is not None and self.chosen.written else None
        if written is not None and written.before is not None:
            old, new = written.before.username or "", written.device.username or ""
            if old != new:
                changes.append(["username", old, new])
            if written.password is not None:
                changes.append(["password", HIDDEN, HIDDEN])
        if self.before is None:
            verdict = Verdict.ADD
        else:
            verdict = Verdict.CHANGE if changes else Verdict.SAME
        payload = {
            "code": self.after.code,
            "name": self.after.name,
            "findings": findings,
            "changes": changes,
            "channel_id": self.after.id,
            "minted": "code" not in self.row.values and self.before is None,
        }
        if verdict is not Verdict.SAME:
            payload["after"] = channel_payload(self.after)
        sealed = None
        if written is not None:
            payload["device"] = device_payload(written.device)
            payload["device_made"] = written.before is None
            if written.password is not None:
                sealed = vault.seal(written.device.id, written.password)
        return ImportRow(self.row.number, verdict, payload, sealed)
