"""The little of SDP (RFC 8866) that a check must know: the video track and where to set it up."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from dataclasses import dataclass

# Payload types without an rtpmap that cameras use (RFC 3551 section 6).
STATIC_AUDIO = {"0": "PCMU", "3": "GSM", "8": "PCMA", "9": "G722", "14": "MPA"}
_SETS = re.compile(r"sprop-(?:parameter-sets|vps|sps|pps)=([^;\s]+)", re.IGNORECASE)


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


def audio_codec(sdp: str) -> str | None:
    """What the first audio track is encoded in, upper case; "" when it does not say; None: no
    audio."""
    payload_type: str | None = None
    for line in sdp.replace("\r", "\n").split("\n"):
        kind, _, value = line.strip().partition("=")
        if kind == "m":
            if payload_type is not None:
                break
            words = value.split()
            if len(words) >= 4 and words[0].lower() == "audio":
                payload_type = words[3]
        elif payload_type is not None and value.startswith(f"rtpmap:{payload_type} "):
            return value.partition(" ")[2].partition("/")[0].strip().upper()
    return None if payload_type is None else STATIC_AUDIO.get(payload_type, "")


def parameter_sets(fmtp: str) -> list[bytes]:
    """The NAL units that a format line gives (RFC 6184 section 8.1, RFC 7798 section 7.1)."""
    found = []
    for texts in _SETS.findall(fmtp):
        for text in texts.split(","):
            try:
                found.append(b64decode(text + "=" * (-len(text) % 4)))
            except (binascii.Error, ValueError):
                continue  # a set that does not read comes in the stream again
    return found


def join_control(base_url: str, control: str) -> str:
    """Cameras mean plain concatenation, not RFC 3986 (their URLs have query strings)."""
    if control in ("", "*"):
        return base_url
    if control.lower().startswith("rtsp://"):
        return control
    return f"{base_url.rstrip('/')}/{control.lstrip('/')}"


def starts_picture(codec: str, payload: bytes) -> bool:
    """Whether an RTP payload begins or holds a picture where decoding may begin."""
    return h265_starts_picture(payload) if codec == "H265" else h264_starts_picture(payload)


def h265_starts_picture(payload: bytes) -> bool:
    """Whether an RTP payload (RFC 7798) begins or holds an IRAP picture (types 16 to 21)."""
    if len(payload) < 3:
        return False
    kind = payload[0] >> 1 & 0x3F
    if kind == 48:  # AP: 16-bit size, NAL unit
        at = 2
        while at + 4 <= len(payload):
            if 16 <= payload[at + 2] >> 1 & 0x3F <= 21:
                return True
            at += 2 + int.from_bytes(payload[at : at + 2])
        return False
    if kind == 49:  # FU
        return payload[2] & 0x80 != 0 and 16 <= payload[2] & 0x3F <= 21
    return 16 <= kind <= 21


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
