"""Use cases about many devices' passwords at once: looked at first, then all in one transaction.

The registry's side alone: it is told what the devices' passwords are by now, and tells no device.
**There is no undo**: a password is sealed, and the one before it is not kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from .area_tree import AreaTree
from .devices import MAX_CREDENTIAL_CHARS, DeviceCases
from .domain import Actor, Device
from .errors import Conflict, NotFound, ValidationFailed
from .secret import Secret
from .store.contract import ReadTx, WriteTx

# A district has 3,000 channels on about as many devices; more is several districts in one file.
MAX_ROTATED: Final = 20_000
AUDIT_IDS: Final = 500  # of one audit row, which stays about 15 kB


@dataclass(frozen=True, slots=True)
class NewCredentials:
    """What one device has now. A username of None keeps the one that is known."""

    row: int  # where it stands in what was given, for the findings
    host: str
    port: int
    password: Secret
    username: str | None = None


@dataclass(frozen=True, slots=True)
class AreaCredentials:
    """All devices with a channel in this area, or beneath it, have this password now."""

    area_id: str
    password: Secret
    username: str | None = None


@dataclass(frozen=True, slots=True)
class Rotated:
    """One device, and what its username becomes (None: it has none)."""

    row: int | None
    device: Device
    username: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    row: int | None
    host: str
    port: int
    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class RotationReport:
    """`channels_elsewhere`: channels of these devices that lie outside the chosen area."""

    applied: bool
    rotated: tuple[Rotated, ...]
    refused: tuple[Refused, ...]
    channels_elsewhere: int = 0


@dataclass(frozen=True, slots=True)
class _Plan:
    rotated: list[tuple[Rotated, Secret]]
    refused: list[Refused]
    channels_elsewhere: int = 0

    def report(self, *, applied: bool) -> RotationReport:
        return RotationReport(
            applied,
            tuple(each for each, _ in self.rotated),
            tuple(self.refused),
            self.channels_elsewhere,
        )


class RotationCases(DeviceCases):
    """The part of `Registry` about many devices' passwords."""

    async def preview_rotation(
        self, order: Sequence[NewCredentials] | AreaCredentials
    ) -> RotationReport:
        """What `rotate_passwords` would do; changes nothing. Raises as that one, but for refused
        rows, which are in the report."""
        async with self._store.read() as tx:
            return (await _plan(tx, order)).report(applied=False)

    async def rotate_passwords(
        self, order: Sequence[NewCredentials] | AreaCredentials, by: Actor
    ) -> RotationReport:
        """Seals the new passwords, all or none.

        Raises ValidationFailed (`too_many_devices`, `credentials_too_long`, `password_empty`),
        NotFound("area"), Conflict("rows_refused") when one row is, with nothing done.
        """
        async with self._units.begin(by) as unit:
            plan = await _plan(unit.tx, order)
            if plan.refused:
                first = plan.refused[0]
                at = f"{first.host}:{first.port}"
                raise Conflict(
                    "devices",
                    "rows_refused",
                    f"{len(plan.refused)} devices can't be changed, so none was; the first is "
                    f"{at}. {first.sentence} A dry run lists them all.",
                )
            if plan.rotated:
                await unit.tx.bulk_update(
                    devices=[
                        (
                            replace(each.device, username=each.username),
                            self._vault.seal(each.device.id, password),
                        )
                        for each, password in plan.rotated
                    ]
                )
            ids = [each.device.id for each, _ in plan.rotated]
            for start in range(0, len(ids), AUDIT_IDS):
                await unit.record(
                    "device_passwords_rotate", devices=ids[start : start + AUDIT_IDS], of=len(ids)
                )
        return plan.report(applied=True)


async def _plan(tx: ReadTx | WriteTx, order: Sequence[NewCredentials] | AreaCredentials) -> _Plan:
    if isinstance(order, AreaCredentials):
        return await _plan_of_area(tx, order)
    if not 0 < len(order) <= MAX_ROTATED:
        raise ValidationFailed(
            "devices", "too_many_devices", f"Give 1 to {MAX_ROTATED:,} devices at once."
        )
    at: dict[tuple[str, int], list[Device]] = {}
    for device in await tx.devices.all():
        at.setdefault((device.host.lower(), device.port), []).append(device)
    plan = _Plan([], [])
    seen: Counter[str] = Counter()
    for row in order:
        _check(row.username, row.password)
        found = at.get((row.host.strip().lower(), row.port), [])
        # Two accounts at one address are two devices: then the username says which.
        if len(found) > 1:
            found = [each for each in found if each.username == row.username]
        refused = _refusal(found, row, seen)
        if refused is not None:
            plan.refused.append(Refused(row.row, row.host, row.port, *refused))
            continue
        device = found[0]
        seen[device.id] += 1
        plan.rotated.append(
            (Rotated(row.row, device, row.username or device.username), row.password)
        )
    return plan


def _refusal(
    found: Sequence[Device], row: NewCredentials, seen: Counter[str]
) -> tuple[str, str] | None:
    if not found:
        return "unknown_device", "No device is registered at this address with this username."
    if len(found) > 1:
        return "several_devices", "Several devices are there; change them one by one."
    if seen[found[0].id]:
        return "given_twice", "The same device stands in another row; leave one out."
    return _without_username(row.username or found[0].username)


def _without_username(username: str | None) -> tuple[str, str] | None:
    if username is None:
        return "password_without_username", "The device has no username; give one with it."
    return None


async def _plan_of_area(tx: ReadTx | WriteTx, order: AreaCredentials) -> _Plan:
    _check(order.username, order.password)
    within = AreaTree(await tx.areas.all()).descendants(order.area_id)
    if not within:
        raise NotFound("area", order.area_id)
    channels = await tx.channels.all()
    chosen = {each.device_id for each in channels if each.area_id in within}
    devices = [each for each in await tx.devices.all() if each.id in chosen]
    elsewhere = sum(each.device_id in chosen and each.area_id not in within for each in channels)
    plan = _Plan([], [], elsewhere)
    for device in devices:
        refused = _without_username(order.username or device.username)
        if refused is not None:
            plan.refused.append(Refused(None, device.host, device.port, *refused))
        else:
            username = order.username or device.username
            plan.rotated.append((Rotated(None, device, username), order.password))
    return plan


def _check(username: str | None, password: Secret) -> None:
    if not password:
        raise ValidationFailed(
            "password", "password_empty", "Give the password; an empty one is set device by device."
        )
    if max(len(username or ""), len(password.reveal())) > MAX_CREDENTIAL_CHARS:
        raise ValidationFailed(
            "password",
            "credentials_too_long",
            f"Usernames and passwords have at most {MAX_CREDENTIAL_CHARS} characters.",
        )
