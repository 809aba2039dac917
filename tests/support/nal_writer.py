"""Writes parameter sets and RTP packets bit by bit: what the parsers under test must read back."""

from __future__ import annotations

import struct


class BitWriter:
    def __init__(self) -> None:
        self._bits = ""

    def u(self, bits: int, value: int) -> BitWriter:
        self._bits += f"{value:0{bits}b}" if bits else ""
        return self

    def ue(self, *values: int) -> BitWriter:
        for value in values:
            text = f"{value + 1:b}"
            self._bits += "0" * (len(text) - 1) + text
        return self

    def se(self, *values: int) -> BitWriter:
        return self.ue(*(2 * v - 1 if v > 0 else -2 * v for v in values))

    def payload(self) -> bytes:
        """With the stop bit and emulation prevention bytes (H.264 section 7.4.1)."""
        bits = self._bits + "1"
        bits += "0" * (-len(bits) % 8)
        raw = int(bits, 2).to_bytes(len(bits) // 8)
        out = bytearray()
        zeros = 0
        for byte in raw:
            if zeros == 2 and byte <= 3:
                out.append(3)
                zeros = 0
            zeros = zeros + 1 if byte == 0 else 0
            out.append(byte)
        return bytes(out)


def rtp(
    payload: bytes, seq: int, rtp_ts: int, *, marker: bool = False, payload_type: int = 96
) -> bytes:
    second = payload_type | (0x80 if marker else 0)
    return struct.pack("!BBHII", 0x80, second, seq & 0xFFFF, rtp_ts & 0xFFFFFFFF, 7) + payload


def h264_slice(*, b: bool = False, key: bool = False, length: int = 40) -> bytes:
    """A NAL unit that begins as a slice does; what follows is filler."""
    header = bytes((0x65 if key else 0x41,))
    kind = 7 if key else (6 if b else 5)
    return header + BitWriter().ue(0, kind, 0).payload() + b"\xaa" * length


def sender_report(unix_s: float) -> bytes:
    """RFC 3550 section 6.4.1, without report blocks."""
    seconds = int(unix_s) + 2_208_988_800
    fraction = int((unix_s % 1) * (1 << 32))
    return struct.pack("!BBHIIIIII", 0x80, 200, 6, 7, seconds, fraction, 0, 0, 0)
