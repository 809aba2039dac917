"""The worker process: keyframes in on stdin, JPEGs out on stdout, until stdin ends.

Run as a file (`python -I worker.py NICE`), never imported by the control plane, and imports
nothing of it. Each message is a header and a body:
    in   codec u8 (0 H.264, 1 H.265), most width u16 BE (0: as it is), length u32 BE,
         Annex-B access unit
    out  status u8 (0 a picture, 1 not decodable), width u16, height u16, length u32 BE,
         JPEG or a reason in UTF-8
"""

from __future__ import annotations

import os
import resource
import struct
import sys
from fractions import Fraction
from typing import BinaryIO

import av
from av.video.codeccontext import VideoCodecContext

REQUEST = struct.Struct(">BHI")
# FFmpeg's names, by the request's number.
DECODERS = ("h264", "hevc")
REPLY = struct.Struct(">BHHI")
STATUS_PICTURE = 0
STATUS_UNDECODABLE = 1
# 8K; a bitstream that claims more is refused before anything is allocated.
MAX_PIXELS = 7680 * 4320
# Address space, most of it libraries; a decoder that wants more is being attacked.
MAX_ADDRESS_SPACE_BYTES = 4 << 30
# FFmpeg's scale 2 (best) to 31; 5 is hard to tell from the source at half the bytes.
JPEG_QSCALE = 5


def to_jpeg(decoder_name: str, annexb: bytes, most_width: int) -> tuple[bytes, int, int]:
    """Decode one access unit and encode it, made smaller where it is wider than `most_width` (0:
    never). Raises ValueError or av.FFmpegError."""
    decoder = av.CodecContext.create(decoder_name, "r")
    assert isinstance(decoder, VideoCodecContext)  # noqa: S101  (for the type checker)
    decoder.thread_count = 1
    decoder.options = {"max_pixels": str(MAX_PIXELS)}
    pictures = decoder.decode(av.Packet(annexb)) + decoder.decode(None)
    if not pictures:
        raise ValueError("no picture in the access unit")
    width, height = pictures[0].width, pictures[0].height
    if 0 < most_width < width:
        # Even sides, as 4:2:0 wants them.
        width, height = most_width // 2 * 2, max(2, round(height * most_width / width / 2) * 2)
    picture = pictures[0].reformat(width, height, format="yuvj420p")
    picture.pts = 0
    encoder = av.CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, VideoCodecContext)  # noqa: S101  (for the type checker)
    encoder.width, encoder.height = picture.width, picture.height
    encoder.pix_fmt = "yuvj420p"
    encoder.thread_count = 1
    encoder.framerate = Fraction(25)  # the encoder wants one; a still has none
    encoder.qmin = encoder.qmax = JPEG_QSCALE
    packets = encoder.encode(picture) + encoder.encode(None)
    return b"".join(bytes(packet) for packet in packets), picture.width, picture.height


def read_exactly(stream: BinaryIO, length: int) -> bytes | None:
    """That many bytes, or None when the other end is gone."""
    data = stream.read(length)
    return data if len(data) == length else None


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests in order until they end."""
    while (header := read_exactly(requests, REQUEST.size)) is not None:
        codec, most_width, length = REQUEST.unpack(header)
        annexb = read_exactly(requests, length)
        if annexb is None:
            return
        try:
            body, width, height = to_jpeg(DECODERS[codec], annexb, most_width)
            status = STATUS_PICTURE
        except (ValueError, av.FFmpegError, MemoryError) as error:
            body, width, height = f"{type(error).__name__}: {error}".encode()[:500], 0, 0
            status = STATUS_UNDECODABLE
        replies.write(REPLY.pack(status, width, height, len(body)) + body)
        replies.flush()


def main() -> None:
    os.nice(int(sys.argv[1]))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = (
        MAX_ADDRESS_SPACE_BYTES
        if hard == resource.RLIM_INFINITY
        else min(hard, MAX_ADDRESS_SPACE_BYTES)
    )
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    av.logging.set_level(av.logging.PANIC)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get between the replies
    serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
