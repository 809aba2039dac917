"""An import's plan carried out, inside one unit of work."""

from __future__ import annotations

from typing import Final

from .codes import kept_serial
from .denials import Denials
from .domain import Channel, Device
from .errors import Conflict
from .importers.payloads import channel_of, device_of
from .jobs import ImportJob, ImportRow, Verdict
from .store.contract import ReadTx, WriteTx
from .units import Unit

APPLY_ROWS: Final = 1_000  # of one statement


def registry_changed() -> Conflict:
    return Conflict(
        "state",
        "registry_changed",
        "The registry has changed since the check; check the import again and look at what it "
        "would do now.",
    )


async def require_whole(tx: ReadTx, job: ImportJob) -> None:
    """Raises Conflict("plan_incomplete") where the plan is not what the check counted."""
    kept = await tx.jobs.count_rows(job.id)
    if any(kept.get(verdict, 0) != job.counts.get(verdict.value, 0) for verdict in Verdict):
        planned = sum(job.counts.get(verdict.value, 0) for verdict in Verdict)
        raise Conflict(
            "rows",
            "plan_incomplete",
            f"Of the {planned} rows that were checked the plan holds {sum(kept.values())}; check "
            "the import again.",
        )


async def carry_out(unit: Unit, job: ImportJob, denials: Denials | None) -> None:
    """`denials`: what nothing is taken from under, by now. Raises Conflict("registry_changed")."""
    tx = unit.tx
    here = {device.id for device in await tx.devices.all()}
    after = 0
    while rows := await tx.jobs.rows(job.id, after=after, limit=APPLY_ROWS):
        after = rows[-1].number
        await _refuse_kept_codes(tx, rows)
        added = [_channel(row) for row in rows if row.verdict is Verdict.ADD]
        changed = [_channel(row) for row in rows if row.verdict is Verdict.CHANGE]
        devices = [_device(row) for row in rows if "device" in row.payload]
        await tx.bulk_add(
            devices=[each for each in devices if each[0].id not in here], channels=added
        )
        before = {
            each.id: each for each in await tx.channels.by_ids({channel.id for channel in changed})
        }
        if denials is not None and any(
            denials.leaves_one(before[each.id], each) for each in changed
        ):
            raise registry_changed()
        await tx.bulk_update(
            devices=[each for each in devices if each[0].id in here], channels=changed
        )
        here |= {device.id for device, _ in devices}
        await tx.versions.add(
            [*((None, each) for each in added), *((before[each.id], each) for each in changed)],
            act="import_apply",
            by=unit.by,
            job_id=job.id,
        )


async def _refuse_kept_codes(tx: WriteTx, rows: list[ImportRow]) -> None:
    """A code that the plan made may have been given to somebody else since."""
    minted = [row.payload["code"] for row in rows if row.payload.get("minted")]
    for before in {code[:14] for code in minted}:
        kept = await kept_serial(tx, before)
        if any(code[:14] == before and int(code[14:]) <= kept for code in minted):
            raise registry_changed()


def _channel(row: ImportRow) -> Channel:
    return channel_of(row.payload["after"])


def _device(row: ImportRow) -> tuple[Device, bytes | None]:
    device = device_of(row.payload["device"], has_password=row.sealed is not None)
    return device, row.sealed


async def devices_of(tx: ReadTx | WriteTx, job_id: str) -> tuple[frozenset[str], frozenset[str]]:
    """Ids of the devices that an import added, and of those that it gave other credentials."""
    made: set[str] = set()
    changed: set[str] = set()
    after = 0
    while rows := await tx.jobs.rows(job_id, after=after, limit=APPLY_ROWS):
        after = rows[-1].number
        for row in rows:
            if "device" in row.payload:
                (made if row.payload["device_made"] else changed).add(row.payload["device"]["id"])
    return frozenset(made), frozenset(changed)
