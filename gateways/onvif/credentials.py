"""Which password to try on a device, and when to stop. No I/O.

Cameras lock an account after three to seven wrong passwords, for minutes or until someone climbs a
mast. So each set is tried once per device, and only a few in all; what could not be reached, or was
not asked for a password, has cost nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from camera_registry.secret import Secret
from gateways.onvif.sign_on import Login

# The strictest lock known here comes after the fifth wrong password; a person may have spent one.
MAX_FAILED_TRIES = 3
# Devices remembered: a district's cameras several times over; the longest unused are forgotten.
MAX_DEVICES = 20_000

Device = tuple[str, int]


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


class TryLedger:
    """What was tried on which device (host, port). Shared over calls, so that none tries again.

    Holds names of credential sets, never passwords.
    """

    def __init__(self, max_failed: int = MAX_FAILED_TRIES) -> None:
        self.max_failed = max_failed
        self._records: OrderedDict[Device, _Record] = OrderedDict()

    def next_set(self, device: Device, sets: Sequence[CredentialSet]) -> CredentialSet | None:
        """The one that served before, else the first that was not refused; None: stop."""
        record = self._records.get(device)
        if record is None:
            return next(iter(sets), None)
        if self.spent(device):
            return None
        left = [one for one in sets if one.name not in record.failed]
        return next((one for one in left if one.name == record.served), next(iter(left), None))

    def failed(self, device: Device, name: str) -> None:
        """The device refused this set: one failed try."""
        record = self._record(device)
        record.failed.add(name)
        if record.served == name:
            record.served = None

    def served(self, device: Device, name: str) -> None:
        """The device let this set in: it comes first the next time."""
        self._record(device).served = name

    def locked(self, device: Device) -> None:
        """The device listens to nobody for a while: no more tries."""
        self._record(device).locked = True

    def has_failed(self, device: Device, name: str) -> bool:
        """Whether the device has refused this set."""
        record = self._records.get(device)
        return record is not None and name in record.failed

    def failures(self, device: Device) -> int:
        """Failed tries on this device."""
        record = self._records.get(device)
        return 0 if record is None else len(record.failed)

    def spent(self, device: Device) -> bool:
        """Whether no other password may be tried."""
        record = self._records.get(device)
        return record is not None and (record.locked or len(record.failed) >= self.max_failed)

    def forget(self, device: Device) -> None:
        """A person says that it may be tried again, for instance with a new password."""
        self._records.pop(device, None)

    def _record(self, device: Device) -> _Record:
        record = self._records.setdefault(device, _Record())
        self._records.move_to_end(device)
        if len(self._records) > MAX_DEVICES:
            self._records.popitem(last=False)
        return record
