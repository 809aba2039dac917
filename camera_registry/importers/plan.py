"""The plan: what an import would add, change, leave and refuse, held against the registry.

Rows come in batches, so that the registry is asked a few times and not once a row; what was
planned before (new devices, codes minted) is remembered, nothing else is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from .. import validation as check
from ..codes import division_of, greatest_serial
from ..domain import Area, Channel, Device, DeviceClass, Filing, new_id
from ..errors import ValidationFailed
from ..filing_rules import sent_back
from ..gb_code import next_code, stem
from ..jobs import ImportRow, Verdict
from ..secret import Secret
from ..store.contract import ReadTx
from ..vault import Vault
from .fields import fields
from .options import ImportOptions
from .payloads import channel_payload, device_payload, differences, finding_payload
from .plan_devices import Chosen, DevicePlan
from .reach import Reach
from .rows import MAX_FACTS, UNKNOWN_PREFIX, Finding, Severity
from .rules import CheckedRow
from .vendors import VendorRefused
from .vendors import urls as vendor_urls

HIDDEN: Final = "***"
_HIGH_ALTITUDE: Final = "6"  # of the table function_type


@dataclass(slots=True)
class _Planned:
    """A row's way through the plan."""

    row: CheckedRow
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


class Planner:
    """Plans the rows of one file. Made by `begin`."""

    def __init__(
        self,
        options: ImportOptions,
        vault: Vault,
        *,
        areas: Iterable[Area],
        devices: Iterable[tuple[Device, Secret | None]],
        columns: Mapping[str, str] | None = None,
        area_headings: Sequence[str] = (),
        site_dir: Path | None = None,
        reach: Reach | None = None,
    ) -> None:
        """`columns`: the file's headings by field key; `area_headings`: those by which its form
        finds the area. `reach`: None is the district."""
        # given
        self._columns = columns or {}
        self._area_headings = area_headings
        self._options = options
        self._reach = reach or Reach()
        self._site_dir = site_dir
        self._vault = vault
        # owned
        self._areas = {area.code: area for area in areas}
        self._area_codes = {area.id: area.code for area in self._areas.values()}
        self._devices = DevicePlan(devices)
        self._serials: dict[str, int] = {}  # a code's first 14 digits -> greatest serial
        self._named: set[str] = set()  # codes that the file itself gives, so far
        # What rows that are not refused take, each by the row's number.
        self._codes: dict[str, int] = {}
        self._addresses: dict[str, int] = {}
        self._channels: dict[str, int] = {}

    @classmethod
    async def begin(
        cls,
        options: ImportOptions,
        vault: Vault,
        tx: ReadTx,
        *,
        columns: Mapping[str, str] | None = None,
        area_headings: Sequence[str] = (),
        site_dir: Path | None = None,
    ) -> Planner:
        """Reads what the plan needs of the registry at once: areas, devices, passwords."""
        sealed = await tx.devices.sealed_passwords()
        devices = [
            (each, vault.open(each.id, sealed[each.id]) if each.id in sealed else None)
            for each in await tx.devices.all()
        ]
        return cls(
            options,
            vault,
            areas=await tx.areas.all(),
            devices=devices,
            columns=columns,
            area_headings=area_headings,
            site_dir=site_dir,
            reach=await Reach.read(
                options.into,
                [device for device, _ in devices],
                tx,
                without=options.without,
                keeps_denials=options.keeps_denials,
            ),
        )

    async def plan(self, rows: Sequence[CheckedRow], tx: ReadTx) -> list[ImportRow]:
        """The verdict on each of these rows, in order."""
        codes = {row.values["code"] for row in rows if "code" in row.values}
        self._named |= codes
        by_code = {channel.code: channel for channel in await tx.channels.by_codes(codes)}
        planned = [self._begun(row, by_code.get(row.values.get("code", ""))) for row in rows]
        urls = {each.row.number: self._urls(each) for each in planned}
        by_url = {
            channel.main_url: channel
            for channel in await tx.channels.by_main_urls(
                {main.url for main, _ in urls.values() if main is not None}
            )
        }
        by_mac: dict[str, list[Channel]] = {}
        for channel in await tx.channels.by_macs(
            {row.values["mac"] for row in rows if "mac" in row.values}
        ):
            by_mac.setdefault(channel.facts["mac"], []).append(channel)
        for each in planned:
            main, sub = urls[each.row.number]
            if "code" not in each.row.values and main is not None:
                same = by_url.get(main.url)
                if same is not None and self._reach.has(same):
                    each.means(same)
            await self._compose(each, main, sub, by_url, tx)
            self._compare_macs(each, by_mac)
        return [self._verdict(each) for each in planned]

    # --- one row ----------------------------------------------------------------------------------

    def _begun(self, row: CheckedRow, before: Channel | None) -> _Planned:
        """A row and the camera that it means, unless that one is beyond: nothing is told of it."""
        each = _Planned(row, findings=list(row.findings))
        if before is not None and self._reach.has(before):
            each.means(before)
        elif before is not None:
            self._say(
                each,
                "code",
                "code_beyond",
                "The code belongs to a camera that you do not manage; correct it, or ask whoever "
                "manages the district.",
            )
        return each

    def _urls(self, each: _Planned) -> tuple[check.RtspUrl | None, check.RtspUrl | None]:
        """The row's main and sub URL: its own, or of a new camera those of the vendor's pattern."""
        values = each.row.values
        main, sub = values.get("main_url"), values.get("sub_url")
        vendor = self._options.vendor or values.get("manufacturer")
        host = values.get("ipv4")
        if main is None and each.before is None and vendor is not None and host is not None:
            number = values.get("channel_number", "1")
            channel = int(number) if number.isdecimal() else 1
            try:
                made = vendor_urls(vendor, host, channel=channel, site_dir=self._site_dir)
            except (VendorRefused, ValidationFailed) as refused:
                self._say(each, "manufacturer", refused.code, str(refused), warning=True)
            else:
                main, sub = made.main, sub or made.sub
        return (
            check.rtsp_url("main_url", main) if main else None,
            check.rtsp_url("sub_url", sub) if sub else None,
        )

    def _would_have_url(self, each: _Planned) -> bool:
        """Whether a vendor's address waits but for a cell that is wrong: that was said."""
        values, vendor = each.row.values, self._options.vendor
        return each.failed("manufacturer", "ipv4", "channel_number") and all(
            key in values or each.failed(key)
            for key in (("ipv4",) if vendor else ("manufacturer", "ipv4"))
        )

    async def _compose(
        self,
        each: _Planned,
        main: check.RtspUrl | None,
        sub: check.RtspUrl | None,
        by_url: Mapping[str, Channel],
        tx: ReadTx,
    ) -> None:
        """The channel as it would be, and its device: chosen last, so that nothing is remembered
        of a row that is refused."""
        values, before = each.row.values, each.before
        area = self._area_of(each)
        code = values.get("code") or (before.code if before else None)
        if before is not None:
            main, sub = _kept_urls(before, main, sub)
        if main is None and not each.failed("main_url") and not self._would_have_url(each):
            self._say(
                each,
                "main_url",
                "url_missing",
                "A new camera needs the URL of its main stream: give it in a column, or name the "
                "vendor (--vendor) beside its IPv4 address.",
            )
        if code is None and not each.refused and area is not None:
            code = await self._mint(each, area, tx)
        facts = self._facts(each, self._cleared(each))
        if len(facts) > max(MAX_FACTS, len(before.facts) if before else 0):
            self._say(
                each,
                "",
                "too_many_facts",
                f"The camera would have {len(facts)} facts, of which {MAX_FACTS} are kept; take "
                "columns that no form knows out of the file.",
            )
        if before is not None and main is not None:
            self._steered(each, before, main, sub, facts)
        if before is not None and area is not None:
            self._keeps_denials(each, before, area, facts)
        if main is not None and code is not None:
            self._claim(each, code, main.url, by_url)
        if each.refused or main is None or area is None or code is None:
            return
        device = self._device(each, main, sub)
        if device is None:
            return
        each.after = Channel(
            id=before.id if before else new_id("ch"),
            device_id=device.id,
            area_id=area.id,
            code=code,
            name=values.get("name") or (before.name if before else code),
            device_class=self._device_class(each),
            main_url=main.url,
            sub_url=sub.url if sub else None,
            lon=_number(values.get("lon"), before.lon if before else None),
            lat=_number(values.get("lat"), before.lat if before else None),
            enabled=values["enabled"] == "true"
            if "enabled" in values
            else (before.enabled if before else True),
            facts=facts,
            filing=before.filing if before else Filing(self._options.filing),
            filing_note=before.filing_note if before else None,
            sensitive=before is not None and before.sensitive,
        )
        if before is not None and self._options.filing != Filing.FILED:
            each.after = sent_back(before, each.after)

    def _area_of(self, each: _Planned) -> Area | None:
        code = each.row.values.get("area")
        if each.before is not None:
            here = self._area_codes.get(each.before.area_id)
            # The forms hold a division, often the district's: it moves no channel out of its grid.
            if code is None or here is None or here.startswith(code):
                code = here
        elif code is None or (self._options.area or "").startswith(code):
            code = self._options.area or code
        area = None if code is None else self._areas.get(code)
        if area is None and not each.failed("area"):
            column = " or ".join(self._area_headings)
            self._say(
                each,
                "area",
                "area_missing",
                "It is not said in which area the camera lies: give the area's code in a column"
                f"{column and f' headed {column}'}, or for all new ones with --area.",
            )
        elif area is not None and not self._reach.has_area(area):
            self._say(
                each,
                "area",
                "area_beyond",
                f"You do not manage the area {area.name} ({area.code}); choose one of yours, or "
                "ask whoever manages the district.",
            )
        return area

    async def _mint(self, each: _Planned, area: Area, tx: ReadTx) -> str | None:
        """The next free code, when codes are to be made."""
        middle = self._options.mint
        if middle is None:
            self._say(
                each,
                "code",
                "code_missing",
                "The camera has no 20-digit code: give it one, or have codes made (--mint).",
            )
            return None
        before = stem(division_of(area.code), middle[:2], middle[2:5], middle[5])
        if before not in self._serials:
            self._serials[before] = await greatest_serial(tx, before)
        while True:
            try:
                code = next_code(before, self._serials[before])
            except ValidationFailed as full:
                self._say(each, "code", full.code, full.sentence)
                return None
            self._serials[before] = int(code[14:])
            if code not in self._named:
                return code

    def _device_class(self, each: _Planned) -> DeviceClass:
        values = each.row.values
        if "device_class" in values:
            return DeviceClass(values["device_class"])
        if each.before is not None:
            return each.before.device_class
        if _HIGH_ALTITUDE in values.get("function_type", "").split("/"):
            return DeviceClass.HIGH_ALTITUDE
        return DeviceClass(self._options.device_class)

    def _cleared(self, each: _Planned) -> frozenset[str]:
        """Fields whose empty cell takes the value away."""
        if not self._options.clear_empty:
            return frozenset()
        return frozenset(self._columns) - frozenset(each.row.values)

    def _facts(self, each: _Planned, cleared: frozenset[str]) -> Mapping[str, str]:
        before = dict(each.before.facts) if each.before else {}
        facts = {key: value for key, value in before.items() if key not in cleared}
        known = fields()
        facts |= {key: value for key, value in each.row.values.items() if known[key].of == "facts"}
        facts |= {f"{UNKNOWN_PREFIX}{key}": text for key, text in each.row.unknown.items()}
        return facts

    def _device(
        self, each: _Planned, main: check.RtspUrl, sub: check.RtspUrl | None
    ) -> Device | None:
        row, before, reach = each.row, each.before, self._reach
        username = row.values.get("username") or main.username
        password = row.secrets.get("password")
        try:
            reach.require_device(before, main, sub, username, with_password=password is not None)
            if reach.is_limited and not reach.keeps_streams(before, main, sub):
                before = None  # the password that its device has does not go to another host
            each.chosen = self._devices.choose(row.number, before, main, username, password)
        except ValidationFailed as refused:
            self._say(each, refused.field, refused.code, refused.sentence)
            return None
        return each.chosen.device

    def _steered(
        self,
        each: _Planned,
        before: Channel,
        main: check.RtspUrl,
        sub: check.RtspUrl | None,
        facts: Mapping[str, str],
    ) -> None:
        try:
            self._reach.require_steering(before, main, sub, facts)
        except ValidationFailed as refused:
            self._say(each, refused.field, refused.code, refused.sentence)

    def _keeps_denials(
        self, each: _Planned, before: Channel, area: Area, facts: Mapping[str, str]
    ) -> None:
        values = each.row.values
        after = replace(
            before,
            area_id=area.id,
            code=values.get("code") or before.code,
            name=values.get("name") or before.name,
            device_class=self._device_class(each),
            facts=facts,
        )
        try:
            self._reach.require_denials_kept(before, after)
        except ValidationFailed as refused:
            self._say(each, refused.field, refused.code, refused.sentence)

    # --- against the others -----------------------------------------------------------------------

    def _claim(self, each: _Planned, code: str, url: str, by_url: Mapping[str, Channel]) -> None:
        """Refuses the row when another row, or a registered camera, has its code, its address or
        is the same camera; else all of that is this row's."""
        number, before = each.row.number, each.before
        other = by_url.get(url)
        same_camera = None if before is None else self._channels.get(before.id)
        if other is not None and (before is None or other.id != before.id):
            said = f"{self._named_camera(other)} is registered with the same address."
            self._say(each, "main_url", "duplicate_address", said)
        elif same_camera is not None:
            said = f"Row {same_camera} is the same camera; keep one of them."
            self._say(each, "code", "duplicate_code", said)
        elif code in self._codes:
            said = f"Row {self._codes[code]} has this code already; give this one its own."
            self._say(each, "code", "duplicate_code", said)
        elif url in self._addresses:
            said = f"Row {self._addresses[url]} has the same address; correct one of them."
            self._say(each, "main_url", "duplicate_address", said)
        if each.refused:
            return
        self._codes[code] = self._addresses[url] = number
        if before is not None:
            self._channels[before.id] = number

    def _compare_macs(self, each: _Planned, by_mac: Mapping[str, list[Channel]]) -> None:
        after = each.after
        if after is None:
            return
        for twin in by_mac.get(after.facts.get("mac", ""), ()):
            if twin.id != after.id and twin.device_id != after.device_id:
                self._say(
                    each,
                    "mac",
                    "duplicate_mac",
                    f"{self._named_camera(twin)} is registered with the same MAC address.",
                    warning=True,
                )
                break

    def _named_camera(self, channel: Channel) -> str:
        if not self._reach.has(channel):
            return "A camera that you do not manage"
        return f"The camera {channel.name} ({channel.code})"

    def _say(
        self, each: _Planned, key: str, code: str, sentence: str, *, warning: bool = False
    ) -> None:
        column = self._columns.get(key, "")
        severity: Severity = "warning" if warning else "error"
        each.findings.append(Finding(each.row.number, column, code, sentence, severity, key))

    def _verdict(self, each: _Planned) -> ImportRow:
        findings = [finding_payload(finding) for finding in each.findings]
        if each.refused or each.after is None:
            payload: dict[str, Any] = {
                "code": each.row.values.get("code"),
                "name": each.row.values.get("name"),
                "findings": findings,
            }
            return ImportRow(each.row.number, Verdict.REFUSED, payload)
        changes = differences(each.before, each.after, self._area_codes)
        written = each.chosen if each.chosen is not None and each.chosen.written else None
        if written is not None and written.before is not None:
            old, new = written.before.username or "", written.device.username or ""
            if old != new:
                changes.append(["username", old, new])
            if written.password is not None:
                changes.append(["password", HIDDEN, HIDDEN])
        if each.before is None:
            verdict = Verdict.ADD
        else:
            verdict = Verdict.CHANGE if changes else Verdict.SAME
        payload = {
            "code": each.after.code,
            "name": each.after.name,
            "findings": findings,
            "changes": changes,
            "channel_id": each.after.id,
            "minted": "code" not in each.row.values and each.before is None,
        }
        if verdict is not Verdict.SAME:
            payload["after"] = channel_payload(each.after)
        sealed = None
        if written is not None:
            payload["device"] = device_payload(written.device)
            payload["device_made"] = written.before is None
            if written.password is not None:
                sealed = self._vault.seal(written.device.id, written.password)
        return ImportRow(each.row.number, verdict, payload, sealed)


def _number(text: str | None, otherwise: float | None) -> float | None:
    return otherwise if text is None else float(text)


def _kept_urls(
    before: Channel, main: check.RtspUrl | None, sub: check.RtspUrl | None
) -> tuple[check.RtspUrl, check.RtspUrl | None]:
    """What a row does not say stays; but no sub stream of another box than the main one."""
    main = main or check.rtsp_url("main_url", before.main_url)
    if sub is None and before.sub_url:
        kept = check.rtsp_url("sub_url", before.sub_url)
        sub = kept if (kept.host, kept.port) == (main.host, main.port) else None
    return main, sub
