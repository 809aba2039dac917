"""The little of SDP (RFC 8866) that a check must know: the video track and where to set it up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """`codec` in upper case, e.g. `H264`; `control_url` absolute."""

    codec: str
    payload_type: int
    control_url: str
    fmtp: str


def video_track(sdp: str, base_url: str) -> VideoTrack | None:
    """The first video track, tolerant of everything else; None when there is none."""
    session_control: str | None = None
    media: dict[str, str] | None = None
    for line in sdp.replace("\r", "\n").split("\n"):
        kind, _, value = line.strip().partition("=")
        if kind == "m":
            if media is not None:
                break  # the first video track is complete
            words = value.split()
            if len(words) >= 4 and words[0].lower() == "video" and words[3].isdigit():
                media = {"pt": words[3]}
        elif kind == "a":
            name, _, rest = value.partition(":")
            if media is None and name == "control" and session_control is None:
                session_control = rest.strip()
            elif media is not None and name == "control":
                media["control"] = rest.strip()
            elif media is not None and name in ("rtpmap", "fmtp"):
                payload_type, _, what = rest.strip().partition(" ")
                if payload_type == media["pt"]:
                    media[name] = what.strip()
    if media is None:
        return None
    if session_control and session_control.lower().startswith("rtsp://"):
        base_url = session_control
    return VideoTrack(
        codec=media.get("rtpmap", "").partition("/")[0].upper(),
        payload_type=int(media["pt"]),
        control_url=join_control(base_url, media.get("control", "")),
        fmtp=media.get("fmtp", ""),
    )


def join_control(base_url: str, control: str) -> str:
    """Cameras mean plain concatenation, not RFC 3986 (their URLs have query strings)."""
    if control in ("", "*"):
        return base_url
    if control.lower().startswith("rtsp://"):
        return control
    return f"{base_url.rstrip('/')}/{control.lstrip('/')}"


def h264_starts_picture(payload: bytes) -> bool:
    """Whether an RTP payload (RFC 6184) begins or holds an IDR picture."""
    if not payload:
        return False
    kind = payload[0] & 0x1F
    if kind == 24:  # STAP-A: 16-bit size, NAL unit
        at = 1
        while at + 3 <= len(payload):
            if payload[at + 2] & 0x1F == 5:
                return True
            at += 2 + int.from_bytes(payload[at : at + 2])
        return False
    if kind == 28:  # FU-A
        return len(payload) > 1 and payload[1] & 0x80 != 0 and payload[1] & 0x1F == 5
    return kind == 5
