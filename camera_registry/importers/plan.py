"""The plan: what an import would add, change, leave and refuse, held against the registry.

Rows come in batches, so that the registry is asked a few times and not once a row; what was
planned before (new devices, codes minted) is remembered, nothing else is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from .. import validation as check
from ..codes import division_of, greatest_serial
from ..domain import Area, Channel, Device, DeviceClass, Filing, new_id
from ..errors import ValidationFailed
from ..filing_rules import sent_back
from ..gb_code import next_code, stem
from ..jobs import ImportRow
from ..secret import Secret
from ..store.contract import ReadTx
from ..vault import Vault
from .fields import fields
from .options import ImportOptions
from .plan_claims import Claims
from .plan_devices import DevicePlan
from .plan_row import Planned
from .reach import Reach
from .rows import MAX_FACTS, UNKNOWN_PREFIX
from .rules import CheckedRow
from .vendors import VendorRefused
from .vendors import urls as vendor_urls

_HIGH_ALTITUDE: Final = "6"  # of the table function_type


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
        self._claims = Claims(self._reach)

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
            self._claims.compare_macs(each, by_mac)
        mains = {number: main for number, (main, _) in urls.items()}
        await self._claims.compare_addresses(planned, mains, tx)
        return [each.verdict(self._area_codes, self._vault) for each in planned]

    # --- one row ----------------------------------------------------------------------------------

    def _begun(self, row: CheckedRow, before: Channel | None) -> Planned:
        """A row and the camera that it means, unless that one is beyond: nothing is told of it."""
        each = Planned(row, self._columns, findings=list(row.findings))
        if before is not None and self._reach.has(before):
            each.means(before)
        elif before is not None:
            each.say(
                "code",
                "code_beyond",
                "The code belongs to a camera that you do not manage; correct it, or ask whoever "
                "manages the district.",
            )
        return each

    def _urls(self, each: Planned) -> tuple[check.RtspUrl | None, check.RtspUrl | None]:
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
                each.say("manufacturer", refused.code, str(refused), warning=True)
            else:
                main, sub = made.main, sub or made.sub
        return (
            check.rtsp_url("main_url", main) if main else None,
            check.rtsp_url("sub_url", sub) if sub else None,
        )

    def _would_have_url(self, each: Planned) -> bool:
        """Whether a vendor's address waits but for a cell that is wrong: that was said."""
        values, vendor = each.row.values, self._options.vendor
        return each.failed("manufacturer", "ipv4", "channel_number") and all(
            key in values or each.failed(key)
            for key in (("ipv4",) if vendor else ("manufacturer", "ipv4"))
        )

    async def _compose(
        self,
        each: Planned,
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
        # A wrong code may be that of a camera that has its URL, and its area.
        if main is None and not each.failed("main_url", "code") and not self._would_have_url(each):
            each.say(
                "main_url",
                "url_missing",
                "A new camera needs the URL of its main stream: give it in a column, or name the "
                "vendor (--vendor) beside its IPv4 address.",
            )
        if code is None and not each.refused and area is not None:
            code = await self._mint(each, area, tx)
        facts = self._facts(each, self._cleared(each))
        if len(facts) > max(MAX_FACTS, len(before.facts) if before else 0):
            each.say(
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
            self._claims.claim(each, code, main.url, by_url)
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

    def _area_of(self, each: Planned) -> Area | None:
        code = each.row.values.get("area")
        if each.before is not None:
            here = self._area_codes.get(each.before.area_id)
            # The forms hold a division, often the district's: it moves no channel out of its grid.
            if code is None or here is None or here.startswith(code):
                code = here
        elif code is None or (self._options.area or "").startswith(code):
            code = self._options.area or code
        area = None if code is None else self._areas.get(code)
        if area is None and not each.failed("area", "code"):
            column = " or ".join(self._area_headings)
            each.say(
                "area",
                "area_missing",
                "It is not said in which area the camera lies: give the area's code in a column"
                f"{column and f' headed {column}'}, or for all new ones with --area.",
            )
        elif area is not None and not self._reach.has_area(area):
            each.say(
                "area",
                "area_beyond",
                f"You do not manage the area {area.name} ({area.code}); choose one of yours, or "
                "ask whoever manages the district.",
            )
        return area

    async def _mint(self, each: Planned, area: Area, tx: ReadTx) -> str | None:
        """The next free code, when codes are to be made."""
        middle = self._options.mint
        if middle is None:
            each.say(
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
                each.say("code", full.code, full.sentence)
                return None
            self._serials[before] = int(code[14:])
            if code not in self._named:
                return code

    def _device_class(self, each: Planned) -> DeviceClass:
        values = each.row.values
        if "device_class" in values:
            return DeviceClass(values["device_class"])
        if each.before is not None:
            return each.before.device_class
        if _HIGH_ALTITUDE in values.get("function_type", "").split("/"):
            return DeviceClass.HIGH_ALTITUDE
        return DeviceClass(self._options.device_class)

    def _cleared(self, each: Planned) -> frozenset[str]:
        """Fields whose empty cell takes the value away."""
        if not self._options.clear_empty:
            return frozenset()
        return frozenset(self._columns) - frozenset(each.row.values)

    def _facts(self, each: Planned, cleared: frozenset[str]) -> Mapping[str, str]:
        before = dict(each.before.facts) if each.before else {}
        facts = {key: value for key, value in before.items() if key not in cleared}
        known = fields()
        facts |= {
            key: value
            for key, value in each.row.values.items()
            if key not in known or known[key].of == "facts"
        }
        facts |= {
            f"{UNKNOWN_PREFIX}{heading.removeprefix(UNKNOWN_PREFIX)}": text
            for heading, text in each.row.unknown.items()
        }
        return facts

    def _device(
        self, each: Planned, main: check.RtspUrl, sub: check.RtspUrl | None
    ) -> Device | None:
        row, before, reach = each.row, each.before, self._reach
        username = row.values.get("username") or main.username
        password = row.secrets.get("password")
        try:
            reach.require_device(before, main, sub, username, with_password=password is not None)
            if reach.is_limited and not reach.keeps_streams(before, main, sub):
                before = None  # the password that its device has does not go to another host
            if row.hidden and password is None:
                username, password = self._unhidden(each, before, main, username)
            each.chosen = self._devices.choose(row.number, before, main, username, password)
        except ValidationFailed as refused:
            each.say(refused.field, refused.code, refused.sentence)
            return None
        return each.chosen.device

    def _unhidden(
        self,
        each: Planned,
        before: Channel | None,
        main: check.RtspUrl,
        username: str | None,
    ) -> tuple[str | None, Secret]:
        """The registered pair, for a row that has but the mark of a password. Raises
        ValidationFailed("password_hidden")."""
        known = self._devices.registered(before, main, username)
        if known is None or known.password is None:
            raise ValidationFailed(
                "password",
                "password_hidden",
                "There is a mark where the password was, and none is registered for this device: "
                "passwords are not handed out again. Fill it in; or empty the cell, and give it "
                "to the device afterwards.",
            )
        each.say(
            "password",
            "password_kept",
            "There is a mark where the password was: the device keeps the one that is registered. "
            "Fill it in if the file has another one.",
            warning=True,
        )
        return known.username, known.password

    def _steered(
        self,
        each: Planned,
        before: Channel,
        main: check.RtspUrl,
        sub: check.RtspUrl | None,
        facts: Mapping[str, str],
    ) -> None:
        try:
            self._reach.require_steering(before, main, sub, facts)
        except ValidationFailed as refused:
            each.say(refused.field, refused.code, refused.sentence)

    def _keeps_denials(
        self, each: Planned, before: Channel, area: Area, facts: Mapping[str, str]
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
            each.say(refused.field, refused.code, refused.sentence)


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
