"""Which password to try on a device, and when to stop. No I/O.

Cameras lock an account after three to seven wrong passwords, for minutes or until someone climbs a
mast. So each set is tried once per device, and only a few in all; what could not be reached, or was
not asked for a password, has cost nothing.

A device is a host: one that answers on two ports has one lock. Several cameras behind one address
and as many ports share what they are tried with, then.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from camera_registry.secret import Secret
from gateways.onvif.sign_on import Login

# The strictest lock known here comes after the fifth wrong password; a person may have spent one.
MAX_FAILED_TRIES = 3
# Devices remembered: a district's cameras several times over; the longest unused are forgotten.
MAX_DEVICES = 20_000

MARK_BYTES = 16


@dataclass(frozen=True, slots=True)
class CredentialSet:
    """A user name and password that many devices may share. `name` is what people call it."""

    name: str
    username: str
    password: Secret

    @property
    def login(self) -> Login:
        return Login(self.username, self.password)


@dataclass(slots=True)
class _Record:
    failed: set[str] = field(default_factory=set)
    served: str | None = None
    locked: bool = False
    at: float = 0.0  # of the last failed try, seconds since 1970
    saved: bool = False  # as it is


class TryLedger:
    """What was tried on which host. Shared over calls, so that none tries again; `unsaved` and
    `restore` let it outlive the process.

    A set is known by a keyed hash of its user name and password, whatever it is called: a password
    that was corrected is another set. `key` keeps the hashes from being guessed; where they are
    kept it must be the same each time.
    """

    def __init__(
        self,
        max_failed: int = MAX_FAILED_TRIES,
        *,
        key: bytes | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.max_failed = max_failed
        self._key = os.urandom(32) if key is None else key
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def next_set(self, host: str, sets: Sequence[CredentialSet]) -> CredentialSet | None:
        """The one that served before, else the first that was not refused; None: stop."""
        record = self._records.get(host)
        if record is None:
            return next(iter(sets), None)
        if record.locked:
            return None
        left = [one for one in sets if self._mark(one) not in record.failed]
        served = next((one for one in left if self._mark(one) == record.served), None)
        if served is not None:
            return served  # however many others failed: it is known to be right
        return None if self.spent(host) else next(iter(left), None)

    def failed(self, host: str, one: CredentialSet) -> None:
        """The device refused this set: one failed try."""
        record, mark = self._record(host), self._mark(one)
        record.failed.add(mark)
        record.at, record.saved = self._clock(), False
        if record.served == mark:
            record.served = None

    def served(self, host: str, one: CredentialSet) -> None:
        """The device let this set in: it comes first the next time."""
        record, mark = self._record(host), self._mark(one)
        if record.served != mark:
            record.served, record.saved = mark, False

    def locked(self, host: str) -> None:
        """The device listens to nobody for a while: no more tries."""
        record = self._record(host)
        record.locked, record.saved = True, False

    def has_failed(self, host: str, one: CredentialSet) -> bool:
        """Whether the device has refused this set."""
        record = self._records.get(host)
        return record is not None and self._mark(one) in record.failed

    def failures(self, host: str) -> int:
        """Failed tries on this device."""
        record = self._records.get(host)
        return 0 if record is None else len(record.failed)

    def spent(self, host: str) -> bool:
        """Whether no other password may be tried."""
        record = self._records.get(host)
        return record is not None and (record.locked or len(record.failed) >= self.max_failed)

    def forget(self, host: str, before: float | None = None) -> bool:
        """A person says that it may be tried again. `before`: only if its last failed try was
        before this time, in seconds since 1970. Whether there was something to forget."""
        record = self._records.get(host)
        if record is None or (before is not None and record.at >= before):
            return False
        del self._records[host]
        return True

    def unsaved(self, host: str) -> dict[str, Any] | None:
        """What is known of it as JSON values, no secret among them; None: nothing, or nothing that
        `saved` was not told of."""
        record = self._records.get(host)
        if record is None or record.saved:
            return None
        return {
            "failed": sorted(record.failed),
            "served": record.served,
            "locked": record.locked,
            "at": record.at,
        }

    def unsaved_hosts(self) -> list[str]:
        """Those of which `unsaved` has something to tell."""
        return [host for host, record in self._records.items() if not record.saved]

    def saved(self, host: str) -> None:
        """What `unsaved` gave is kept now."""
        record = self._records.get(host)
        if record is not None:
            record.saved = True

    def restore(self, host: str, told: Mapping[str, Any]) -> None:
        """What `unsaved` gave."""
        record = self._record(host)
        record.saved = True
        record.failed, record.served = set(told["failed"]), told["served"]
        record.locked, record.at = told["locked"], told["at"]

    def _mark(self, one: CredentialSet) -> str:
        text = f"{one.username}\0{one.password.reveal()}".encode()
        return hashlib.blake2b(text, key=self._key, digest_size=MARK_BYTES).hexdigest()

    def _record(self, device: str) -> _Record:
        record = self._records.setdefault(device, _Record())
        self._records.move_to_end(device)
        if len(self._records) > MAX_DEVICES:
            self._records.popitem(last=False)
        return record
