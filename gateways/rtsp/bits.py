"""Bits of a NAL unit: fixed-width numbers and Exp-Golomb codes (H.264 section 9.1, H.265 9.2)."""

from __future__ import annotations

from typing import Final

# A code number of more leading zeros does not fit the 32 bits that both standards allow.
MAX_LEADING_ZEROS: Final = 32


class BitstreamInvalid(Exception):
    """A parameter set or a slice header that does not read; the message says where it broke."""

    code = "bad_bitstream"


def unescaped(nal: bytes) -> bytes:
    """The payload without emulation prevention bytes (H.264 section 7.4.1, H.265 7.4.2)."""
    if b"\0\0\3" not in nal:
        return nal
    out = bytearray()
    zeros = 0
    for byte in nal:
        if zeros >= 2 and byte == 3:
            zeros = 0
            continue
        zeros = zeros + 1 if byte == 0 else 0
        out.append(byte)
    return bytes(out)


class BitReader:
    """Reads from the first bit on. Every method raises `BitstreamInvalid` at the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data)
        self._left = len(data) * 8

    def u(self, bits: int) -> int:
        """An unsigned number of so many bits."""
        if bits > self._left:
            raise BitstreamInvalid("it ends in the middle of a field")
        self._left -= bits
        return (self._value >> self._left) & ((1 << bits) - 1)

    def flag(self) -> bool:
        return self.u(1) == 1

    def skip(self, bits: int) -> None:
        self.u(bits)

    def ue(self) -> int:
        """ue(v): 0 to 2**32 - 2."""
        zeros = 0
        while not self.flag():
            zeros += 1
            if zeros > MAX_LEADING_ZEROS:
                raise BitstreamInvalid("an Exp-Golomb code is longer than 32 bits")
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """se(v)."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)
