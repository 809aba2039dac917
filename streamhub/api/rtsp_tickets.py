"""Tickets for the RTSP door: an address that a player or a recorder opens, for a while."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from streamhub.access.permit import Permit
from streamhub.access.principal import Action

from .problems import Problem
from .profiles import Profile
from .rights import channel_in_path, requires
from .services import Provided
from .times import Time

router = APIRouter(prefix="/api/v1/channels", tags=["rtsp"])

RTSP_TICKET = "rtsp_ticket"
# What goes into an RTSP URL in front of `:<ticket>@`, or into a recorder's field for the user.
USERNAME = "ticket"


class WantedTicket(BaseModel):
    profiles: list[Profile] = Field(default=["main", "sub"], min_length=1, max_length=2)
    valid_s: int = Field(
        default=3600, ge=1, le=366 * 24 * 3600, description="Cut to what is allowed at most."
    )


class TicketStream(BaseModel):
    profile: str
    encrypted: bool = Field(description="By TLS (rtsps). Where there is one, it comes first.")
    url: str = Field(description="With the ticket: a secret.")
    address: str = Field(description="Without it, for who stores user name and password apart.")


class TicketOut(BaseModel):
    id: str = Field(description="Names the ticket in the audit.")
    expires_at: Time = Field(description="Views that it opened end then, too.")
    username: str
    password: str = Field(description="The ticket itself.")
    streams: list[TicketStream]


@router.post("/{channel_id}/rtsp-tickets", status_code=201)
async def issue_ticket(
    request: Request,
    services: Provided,
    permit: Annotated[Permit, requires(Action.LIVE, channel_in_path)],
    wanted: WantedTicket,
) -> TicketOut:
    """A ticket to watch this channel by RTSP, until `expires_at` at the longest: no longer than the
    grant, nor than the setting `rtsp.ticket_max_s`. Who has the URL has the picture. What it is
    asked for goes into the rows of its views."""
    places = services.doors().rtsp_places(request.url.hostname or "127.0.0.1")
    if not places:
        raise Problem(
            409,
            "rtsp_off",
            "This service has no RTSP door; its administrator sets rtsp.tls_listen or rtsp.listen.",
        )
    profiles = tuple(dict.fromkeys(wanted.profiles))
    row = services.facts.current.channel(permit.channel_id)
    missing = [each for each in profiles if row is None or each not in row.profiles]
    if missing and "profiles" in wanted.model_fields_set:
        raise Problem(404, "not_found", f"The channel has no stream {missing[0]}.")
    profiles = tuple(each for each in profiles if each not in missing)
    ticket = services.tickets.issue(permit, profiles, wanted.valid_s, services.now())
    async with services.store.write() as tx:
        if permit.stated is not None:
            # For the door, which is shown no more than the ticket: that is short, and signed.
            await tx.ticket_purposes.delete_expired(services.now())
            await tx.ticket_purposes.add(
                ticket.id, permit.channel_id, permit.stated, ticket.expires_at
            )
        await services.audit.append(
            tx,
            RTSP_TICKET,
            principal=permit.principal,
            channel_id=permit.channel_id,
            area_id=None if row is None else row.area_id,
            detail={
                "ticket_id": ticket.id,
                "profiles": list(profiles),
                "expires_at": ticket.expires_at.isoformat(),
                **permit.what_for(),
                **permit.grounds(),
            },
        )
    text = ticket.text.reveal()
    addresses = [
        (each, f"{place}/{permit.channel_id}/{each}") for each in profiles for place in places
    ]
    return TicketOut(
        id=ticket.id,
        expires_at=ticket.expires_at,
        username=USERNAME,
        password=text,
        streams=[
            TicketStream(
                profile=each,
                encrypted=address.startswith("rtsps:"),
                url=f"{address}?ticket={text}",
                address=address,
            )
            for each, address in addresses
        ],
    )
