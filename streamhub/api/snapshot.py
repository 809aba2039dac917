"""Stills: the newest keyframe of a channel as a JPEG."""

from typing import Annotated

from fastapi import APIRouter, Response

from streamhub.access.permit import Permit
from streamhub.access.principal import Action

from .profiles import Profile
from .rights import channel_in_path, requires
from .services import Provided

router = APIRouter(prefix="/api/v1/channels", tags=["snapshot"])


@router.get(
    "/{channel_id}/snapshot.jpg",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}},
)
async def snapshot(
    services: Provided,
    permit: Annotated[Permit, requires(Action.SNAPSHOT, channel_in_path)],
    profile: Profile = "sub",
) -> Response:
    """The picture and, in `Streamhub-Picture-Age-Ms`, how old it is."""
    still = await services.doors().snapshot.take(permit, profile)
    headers = {"Streamhub-Picture-Age-Ms": str(still.age_ms)}
    return Response(still.jpeg, media_type="image/jpeg", headers=headers)
