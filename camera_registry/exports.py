"""Use cases about all cameras at once: export by template, and the rules run over the registry."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from .codes import CodeCases
from .domain import AreaKind, Channel, Scope
from .errors import Conflict
from .importers import templates
from .importers.addresses import Addresses, Spot
from .importers.context import Context, context
from .importers.day import SHANGHAI
from .importers.fields import fields
from .importers.payloads import values_of
from .importers.rows import UNKNOWN_PREFIX, CameraRow, Finding
from .importers.rules import validate
from .importers.said import Language
from .importers.writers import Kind, write_table

LINT_TEMPLATE: Final = "full"


@dataclass(frozen=True, slots=True)
class Linted:
    """A channel with what the rules have to say about it."""

    channel: Channel
    findings: tuple[Finding, ...]


class ExportCases(CodeCases):
    """The part of `Registry` about exports and lint."""

    async def export_channels(
        self,
        *,
        template: str,
        kind: Kind,
        language: Language = "zh",
        area_id: str | None = None,
        scopes: Sequence[Scope | None] = (),
        site_dir: Path | None = None,
    ) -> tuple[bytes, int]:
        """The channels that are in all of the scopes, in a form's columns, by code, and how many.
        A form of every field has the facts that no field holds too (`other.…`). Never a password.

        Raises `templates.TemplateInvalid`.
        """
        form = templates.find(template, site_dir)
        channels, areas, users = await self._channels(area_id, scopes)

        def make() -> bytes:
            out = io.BytesIO()
            columns = form
            if form.every_field:
                keys = {key for channel in channels for key in channel.facts}
                columns = form.with_others(sorted(k for k in keys if k.startswith(UNKNOWN_PREFIX)))
            rows = (values_of(c, areas[c.area_id], users.get(c.device_id)) for c in channels)
            write_table(kind, columns, rows, out, language=language)
            return out.getvalue()

        return await asyncio.to_thread(make), len(channels)

    async def lint_channels(
        self, *, area_id: str | None = None, scope: Scope | None = None
    ) -> tuple[list[Linted], int]:
        """Those channels that a rule of the import has something to say about, by code, and how
        many were looked at. Raises Conflict("no_district")."""
        channels, areas, users = await self._channels(area_id, [scope])
        against = await self._context()
        form = templates.shipped(LINT_TEMPLATE)
        headings = {key: field.zh for key, field in fields().items()}

        def named(number: int) -> str:
            return f"The camera {channels[number].name} ({channels[number].code})"

        def look() -> Iterator[Linted]:
            where = Addresses()
            rows = (
                _as_row(number, values_of(c, areas[c.area_id], users.get(c.device_id)), headings)
                for number, c in enumerate(channels)
            )
            for checked in validate(rows, against, form, named=named):
                channel, findings = channels[checked.number], checked.findings
                shared = where.of(Spot.of(channel, named(checked.number)))
                if shared and all(each.code != "duplicate_address" for each in findings):
                    key, code, sentence, severity = shared
                    findings.append(
                        Finding(checked.number, headings[key], code, sentence, severity, key)
                    )
                if findings:
                    yield Linted(channel, tuple(findings))

        return await asyncio.to_thread(lambda: list(look())), len(channels)

    async def _context(self) -> Context:
        for area in self.tree:
            if area.kind is AreaKind.DISTRICT:
                district = await self.area(area.id)
                return context(district, self.tree, datetime.now(SHANGHAI).date())
        raise Conflict("area", "no_district", "The registry has no district yet; add one first.")

    async def _channels(
        self, area_id: str | None, scopes: Sequence[Scope | None]
    ) -> tuple[list[Channel], dict[str, str], dict[str, str | None]]:
        """Channels by code; area codes by id; user names by device."""
        tree = await self.area_tree()
        async with self._store.read() as tx:
            channels = await tx.channels.all()
            users = {device.id: device.username for device in await tx.devices.all()}
        within = None if area_id is None else tree.descendants(area_id)
        if within is not None:
            channels = [channel for channel in channels if channel.area_id in within]
        for scope in scopes:
            if scope is None:
                continue
            areas, unfiled = scope.areas(tree), scope.unfiled
            channels = [each for each in channels if scope.has(each, areas)]
            if unfiled is not None:
                areas = unfiled.areas(tree)
                channels = [each for each in channels if each.is_filed or unfiled.has(each, areas)]
        return channels, {area.id: area.code for area in tree}, users


def _as_row(number: int, values: dict[str, str], headings: dict[str, str]) -> CameraRow:
    """A channel as a file's row; what no form knows stands apart, as it came."""
    unknown = {key: values.pop(key) for key in list(values) if key.startswith(UNKNOWN_PREFIX)}
    named = {key.removeprefix(UNKNOWN_PREFIX): text for key, text in unknown.items()}
    return CameraRow(number, values, headings, named)
