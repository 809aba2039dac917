"""Use cases about devices: an address, credentials (sealed), a dial budget."""

from __future__ import annotations

from dataclasses import dataclass, replace

from . import validation as check
from .areas import AreaCases
from .domain import Actor, Device, Page, new_id
from .drafts import DeviceChanges, DeviceDraft
from .errors import NotFound, ValidationFailed
from .secret import Secret
from .store.contract import ReadTx, WriteTx

MAX_DIALS_LIMIT = 512  # the biggest NVRs have 256 channels, each with two profiles
MAX_CREDENTIAL_CHARS = 256


@dataclass(frozen=True, slots=True)
class Credentials:
    username: str
    password: Secret | None


class DeviceCases(AreaCases):
    """The part of `Registry` about devices."""

    async def get_device(self, device_id: str) -> Device:
        async with self._store.read() as tx:
            return await _device(tx, device_id)

    async def list_devices(
        self, *, q: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Device]:
        """By name. `q` is a part of the name or of the host."""
        limit = check.integer("limit", limit, 1, check.MAX_PAGE)
        async with self._store.read() as tx:
            return await tx.devices.page(q=check.search_text(q), limit=limit, cursor=cursor)

    async def create_device(self, draft: DeviceDraft, by: Actor) -> Device:
        device = _checked(
            Device(
                id=new_id("de"),
                name=draft.name,
                host=draft.host,
                port=draft.port,
                username=draft.username or None,
                max_dials=draft.max_dials,
                listen_to_events=draft.listen_to_events,
            )
        )
        async with self._units.begin(by) as unit:
            device = await self._add_device(unit.tx, device, draft.password)
            await unit.record("device_create", id=device.id, name=device.name, host=device.host)
        return device

    async def update_device(self, device_id: str, changes: DeviceChanges, by: Actor) -> Device:
        """A password of None takes it away; leaving the field out keeps it."""
        check.only_known(changes, DeviceChanges.__annotations__)
        async with self._units.begin(by) as unit:
            device = await _device(unit.tx, device_id)
            device = _checked(
                replace(
                    device,
                    name=changes.get("name", device.name),
                    host=changes.get("host", device.host),
                    port=changes.get("port", device.port),
                    username=changes.get("username", device.username) or None,
                    max_dials=changes.get("max_dials", device.max_dials),
                    listen_to_events=changes.get("listen_to_events", device.listen_to_events),
                )
            )
            await unit.tx.devices.update(device)
            if "password" in changes:
                device = await self._set_password(unit.tx, device, changes["password"])
            await unit.record("device_update", id=device_id, changed=sorted(changes))
        return device

    async def delete_device(self, device_id: str, by: Actor) -> None:
        """Raises Conflict("device_in_use") while it has channels."""
        async with self._units.begin(by) as unit:
            device = await _device(unit.tx, device_id)
            await unit.tx.devices.delete(device_id)
            await unit.record("device_delete", id=device_id, name=device.name)

    async def _add_device(self, tx: WriteTx, device: Device, password: Secret | None) -> Device:
        device = replace(device, has_password=bool(password))
        await tx.devices.add(device, self._vault.seal(device.id, password) if password else None)
        return device

    async def _set_password(self, tx: WriteTx, device: Device, password: Secret | None) -> Device:
        sealed = self._vault.seal(device.id, password) if password else None
        await tx.devices.set_sealed_password(device.id, sealed)
        return replace(device, has_password=sealed is not None)

    async def _password(self, tx: ReadTx | WriteTx, device: Device) -> Secret | None:
        sealed = await tx.devices.sealed_password(device.id)
        return None if sealed is None else self._vault.open(device.id, sealed)

    async def _device_for(
        self, tx: WriteTx, device_id: str | None, url: check.RtspUrl, given: Credentials | None
    ) -> Device:
        """The device a new channel hangs on: the one named, one at that address with the same
        credentials, or a new one.
        """
        if device_id is not None:
            named = await tx.devices.get(device_id)
            if named is None:
                raise ValidationFailed(
                    "device_id", "unknown_device", "There is no such device; leave it out or fix."
                )
            return await self._with_credentials(tx, named, given)
        for device in await tx.devices.by_address(url.host, url.port):
            if given is None or await self._has_credentials(tx, device, given):
                return device
        device = _checked(
            Device(
                id=new_id("de"),
                name=f"{url.host}:{url.port}"[: check.MAX_NAME_CHARS],
                host=url.host,
                port=url.port,
                username=given.username if given else None,
            )
        )
        return await self._add_device(tx, device, given.password if given else None)

    async def _with_credentials(
        self, tx: WriteTx, device: Device, given: Credentials | None
    ) -> Device:
        """Gives the credentials to a device that has none; refuses to replace others."""
        if given is None or await self._has_credentials(tx, device, given):
            return device
        if device.username is not None or device.has_password:
            raise ValidationFailed(
                "main_url",
                "credentials_conflict",
                "The device has other credentials; change them on the device, "
                "its other channels use them too.",
            )
        device = _checked(replace(device, username=given.username))
        await tx.devices.update(device)
        return await self._set_password(tx, device, given.password)

    async def _has_credentials(self, tx: WriteTx, device: Device, given: Credentials) -> bool:
        if device.username != given.username:
            return False
        return (await self._password(tx, device) or Secret("")) == (given.password or Secret(""))


def credentials(
    urls: list[tuple[str, check.RtspUrl]], username: str | None, password: Secret | None
) -> Credentials | None:
    """The one pair that the fields and the URLs name; they may not disagree."""
    found: Credentials | None = None
    named = [("username", username or None, password)]
    named += [(field, url.username, url.password) for field, url in urls]
    for field, user, secret in named:
        if user is None:
            if secret:
                raise ValidationFailed(
                    field, "password_without_username", "A password needs its username."
                )
            continue
        if len(user) > MAX_CREDENTIAL_CHARS or (
            secret and len(secret.reveal()) > MAX_CREDENTIAL_CHARS
        ):
            raise ValidationFailed(
                field,
                "credentials_too_long",
                f"Usernames and passwords have at most {MAX_CREDENTIAL_CHARS} characters.",
            )
        pair = Credentials(user, secret or None)
        if found is not None and found != pair:
            raise ValidationFailed(
                field, "credentials_conflict", "The URLs and fields name different credentials."
            )
        found = pair
    return found


async def _device(tx: ReadTx | WriteTx, device_id: str) -> Device:
    device = await tx.devices.get(device_id)
    if device is None:
        raise NotFound("device", device_id)
    return device


def _checked(device: Device) -> Device:
    if device.username is not None and len(device.username) > MAX_CREDENTIAL_CHARS:
        raise ValidationFailed(
            "username",
            "credentials_too_long",
            f"A username has at most {MAX_CREDENTIAL_CHARS} characters.",
        )
    return replace(
        device,
        name=check.name("name", device.name),
        host=check.host(device.host),
        port=check.integer("port", device.port, 1, 65_535),
        max_dials=check.integer("max_dials", device.max_dials, 1, MAX_DIALS_LIMIT),
    )
