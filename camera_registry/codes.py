"""Use cases about 20-digit codes: which one is free, and no two callers get the same."""

from __future__ import annotations

from typing import Final

from . import validation as check
from .domain import Actor
from .gb_code import next_code, stem
from .store.contract import ReadTx, WriteTx
from .versions import VersionCases

MAX_MINTED: Final = 1_000  # in one call: the biggest recorder has 256 channels


class CodeCases(VersionCases):
    """The part of `Registry` about codes."""

    async def mint_codes(
        self, *, division: str, industry: str, type_: str, network: str, count: int, by: Actor
    ) -> list[str]:
        """The next free codes, kept for the caller: nobody else is given them, used or not.

        Raises ValidationFailed.
        """
        count = check.integer("count", count, 1, MAX_MINTED)
        before = stem(division, industry, type_, network)
        async with self._units.begin(by) as unit:
            serial = await greatest_serial(unit.tx, before)
            codes = []
            for _ in range(count):
                codes.append(next_code(before, serial))
                serial = int(codes[-1][14:])
            await unit.tx.set_meta(_key(before), str(serial))
            await unit.record("codes_mint", first=codes[0], count=count)
        return codes


async def greatest_serial(tx: ReadTx | WriteTx, before: str) -> int:
    """The greatest serial behind these 14 digits that is in use or kept for somebody."""
    code = await tx.channels.greatest_code(before)
    in_use = int(code[14:]) if code is not None else 0
    return max(in_use, await kept_serial(tx, before))


async def kept_serial(tx: ReadTx | WriteTx, before: str) -> int:
    """The greatest serial that was given out behind these 14 digits; 0 when none was."""
    return int(await tx.meta(_key(before)) or 0)


def division_of(area_code: str) -> str:
    """The six digits that an area's code begins with."""
    return area_code[:6]


def _key(before: str) -> str:
    return f"serial:{before}"
