"""Sweeps: cameras found in networks, and handed over to an import."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, Field, SecretStr

from camera_registry.jobs import FoundDevice, Sweep, SweepState
from camera_registry.secret import Secret
from gateways.onvif import CredentialSet
from streamhub.access.permit import Permit
from streamhub.access.principal import Action
from streamhub.discovery.interfaces import interfaces
from streamhub.discovery.settings import USUAL_PORTS, SweepOrder

from .imports import ImportOut, importing, job_out
from .newest import ByNewestRights
from .paging import DEFAULT_LIMIT, Cursor, Limit
from .rights import requires, the_district
from .services import Provided

router = APIRouter(prefix="/api/v1/sweeps", tags=["sweeps"], route_class=ByNewestRights)

# Passwords are tried and stored: as for a single camera, the right to manage the district.
MaySweep = Annotated[Permit, requires(Action.MANAGE, the_district)]


class CredentialIn(BaseModel):
    name: str = Field(default="", max_length=60, description="What you call it; else its place.")
    username: str = Field(max_length=256)
    password: SecretStr = Field(max_length=256)


class SweepIn(BaseModel):
    networks: list[str] = Field(default=[], description="CIDRs; one address is one too.")
    ports: list[int] = Field(default=list(USUAL_PORTS), description="Of ONVIF.")
    interfaces: list[str] = Field(
        default=[], description="Our addresses to probe from by multicast (WS-Discovery)."
    )
    credentials: list[CredentialIn] = Field(default=[], description="Tried in order.")
    try_again: bool = Field(
        default=False,
        description="Try devices again that refused three passwords, or one of these, before.",
    )


class SweepOut(BaseModel):
    id: str
    created_at: datetime
    created_by: str | None
    networks: list[str]
    ports: list[int]
    interfaces: list[str]
    state: SweepState
    total: int = Field(description="Addresses and ports to ask.")
    done: int
    found: int
    described: int
    finished_at: datetime | None


class SweepList(BaseModel):
    items: list[SweepOut]
    next_cursor: str | None
    total: int


class StreamOut(BaseModel):
    encoding: str
    width: int | None
    height: int | None
    fps: float | None
    bitrate_bps: int | None
    gov_length: int | None
    uri: str | None


class FoundChannelOut(BaseModel):
    token: str
    name: str
    main: StreamOut
    sub: StreamOut | None
    snapshot_uri: str | None = Field(
        default=None, description="Fetched by HTTP GET with the same user; holds no password."
    )


class FoundOut(BaseModel):
    host: str
    port: int
    state: str = Field(description="`described`, or `refused` with the reason.")
    registered: bool = Field(description="A device with this host is in the registry.")
    code: str | None = None
    sentence: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    firmware: str | None = None
    serial: str | None = None
    mac: str | None = None
    clock_offset_s: float | None = None
    credential_set: str | None = None
    has_ptz: bool = False
    has_events: bool = False
    channels: list[FoundChannelOut]
    notes: list[str] = Field(default=[], description="What was odd, as sentences.")
    note_codes: list[str] = Field(default=[], description="Of the notes, in their order.")


class InterfaceOut(BaseModel):
    name: str
    address: str = Field(description="Give it in `interfaces` of a sweep.")
    network: str


class InterfaceList(BaseModel):
    items: list[InterfaceOut]


class FoundList(BaseModel):
    items: list[FoundOut]
    next_after: str | None = Field(description="Give it as `after` for the devices that follow.")


class ImportFoundIn(BaseModel):
    area: str | None = Field(default=None, description="Code of their area.")
    device_class: str = "police_hd"
    mint: str | None = Field(default="001321", description="Industry, type, network of codes.")
    registered_too: bool = Field(
        default=False,
        description="Devices with a host that is in the registry too, e.g. for the rest of a"
        " recorder's channels; what is known of them is refused by the import as double.",
    )


@router.post("", status_code=202)
async def create_sweep(
    services: Provided,
    permit: MaySweep,
    body: SweepIn,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> SweepOut:
    """Asks every address of the networks, at a gentle pace; each user name is tried once per
    device, and three at most."""
    networks, interfaces = tuple(body.networks), tuple(body.interfaces)
    order = SweepOrder(networks, tuple(body.ports), interfaces, body.try_again)
    sets = [
        CredentialSet(
            each.name or f"set {number}", each.username, Secret(each.password.get_secret_value())
        )
        for number, each in enumerate(body.credentials, 1)
    ]

    async def create() -> SweepOut:
        return _out(await services.finder().create(order, sets, permit.principal.actor()))

    return await services.idempotency.once(
        idempotency_key, subject_id=permit.subject_id, route="sweeps", body=body, create=create
    )


@router.get("")
async def list_sweeps(
    services: Provided, permit: MaySweep, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> SweepList:
    """Newest first."""
    page = await services.finder().list_sweeps(limit=limit, cursor=cursor)
    return SweepList(
        items=[_out(each) for each in page.items], next_cursor=page.next_cursor, total=page.total
    )


@router.get("/interfaces")
async def list_interfaces(services: Provided, permit: MaySweep) -> InterfaceList:
    """This machine's, from which cameras can be probed by multicast."""
    services.finder()  # they are the running service's
    return InterfaceList(
        items=[
            InterfaceOut(name=each.name, address=each.address, network=each.network)
            for each in interfaces()
        ]
    )


@router.get("/{sweep_id}")
async def get_sweep(services: Provided, permit: MaySweep, sweep_id: str) -> SweepOut:
    return _out(await services.finder().get(sweep_id))


@router.get("/{sweep_id}/devices")
async def list_found(
    services: Provided,
    permit: MaySweep,
    sweep_id: str,
    after: Annotated[str, Query(max_length=300)] = "",
    limit: Limit = DEFAULT_LIMIT,
) -> FoundList:
    """What was found so far, by address."""
    host, _, port = after.rpartition(" ")
    behind = (host, int(port) if port.isascii() and port.isdecimal() and len(port) <= 5 else 0)
    devices = await services.finder().found(sweep_id, after=behind, limit=limit)
    last = devices[-1] if len(devices) == limit else None
    return FoundList(
        items=[_found(each) for each in devices],
        next_after=None if last is None else f"{last.host} {last.port}",
    )


@router.post("/{sweep_id}/stop")
async def stop_sweep(services: Provided, permit: MaySweep, sweep_id: str) -> SweepOut:
    return _out(await services.finder().end(sweep_id, permit.principal.actor()))


@router.post("/{sweep_id}/go-on")
async def go_on_with_sweep(services: Provided, permit: MaySweep, sweep_id: str) -> SweepOut:
    """Takes a stopped sweep up where it was."""
    return _out(await services.finder().go_on(sweep_id, permit.principal.actor()))


@router.post("/{sweep_id}/import", status_code=202)
async def import_found(
    services: Provided,
    permit: MaySweep,
    sweep_id: str,
    body: ImportFoundIn,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> ImportOut:
    """An import of what was found, with the user names that served; still to be applied."""
    options: dict[str, Any] = {
        "area": body.area,
        "device_class": body.device_class,
        "mint": body.mint,
        **importing(services, permit.principal).limits(),
    }

    async def create() -> ImportOut:
        job = await services.finder().import_found(
            sweep_id, options, permit.principal.actor(), registered_too=body.registered_too
        )
        return job_out(job)

    return await services.idempotency.once(
        idempotency_key,
        subject_id=permit.subject_id,
        route=f"import of sweep {sweep_id}",
        body=body,
        create=create,
    )


@router.delete("/{sweep_id}", status_code=204)
async def discard_sweep(services: Provided, permit: MaySweep, sweep_id: str) -> Response:
    """Forgets what it found, and the passwords that it tried."""
    await services.finder().discard(sweep_id, permit.principal.actor())
    return Response(status_code=204)


def _out(sweep: Sweep) -> SweepOut:
    progress = sweep.progress
    return SweepOut(
        id=sweep.id,
        created_at=sweep.created_at,
        created_by=sweep.subject_name,
        networks=sweep.options["networks"],
        ports=sweep.options["ports"],
        interfaces=sweep.options["interfaces"],
        state=sweep.state,
        total=progress.get("total", 0),
        done=progress.get("done", 0),
        found=progress.get("found", 0),
        described=progress.get("described", 0),
        finished_at=sweep.finished_at,
    )


def _found(device: FoundDevice) -> FoundOut:
    return FoundOut(host=device.host, port=device.port, **device.payload)
