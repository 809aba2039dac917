"""The devices of a plan: which one a channel hangs on, and which are new or get credentials."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from .. import validation as check
from ..devices import Credentials
from ..domain import Channel, Device, new_id
from ..errors import ValidationFailed
from ..secret import Secret


@dataclass(frozen=True, slots=True)
class Chosen:
    """The device of one row. `written` when it is new or changes: then with `password`."""

    device: Device
    written: bool = False
    password: Secret | None = None
    before: Device | None = None  # as it was, when it changes


class DevicePlan:
    """Remembers the registry's devices, and what the rows so far make of them."""

    def __init__(self, devices: Iterable[tuple[Device, Secret | None]]) -> None:
        self._at: dict[tuple[str, int], list[Device]] = {}
        self._by_id: dict[str, Device] = {}
        self._passwords: dict[str, Secret | None] = {}
        self._set_by: dict[str, int] = {}  # device -> the row that set its credentials
        for device, password in devices:
            self._remember(device, password)

    def choose(
        self,
        number: int,
        before: Channel | None,
        main: check.RtspUrl,
        username: str | None,
        password: Secret | None,
    ) -> Chosen:
        """The device of the channel in row `number`, as `DeviceCases._device_for` would choose it.

        Raises ValidationFailed("username", "credentials_conflict" or "password_missing"),
        ("password", "password_without_username").
        """
        here = self._by_id.get(before.device_id) if before is not None else None
        given = self._given(here, username, password)
        if here is not None and before is not None and main.url == before.main_url:
            return self._with_credentials(number, here, given)
        for device in self._at.get((main.host, main.port), ()):
            if given is None or self._has(device, given):
                return Chosen(device)
        device = Device(
            id=new_id("de"),
            name=f"{main.host}:{main.port}"[: check.MAX_NAME_CHARS],
            host=main.host,
            port=main.port,
            username=given.username if given else None,
            has_password=bool(given and given.password),
        )
        return self._write(number, Chosen(device, True, given.password if given else None))

    def registered(
        self, before: Channel | None, main: check.RtspUrl, username: str | None
    ) -> Credentials | None:
        """What a device has on which the channel hangs, or at that address, under this user name
        (None: any); None where no password is known."""
        there = self._at.get((main.host, main.port), [])
        if before is not None and main.url == before.main_url and before.device_id in self._by_id:
            there = [self._by_id[before.device_id]]
        for device in there:
            password = self._passwords.get(device.id)
            if password and device.username and username in (None, device.username):
                return Credentials(device.username, password)
        return None

    def _given(
        self, here: Device | None, username: str | None, password: Secret | None
    ) -> Credentials | None:
        """What the row says, filled up with what the device has: one half may stay as it is."""
        if username is None and password is not None and here is not None:
            username = here.username
        if username is None:
            if password is not None:
                raise ValidationFailed(
                    "password", "password_without_username", "A password needs its user name."
                )
            return None
        if password is None and here is not None and here.username == username:
            password = self._passwords.get(here.id)
        return Credentials(username, password)

    def _with_credentials(self, number: int, device: Device, given: Credentials | None) -> Chosen:
        if given is None or self._has(device, given):
            return Chosen(device)
        other = self._set_by.get(device.id)
        if other is not None:
            raise ValidationFailed(
                "username",
                "credentials_conflict",
                f"Row {other} gives other credentials for the same device; a device has one pair.",
            )
        if given.password is None and device.has_password:
            raise ValidationFailed(
                "username",
                "password_missing",
                "The user name changes; give its password too, the device would have none.",
            )
        changed = replace(device, username=given.username, has_password=given.password is not None)
        return self._write(number, Chosen(changed, True, given.password, before=device))

    def _write(self, number: int, chosen: Chosen) -> Chosen:
        self._set_by[chosen.device.id] = number
        self._remember(chosen.device, chosen.password)
        return chosen

    def _remember(self, device: Device, password: Secret | None) -> None:
        there = self._at.setdefault((device.host, device.port), [])
        there[:] = [each for each in there if each.id != device.id] + [device]
        self._by_id[device.id] = device
        self._passwords[device.id] = password

    def _has(self, device: Device, given: Credentials) -> bool:
        here = self._passwords.get(device.id) or Secret("")
        return device.username == given.username and here == (given.password or Secret(""))
