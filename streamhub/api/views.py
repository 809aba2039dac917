"""Live views: who watches what right now; ending one."""

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from streamhub.access.principal import Principal
from streamhub.delivery import View

from .paging import DEFAULT_LIMIT, Cursor, Limit, page_in_memory
from .profiles import Profile
from .rights import signed_in
from .services import Provided, Services
from .times import Time
from .view_rights import OwnView, ThisView, may_see

router = APIRouter(prefix="/api/v1/views", tags=["views"])


class ViewSubject(BaseModel):
    id: str
    username: str


class ViewReception(BaseModel):
    """By the viewer's own receiver reports (RFC 3550); zeros before the first."""

    lost_percent: float = Field(description="Since the report before the last one.")
    lost_packets: int
    jitter_ms: float
    rtt_ms: float
    retransmitted: int = Field(description="Packets sent again because the viewer lacked them.")
    transport: Literal["udp", "tcp", "rtsp", "rtsps"]
    estimated_bps: int | None = Field(
        description="What the way takes by the viewer's estimate; needs the setting media.remb."
    )


class ViewOut(BaseModel):
    id: str
    channel_id: str
    channel_name: str | None
    profile: str = Field(description="The stream that is shown.")
    wanted_profile: str = Field(description="The stream that it goes over to, if another.")
    audio: bool = Field(description="Whether the camera's sound is sent too, where it has some.")
    subject: ViewSubject
    started_at: Time
    until: Time = Field(description="The lease; it is renewed while the grant holds.")
    state: str
    reason: str | None
    last_packet_age_ms: int | None
    bytes: int = Field(description="Sent to this viewer.")
    srtp_cipher: str | None
    reception: ViewReception


class WantedAudio(BaseModel):
    on: bool


class WantedProfile(BaseModel):
    profile: Profile


class ViewList(BaseModel):
    items: list[ViewOut]
    next_cursor: str | None
    total: int


@router.get("")
async def list_views(
    services: Provided,
    who: Annotated[Principal, signed_in()],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> ViewList:
    """One's own views, and those on channels one manages; oldest first."""
    shown = [view for view in services.doors().views.list() if may_see(services, who, view)]
    rows = sorted(shown, key=_sort_key)
    page, next_cursor = page_in_memory(rows, _sort_key, limit=limit, cursor=cursor)
    items = [_out(services, view) for view in page]
    return ViewList(items=items, next_cursor=next_cursor, total=len(rows))


@router.put("/{view_id}/profile")
async def switch_profile(services: Provided, view: OwnView, wanted: WantedProfile) -> ViewOut:
    """Goes over to the channel's other stream, in the same picture, as soon as that has a keyframe.

    `profile` says what is shown, `wanted_profile` where it is on its way to.
    """
    return _out(services, services.doors().views.switch(view.id, wanted.profile))


@router.put("/{view_id}/audio")
async def set_audio(services: Provided, view: OwnView, wanted: WantedAudio) -> ViewOut:
    """Turns the camera's sound on or off: G.711, as it comes.

    A view begins without sound. There is none where the offer had no audio section with PCMA or
    PCMU, or where the camera sends no G.711; that is no error.
    """
    return _out(services, services.doors().views.set_audio(view.id, wanted.on))


@router.delete("/{view_id}", status_code=204)
async def end_view(services: Provided, access: ThisView) -> Response:
    """Ends it; the viewer's page is told so."""
    cause = "closed_by_viewer" if access.is_own else "closed_by_operator"
    await services.doors().views.close(access.view.id, cause)
    return Response(status_code=204)


def _sort_key(view: View) -> str:
    return f"{view.started_at.timestamp():020.6f} {view.id}"


def _out(services: Services, view: View) -> ViewOut:
    row = services.facts.current.channel(view.channel_id)
    return ViewOut(
        id=view.id,
        channel_id=view.channel_id,
        channel_name=None if row is None else row.name,
        profile=view.profile,
        wanted_profile=view.wanted_profile,
        audio=view.audio,
        subject=ViewSubject(id=view.subject_id, username=view.subject_name),
        started_at=view.started_at,
        until=view.until,
        state=view.state,
        reason=view.reason,
        last_packet_age_ms=view.last_packet_age_ms,
        bytes=view.sent_bytes,
        srtp_cipher=view.srtp_cipher,
        reception=ViewReception.model_validate(asdict(view.reception)),
    )
