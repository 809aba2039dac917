"""Profiles of Media and Media2, joined into channels: requests and answers. No I/O.

ONVIF Media Service Specification (ver10) and Media2 (ver20). Media cannot name H.265: what Media2
says of a profile or an encoder comes first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from lxml import etree

from gateways.onvif.errors import quoted
from gateways.onvif.soap import (
    Operation,
    attribute,
    children,
    find,
    integer,
    number,
    operation,
    text_of,
    xml,
)

GET_PROFILES = operation("trt", "GetProfiles")
GET_PROFILES_2 = operation("tr2", "GetProfiles", "<tr2:Type>All</tr2:Type>")

# The largest recorders have 256 channels of three streams; more is no recorder.
MAX_PROFILES = 1024
MAX_SIDE_PIXELS = 32_768

# "VideoSourceConfig_1" and its like: no person gave that name.
_MADE_UP_NAME = re.compile(
    r"(video)?[\s_-]*source[\s_-]*(config(uration)?)?[\s_-]*\d*", re.IGNORECASE
)
_PULLABLE = ("H264", "H265")


@dataclass(frozen=True, slots=True)
class MediaProfile:
    """One profile as a device lists it. Numbers are None where it does not say.

    `media2`: which service named it, and answers for its URI. `encoding`: "H264", "H265", "JPEG",
    "MPEG4" or as written. `codec_profile`: e.g. "Main". `gov_length`: pictures from one keyframe to
    the next.
    """

    token: str
    name: str
    media2: bool
    source_token: str
    source_config_token: str
    source_name: str
    encoder_token: str
    encoding: str
    width: int | None
    height: int | None
    fps: float | None
    bitrate_bps: int | None
    gov_length: int | None
    codec_profile: str
    has_ptz: bool

    @property
    def pixels(self) -> int:
        return (self.width or 0) * (self.height or 0)


@dataclass(frozen=True, slots=True)
class SourceProfiles:
    """The profiles of one video source: `main` has the most pixels, `sub` comes next.

    `config_tokens`: of its configurations, by which some firmwares name it in events."""

    source_token: str
    name: str
    main: MediaProfile
    sub: MediaProfile | None
    ptz_profile_token: str | None
    config_tokens: frozenset[str]


def get_stream_uri(profile: MediaProfile) -> Operation:
    """RTP over the RTSP connection, which the core asks for first."""
    token = xml(profile.token)
    if profile.media2:
        return operation(
            "tr2",
            "GetStreamUri",
            f"<tr2:Protocol>RTSP</tr2:Protocol><tr2:ProfileToken>{token}</tr2:ProfileToken>",
        )
    return operation(
        "trt",
        "GetStreamUri",
        "<trt:StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport>"
        "<tt:Protocol>RTSP</tt:Protocol></tt:Transport></trt:StreamSetup>"
        f"<trt:ProfileToken>{token}</trt:ProfileToken>",
    )


def get_snapshot_uri(profile: MediaProfile) -> Operation:
    prefix = "tr2" if profile.media2 else "trt"
    token = f"<{prefix}:ProfileToken>{xml(profile.token)}</{prefix}:ProfileToken>"
    return operation(prefix, "GetSnapshotUri", token)


def read_uri_answer(answer: etree._Element) -> str:
    """The URI of a GetStreamUriResponse or GetSnapshotUriResponse of either service, or ""."""
    return text_of(answer, "Uri") or text_of(answer, "MediaUri/Uri")


def read_profiles(answer: etree._Element, *, media2: bool) -> list[MediaProfile]:
    """Of a GetProfilesResponse of either service; those without a video source are left out."""
    found: list[MediaProfile] = []
    for element in children(answer, "Profiles"):
        if len(found) == MAX_PROFILES:
            break
        profile = _profile(element, media2)
        if profile is not None:
            found.append(profile)
    return found


def by_source(
    media: Iterable[MediaProfile], media2: Iterable[MediaProfile]
) -> list[SourceProfiles]:
    """One entry per video source, in the device's order.

    A profile that both services list, or that shares another one's encoder, counts once, as Media2
    says it. H.264 and H.265 come before what can't be pulled.
    """
    listed = [*media2, *media]
    groups: dict[str, list[MediaProfile]] = {}
    seen: set[tuple[str, str]] = set()
    for one in listed:
        keys = {("token", one.token)}
        if one.encoder_token:
            keys.add((one.source_token, one.encoder_token))
        if not keys & seen:
            groups.setdefault(one.source_token, []).append(one)
        seen |= keys
    sources: list[SourceProfiles] = []
    for token, group in groups.items():
        ranked = sorted(group, key=_rank, reverse=True)
        main = ranked[0]
        others = [one for one in ranked[1:] if one.encoding in _PULLABLE]
        sub = next((one for one in others if one.pixels < main.pixels), next(iter(others), None))
        ptz = next(
            (o.token for o in (main, *listed) if o.has_ptz and o.source_token == token), None
        )
        name = next((one.source_name for one in group if one.source_name), main.name)
        configs = frozenset(o.source_config_token for o in listed if o.source_token == token)
        sources.append(SourceProfiles(token, name, main, sub, ptz, configs))
    return sources


# --- inside ---------------------------------------------------------------------------------------


def _profile(element: etree._Element, media2: bool) -> MediaProfile | None:
    path = "Configurations/{}" if media2 else "{}Configuration"
    source, encoder, ptz = (
        find(element, path.format(name)) for name in ("VideoSource", "VideoEncoder", "PTZ")
    )
    token = attribute(element, "token")
    if source is None or encoder is None or not token:
        return None
    # Some Media2 firmwares name the source's configuration and not the source.
    source_token = text_of(source, "SourceToken") or attribute(source, "token")
    coding = find(encoder, "H264")
    if coding is None:
        coding = find(encoder, "MPEG4")
    gov_length = attribute(encoder, "GovLength") or text_of(coding, "GovLength")
    codec_profile = (
        attribute(encoder, "Profile")
        or text_of(coding, "H264Profile")
        or text_of(coding, "Mpeg4Profile")
    )
    return MediaProfile(
        token=token,
        name=quoted(text_of(element, "Name")),
        media2=media2,
        source_token=source_token,
        source_config_token=attribute(source, "token"),
        source_name=_told_name(text_of(source, "Name")),
        encoder_token=attribute(encoder, "token"),
        encoding=_encoding(text_of(encoder, "Encoding")),
        width=_within(integer(text_of(encoder, "Resolution/Width")), MAX_SIDE_PIXELS),
        height=_within(integer(text_of(encoder, "Resolution/Height")), MAX_SIDE_PIXELS),
        fps=_fps(text_of(encoder, "RateControl/FrameRateLimit")),
        bitrate_bps=_kilo(integer(text_of(encoder, "RateControl/BitrateLimit"))),
        gov_length=_within(integer(gov_length), 100_000),
        codec_profile=quoted(codec_profile),
        has_ptz=ptz is not None,
    )


def _rank(profile: MediaProfile) -> tuple[bool, int]:
    return profile.encoding in _PULLABLE, profile.pixels


def _encoding(written: str) -> str:
    """Media2 takes IANA names too ("video/H264"); cameras write "H.265" and "HEVC"."""
    short = quoted(written).upper().rpartition("/")[2].replace(".", "")
    return {"HEVC": "H265", "AVC": "H264", "MJPEG": "JPEG", "MPV4-ES": "MPEG4"}.get(short, short)


def _told_name(written: str) -> str:
    name = quoted(written)
    return "" if _MADE_UP_NAME.fullmatch(name) else name


def _within(value: int | None, most: int) -> int | None:
    return value if value is not None and 0 < value <= most else None


def _fps(text: str) -> float | None:
    value = number(text)
    return value if value is not None and 0 < value <= 1000 else None


def _kilo(kilobits: int | None) -> int | None:
    """Both services count in kbit/s."""
    return kilobits * 1000 if kilobits is not None and 0 < kilobits <= 10_000_000 else None
