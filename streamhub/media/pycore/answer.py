"""Offer to answer, once per viewer (RFC 9429, RFC 8839, RFC 9143): one video section that we send,
everything else refused. Nothing here trusts the offer's text: what is echoed is a token first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from streamhub.media.contract import MalformedOffer, NoCommonCodec

# Browsers send a few kB.
MAX_OFFER_BYTES = 64 * 1024
MAX_FINGERPRINTS = 8
# What every decoder takes first: Constrained Baseline, Baseline, Main. A decoder follows the
# stream's own parameter sets anyway.
PROFILES = ("42e0", "42", "4d", "")
_TOKEN = re.compile(r"[!-~]{1,64}")
# RFC 8839 section 5.4.
_ICE_TEXT = re.compile(r"[A-Za-z0-9+/]{1,256}")
_HASH = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31,63}")
_HASHES = ("sha-256", "sha-384", "sha-512")


@dataclass(frozen=True, slots=True)
class Ours:
    """What is ours in an answer. `candidates` are (address, UDP port), the preferred one first."""

    ufrag: str
    password: str
    fingerprint: str
    candidates: Sequence[tuple[str, int]]
    ssrc: int
    rtx_ssrc: int
    cname: str
    origin_id: int


@dataclass(frozen=True, slots=True)
class Negotiated:
    """An answer, and what both sides have agreed on. `fingerprints`: (hash, hex with colons)."""

    answer: str
    payload_type: int
    rtx_payload_type: int | None
    fingerprints: Sequence[tuple[str, str]]


@dataclass(slots=True)
class _Section:
    kind: str = ""
    port: str = ""
    protocol: str = ""
    formats: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> Iterator[str]:
        return (value for key, value in self.attributes if key == name)

    def get(self, name: str) -> str | None:
        return next(self.all(name), None)

    def has(self, name: str) -> bool:
        return self.get(name) is not None

    def fmtp(self, payload_type: str) -> dict[str, str]:
        """The format parameters of a payload type."""
        for value in self.all("fmtp"):
            number, _, text = value.partition(" ")
            if number == payload_type:
                pairs = (pair.strip().partition("=") for pair in text.split(";"))
                return {key.strip().lower(): worth.strip() for key, _, worth in pairs}
        return {}

    def encodings(self, name: str) -> list[str]:
        """Payload types of an encoding at 90 kHz."""
        maps = (value.partition(" ") for value in self.all("rtpmap"))
        return [
            number
            for number, _, encoding in maps
            if encoding.strip().lower() == f"{name}/90000" and number in self.formats
        ]


def negotiate(offer_sdp: str, ours: Ours) -> Negotiated:
    """Answer an offer. Raises `MalformedOffer`, `NoCommonCodec`."""
    session, sections = _read(offer_sdp)
    video, payload_type = _choose(session, sections)
    bundles = [value.split()[1:] for value in session.all("group") if value.startswith("BUNDLE ")]
    mid = video.get("mid")
    shared = next((mids for mids in bundles if mid in mids), [])
    # Where sections share one transport, perhaps only the first describes it.
    told = [video, *(each for each in sections if each.get("mid") in shared), session]

    def transport(name: str) -> str | None:
        return next((value for each in told if (value := each.get(name)) is not None), None)

    if transport("rtcp-mux") is None:
        raise MalformedOffer("a=rtcp-mux is missing")
    if transport("setup") not in (None, "actpass", "active"):
        raise MalformedOffer("a=setup must be actpass or active")
    for name, shortest in (("ice-ufrag", 4), ("ice-pwd", 22)):
        value = transport(name) or ""
        if len(value) < shortest or not _ICE_TEXT.fullmatch(value):
            raise MalformedOffer(f"a={name} is missing or malformed")
    prints = _fingerprints(next((each for each in told if each.has("fingerprint")), video))
    if not prints:
        raise MalformedOffer("a=fingerprint is missing, malformed or too weak a hash")
    rtx = _rtx_for(video, payload_type)
    lines = ["v=0", f"o=- {ours.origin_id} 1 IN IP4 0.0.0.0", "s=-", "t=0 0"]
    if mid is not None and shared:
        lines.append(f"a=group:BUNDLE {mid}")
    lines.append("a=ice-lite")
    for section in sections:
        accepted = section is video
        lines += _accepted(video, payload_type, rtx, ours) if accepted else _refused(section)
    return Negotiated(
        "\r\n".join(lines) + "\r\n",
        int(payload_type),
        None if rtx is None else int(rtx),
        prints,
    )


def _read(offer_sdp: str) -> tuple[_Section, list[_Section]]:
    if len(offer_sdp) > MAX_OFFER_BYTES:
        raise MalformedOffer(f"longer than {MAX_OFFER_BYTES} bytes")
    lines = [line for line in offer_sdp.replace("\r\n", "\n").split("\n") if line]
    if not lines or lines[0] != "v=0":
        raise MalformedOffer("line 1: v=0 expected")
    session, sections = _Section(), list[_Section]()
    for number, line in enumerate(lines, 1):
        if line[1:2] != "=":
            raise MalformedOffer(f"line {number}: not of the form x=…")
        if line.startswith("m="):
            words = line[2:].split()
            if len(words) < 4 or not all(_TOKEN.fullmatch(word) for word in words):
                raise MalformedOffer(f"line {number}: an m= line is incomplete")
            sections.append(_Section(words[0], words[1], words[2], words[3:]))
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            if name == "mid" and not _TOKEN.fullmatch(value):
                raise MalformedOffer(f"line {number}: a=mid is not a token")
            (sections[-1] if sections else session).attributes.append((name, value.strip()))
    if not sections:
        raise MalformedOffer("no media section")
    return session, sections


def _choose(session: _Section, sections: Sequence[_Section]) -> tuple[_Section, str]:
    """The first video section that receives and has H.264 in a form we send, and which format."""
    deaf = False
    for section in sections:
        refused = section.port == "0" and not section.has("bundle-only")
        if section.kind != "video" or refused or "SAVPF" not in section.protocol:
            continue
        if not _receives(section if _direction(section) else session):
            deaf = True
        elif (payload_type := _choose_h264(section)) is not None:
            return section, payload_type
    if deaf:
        raise MalformedOffer("no video section receives")
    raise NoCommonCodec("the offer has no H.264 with packetization-mode=1; use a browser that does")


def _direction(section: _Section) -> str | None:
    directions = ("sendrecv", "recvonly", "sendonly", "inactive")
    return next((name for name in directions if section.has(name)), None)


def _receives(section: _Section) -> bool:
    return _direction(section) in (None, "sendrecv", "recvonly")


def _choose_h264(section: _Section) -> str | None:
    """Only packetization-mode 1 allows FU-A."""
    offered = [
        (number, section.fmtp(number).get("profile-level-id", "").lower())
        for number in section.encodings("h264")
        if section.fmtp(number).get("packetization-mode") == "1" and _is_payload_type(number)
    ]
    for profile in PROFILES:
        for number, profile_level_id in offered:
            if profile_level_id.startswith(profile):
                return number
    return None


def _is_payload_type(number: str) -> bool:
    return number.isascii() and number.isdecimal() and int(number) < 128


def _has_feedback(section: _Section, payload_type: str, wanted: str) -> bool:
    values = (value.partition(" ") for value in section.all("rtcp-fb"))
    return any(
        number in ("*", payload_type) and offered.strip() == wanted for number, _, offered in values
    )


def _rtx_for(section: _Section, payload_type: str) -> str | None:
    """Its retransmission format, where the offer asks for packets by number: what is sent again
    needs a stream of its own (RFC 4588)."""
    if not _has_feedback(section, payload_type, "nack"):
        return None
    return next(
        (
            number
            for number in section.encodings("rtx")
            if section.fmtp(number).get("apt") == payload_type and _is_payload_type(number)
        ),
        None,
    )


def _fingerprints(section: _Section) -> list[tuple[str, str]]:
    found = []
    for value in section.all("fingerprint"):
        name, _, digest = value.partition(" ")
        if name.lower() in _HASHES and _HASH.fullmatch(digest.strip()):
            found.append((name.lower(), digest.strip().upper()))
    return found[:MAX_FINGERPRINTS]


def _refused(section: _Section) -> list[str]:
    """Port 0, and left out of the bundle (RFC 9143 section 7.3.3)."""
    lines = [f"m={section.kind} 0 {section.protocol} {section.formats[0]}", "c=IN IP4 0.0.0.0"]
    mid = section.get("mid")
    return [*lines, *([] if mid is None else [f"a=mid:{mid}"]), "a=inactive"]


def _accepted(video: _Section, payload_type: str, rtx: str | None, ours: Ours) -> list[str]:
    formats = payload_type if rtx is None else f"{payload_type} {rtx}"
    lines = [f"m=video 9 {video.protocol} {formats}", "c=IN IP4 0.0.0.0"]
    if (mid := video.get("mid")) is not None:
        lines.append(f"a=mid:{mid}")
    lines += [
        f"a=ice-ufrag:{ours.ufrag}",
        f"a=ice-pwd:{ours.password}",
        f"a=fingerprint:sha-256 {ours.fingerprint}",
        "a=setup:passive",
        "a=rtcp-mux",
        "a=sendonly",
        f"a=rtpmap:{payload_type} H264/90000",
        f"a=fmtp:{payload_type} {_format_parameters(video.fmtp(payload_type))}",
    ]
    if _has_feedback(video, payload_type, "nack pli"):
        lines.append(f"a=rtcp-fb:{payload_type} nack pli")
    if rtx is not None:
        lines += [
            f"a=rtcp-fb:{payload_type} nack",
            f"a=rtpmap:{rtx} rtx/90000",
            f"a=fmtp:{rtx} apt={payload_type}",
            f"a=ssrc-group:FID {ours.ssrc} {ours.rtx_ssrc}",
        ]
    lines += ["a=msid:streamhub video", f"a=ssrc:{ours.ssrc} cname:{ours.cname}"]
    if rtx is not None:
        lines.append(f"a=ssrc:{ours.rtx_ssrc} cname:{ours.cname}")
    for index, (address, port) in enumerate(ours.candidates):
        # RFC 8445 section 5.1.2.1: earlier addresses are preferred.
        priority = 126 << 24 | (0xFFFF - index) << 8 | 255
        lines.append(f"a=candidate:{index + 1} 1 udp {priority} {address} {port} typ host")
    return [*lines, "a=end-of-candidates"]


def _format_parameters(offered: dict[str, str]) -> str:
    """The chosen format's own profile: a browser drops a payload type whose profile changed."""
    parameters = ["packetization-mode=1"]
    if offered.get("level-asymmetry-allowed") == "1":
        parameters.insert(0, "level-asymmetry-allowed=1")
    if re.fullmatch("[0-9a-fA-F]{6}", profile := offered.get("profile-level-id", "")):
        parameters.append(f"profile-level-id={profile}")
    return ";".join(parameters)
