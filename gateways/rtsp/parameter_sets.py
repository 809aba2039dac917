"""What a sequence parameter set says of the pictures: H.264 section 7.3.2.1, H.265 7.3.2.2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateways.rtsp.bits import BitReader, BitstreamInvalid, unescaped

# 8K and a little; a set that claims more is broken (or hostile).
MAX_SIDE_PIXELS: Final = 16_384
MAX_FPS: Final = 300.0
# H.264 profiles that carry chroma format, bit depths and scaling lists (section 7.3.2.1.1).
_HIGH: Final = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_H264_PROFILES: Final = {
    66: "Baseline",
    77: "Main",
    88: "Extended",
    100: "High",
    110: "High 10",
    122: "High 4:2:2",
    244: "High 4:4:4 Predictive",
}
_H265_PROFILES: Final = {1: "Main", 2: "Main 10", 3: "Main Still Picture", 4: "Range Extensions"}
_CHROMA: Final = ("4:0:0", "4:2:0", "4:2:2", "4:4:4")
_EXTENDED_SAR: Final = 255


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """Of a stream. `fps` is what the set declares, None when it does not. `reorders`: pictures may
    be shown in another order than they come (H.265 says so in the set; False for H.264)."""

    profile: str
    level: str
    width: int
    height: int
    fps: float | None
    chroma: str = "4:2:0"
    bit_depth: int = 8
    interlaced: bool = False
    reorders: bool = False


def h264_format(nal: bytes) -> PictureFormat:
    """Of a NAL unit of type 7. Raises `BitstreamInvalid`."""
    if len(nal) < 4 or nal[0] & 0x1F != 7:
        raise BitstreamInvalid("it is no H.264 sequence parameter set")
    bits = BitReader(unescaped(nal[1:]))
    profile_idc, constraints, level_idc = bits.u(8), bits.u(8), bits.u(8)
    bits.ue()  # seq_parameter_set_id
    chroma, depth = 1, 8
    if profile_idc in _HIGH:
        chroma = _at_most(bits.ue(), 3, "chroma format")
        if chroma == 3:
            bits.skip(1)  # separate_colour_plane_flag
        depth = 8 + _at_most(bits.ue(), 6, "bit depth")
        bits.ue()  # of chroma
        bits.skip(1)
        if bits.flag():
            for index in range(12 if chroma == 3 else 8):
                if bits.flag():
                    _scaling_list(bits, 16 if index < 6 else 64)
    bits.ue()  # log2_max_frame_num_minus4
    order = bits.ue()
    if order == 0:
        bits.ue()
    elif order == 1:
        bits.skip(1)
        bits.se()
        bits.se()
        for _ in range(_at_most(bits.ue(), 255, "picture order cycle")):
            bits.se()
    bits.ue()  # max_num_ref_frames
    bits.skip(1)
    across, down = bits.ue() + 1, bits.ue() + 1
    frames_only = bits.flag()
    if not frames_only:
        bits.skip(1)
    bits.skip(1)
    left = right = top = bottom = 0
    if bits.flag():
        left, right, top, bottom = (bits.ue() for _ in range(4))
    # Table 6-1: units of the cropping rectangle.
    across_unit = 2 if chroma in (1, 2) else 1
    down_unit = (2 if chroma == 1 else 1) * (1 if frames_only else 2)
    width = across * 16 - across_unit * (left + right)
    height = down * 16 * (1 if frames_only else 2) - down_unit * (top + bottom)
    _check_size(width, height)
    return PictureFormat(
        profile=_h264_profile(profile_idc, constraints),
        level=_h264_level(profile_idc, constraints, level_idc),
        width=width,
        height=height,
        # A frame has two ticks: time_scale counts fields (E.2.1).
        fps=_fps(bits, ticks_per_picture=2) if bits.flag() else None,
        chroma=_CHROMA[chroma],
        bit_depth=depth,
        interlaced=not frames_only,
    )


def h265_format(nal: bytes) -> PictureFormat:
    """Of a NAL unit of type 33. Raises `BitstreamInvalid`."""
    if len(nal) < 4 or nal[0] >> 1 & 0x3F != 33:
        raise BitstreamInvalid("it is no H.265 sequence parameter set")
    bits = BitReader(unescaped(nal[2:]))
    bits.skip(4)  # sps_video_parameter_set_id
    sub_layers = bits.u(3)
    bits.skip(1)
    profile, level, interlaced = _profile_tier_level(bits, sub_layers)
    bits.ue()  # sps_seq_parameter_set_id
    chroma = _at_most(bits.ue(), 3, "chroma format")
    if chroma == 3:
        bits.skip(1)
    width, height = bits.ue(), bits.ue()
    if bits.flag():
        left, right, top, bottom = (bits.ue() for _ in range(4))
        width -= (2 if chroma in (1, 2) else 1) * (left + right)
        height -= (2 if chroma == 1 else 1) * (top + bottom)
    _check_size(width, height)
    depth = 8 + _at_most(bits.ue(), 8, "bit depth")
    bits.ue()  # of chroma
    order_bits = 4 + _at_most(bits.ue(), 12, "picture order count")
    reorder = 0
    for _ in range(sub_layers + 1 if bits.flag() else 1):
        bits.ue()
        reorder = bits.ue()
        bits.ue()
    return PictureFormat(
        profile=profile,
        level=level,
        width=width,
        height=height,
        fps=_h265_fps(bits, order_bits),
        chroma=_CHROMA[chroma],
        bit_depth=depth,
        interlaced=interlaced,
        reorders=reorder > 0,
    )


def _profile_tier_level(bits: BitReader, sub_layers: int) -> tuple[str, str, bool]:
    """H.265 section 7.3.3: profile, level, and whether the source is interlaced only."""
    bits.skip(3)
    profile_idc = bits.u(5)
    compatible = bits.u(32)
    progressive, interlaced = bits.flag(), bits.flag()
    bits.skip(46)
    level_idc = bits.u(8)
    present = [(bits.flag(), bits.flag()) for _ in range(sub_layers)]
    if sub_layers:
        bits.skip(2 * (8 - sub_layers))
    for has_profile, has_level in present:
        bits.skip((88 if has_profile else 0) + (8 if has_level else 0))
    if profile_idc == 0:  # some encoders say it by the compatibility flags alone
        profile_idc = next((n for n in (1, 2, 3, 4) if compatible >> (31 - n) & 1), 0)
    name = _H265_PROFILES.get(profile_idc, f"profile {profile_idc}")
    return name, f"{level_idc / 30:.1f}", interlaced and not progressive


def _h265_fps(bits: BitReader, order_bits: int) -> float | None:
    """Steps over what lies before the VUI, and reads its timing."""
    for _ in range(6):  # block and transform sizes, transform depths
        bits.ue()
    if bits.flag() and bits.flag():
        _h265_scaling_lists(bits)
    bits.skip(2)
    if bits.flag():  # pcm
        bits.skip(8)
        bits.ue()
        bits.ue()
        bits.skip(1)
    _reference_sets(bits)
    if bits.flag():
        for _ in range(_at_most(bits.ue(), 32, "long-term references")):
            bits.skip(order_bits + 1)
    bits.skip(2)
    if not bits.flag():
        return None
    _vui_before_timing(bits)
    bits.skip(3)  # neutral_chroma, field_seq, frame_field_info
    if bits.flag():  # default display window
        for _ in range(4):
            bits.ue()
    return _timing(bits, ticks_per_picture=1)


def _h265_scaling_lists(bits: BitReader) -> None:
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not bits.flag():
                bits.ue()
                continue
            if size > 1:
                bits.se()
            for _ in range(min(64, 1 << (4 + (size << 1)))):
                bits.se()


def _reference_sets(bits: BitReader) -> None:
    """Short-term reference picture sets (section 7.3.7), for their length only."""
    pictures: list[int] = []
    for index in range(_at_most(bits.ue(), 64, "reference sets")):
        if index and bits.flag():
            bits.skip(1)
            bits.ue()
            count = 0
            for _ in range(pictures[index - 1] + 1):
                used = bits.flag()
                if used or bits.flag():
                    count += 1
            pictures.append(count)
            continue
        before, after = (_at_most(bits.ue(), 16, "references") for _ in range(2))
        for _ in range(before + after):
            bits.ue()
            bits.skip(1)
        pictures.append(before + after)


def _fps(bits: BitReader, *, ticks_per_picture: int) -> float | None:
    _vui_before_timing(bits)
    return _timing(bits, ticks_per_picture=ticks_per_picture)


def _vui_before_timing(bits: BitReader) -> None:
    """H.264 section E.1.1, H.265 E.2.1: the same up to here."""
    if bits.flag() and bits.u(8) == _EXTENDED_SAR:
        bits.skip(32)
    if bits.flag():
        bits.skip(1)
    if bits.flag():
        bits.skip(4)
        if bits.flag():
            bits.skip(24)
    if bits.flag():
        bits.ue()
        bits.ue()


def _timing(bits: BitReader, *, ticks_per_picture: int) -> float | None:
    if not bits.flag():
        return None
    units, scale = bits.u(32), bits.u(32)
    if units == 0 or scale == 0:
        return None
    fps = scale / (ticks_per_picture * units)
    return round(fps, 3) if fps <= MAX_FPS else None


def _scaling_list(bits: BitReader, size: int) -> None:
    """H.264 section 7.3.2.1.1.1."""
    last = following = 8
    for _ in range(size):
        if following != 0:
            following = (last + bits.se()) % 256
        last = following or last


def _h264_profile(profile_idc: int, constraints: int) -> str:
    if profile_idc == 66 and constraints & 0x40:
        return "Constrained Baseline"
    return _H264_PROFILES.get(profile_idc, f"profile {profile_idc}")


def _h264_level(profile_idc: int, constraints: int, level_idc: int) -> str:
    if level_idc == 11 and profile_idc in (66, 77, 88) and constraints & 0x10:
        return "1b"
    return f"{level_idc / 10:.1f}"


def _at_most(value: int, bound: int, what: str) -> int:
    if value > bound:
        raise BitstreamInvalid(f"{what} is {value}, more than {bound}")
    return value


def _check_size(width: int, height: int) -> None:
    if not (0 < width <= MAX_SIDE_PIXELS and 0 < height <= MAX_SIDE_PIXELS):
        raise BitstreamInvalid(f"a picture of {width}x{height} pixels")
