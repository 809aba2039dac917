"""Profiles of both media services become channels; services and addresses of a device are read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from gateways.onvif import media
from gateways.onvif.address import DeviceAddress
from gateways.onvif.errors import Fault
from gateways.onvif.services import (
    read_capabilities,
    read_device_information,
    read_mac,
    read_services,
)
from gateways.onvif.soap import body_of
from support import onvif_shapes as shapes
from support.onvif_shapes import profile, profile2

US = DeviceAddress("10.1.2.3", 8106)


def element(message: bytes) -> etree._Element:
    answer = body_of(message)
    assert not isinstance(answer, Fault)
    return answer


def listed(*written: str, media2: bool = False) -> list[media.MediaProfile]:
    return media.read_profiles(element(shapes.profiles(*written, media2=media2)), media2=media2)


def test_a_profile_of_media_is_read() -> None:
    [one] = listed(profile("P 1", ptz=True))
    assert one == media.MediaProfile(
        token="P 1",
        name="mainStream",
        media2=False,
        source_token="VideoSource_1",
        source_config_token="VSC_VideoSource_1",
        source_name="",  # nobody named it
        encoder_token="VideoEncoder_1",
        encoding="H264",
        width=1920,
        height=1080,
        fps=25.0,
        bitrate_bps=4_096_000,
        gov_length=50,
        codec_profile="High",
        has_ptz=True,
    )


def test_a_profile_of_media2_is_read() -> None:
    [one] = listed(profile2("P1"), media2=True)
    assert (one.encoding, one.gov_length, one.codec_profile) == ("H265", 60, "Main")
    assert (one.width, one.height, one.fps, one.bitrate_bps) == (2560, 1440, 12.5, 2_048_000)
    assert one.source_token == "VideoSource_1"


@pytest.mark.parametrize(
    ("written", "encoding"),
    [
        ("video/H265", "H265"),
        ("H.264", "H264"),
        ("hevc", "H265"),
        ("MJPEG", "JPEG"),
        ("AV1", "AV1"),
    ],
)
def test_encodings_have_one_name_each(written: str, encoding: str) -> None:
    [one] = listed(profile2("P", encoding=written), media2=True)
    assert one.encoding == encoding


def test_main_has_the_most_pixels_and_sub_comes_next() -> None:
    [source] = media.by_source(
        listed(
            profile("third", encoder="e3", size=(352, 288)),
            profile("main", encoder="e1", size=(3840, 2160)),
            profile("still", encoder="e4", size=(4096, 3072), encoding="JPEG"),
            profile("sub", encoder="e2", size=(704, 576)),
        ),
        [],
    )
    assert source.main.token == "main"
    assert source.sub is not None
    assert source.sub.token == "sub"
    assert source.name == "mainStream"


def test_what_media_calls_h264_media2_knows_to_be_h265() -> None:
    [source] = media.by_source(
        listed(profile("1", ptz=True), profile("2", encoder="e2", size=(704, 576))),
        listed(profile2("1"), media2=True),
    )
    assert (source.main.encoding, source.main.media2, source.main.pixels) == ("H265", True, 3686400)
    assert source.sub is not None
    assert (source.sub.token, source.sub.media2) == ("2", False)
    assert source.ptz_profile_token == "1"  # only Media said so


def test_services_that_name_profiles_differently_are_joined_by_encoder() -> None:
    [source] = media.by_source(
        listed(profile("media_1", ptz=True), profile("media_2", encoder="e2", size=(704, 576))),
        listed(profile2("m2_1"), profile2("m2_2", encoder="e2", size=(704, 576)), media2=True),
    )
    assert source.main.token == "m2_1"
    assert source.sub is not None
    assert source.sub.token == "m2_2"
    assert source.ptz_profile_token == "media_1"


def test_a_recorder_is_as_many_channels_as_it_has_sources() -> None:
    written = [
        profile(
            f"{number}-{kind}",
            source=f"src{number}",
            encoder=f"{number}-{kind}",
            size=size,
            source_name=f"北门 {number}",
        )
        for number in range(64)
        for kind, size in (("sub", (640, 360)), ("main", (1920, 1080)))
    ]
    sources = media.by_source(listed(*written), [])
    assert [one.main.token for one in sources] == [f"{number}-main" for number in range(64)]
    assert [one.name for one in sources[:2]] == ["北门 0", "北门 1"]


def test_a_source_that_names_only_its_configuration_is_still_one_source() -> None:
    [source] = media.by_source(
        [],
        listed(
            profile2("a", source_token=False),
            profile2("b", source_token=False, encoder="e2", size=(640, 360)),
            media2=True,
        ),
    )
    assert source.source_token == "VSC_VideoSource_1"
    assert source.sub is not None


def test_a_camera_that_has_only_stills_has_a_main_and_no_sub() -> None:
    [source] = media.by_source(
        listed(
            profile("a", encoding="JPEG"), profile("b", encoder="e2", encoding="JPEG", size=(1, 1))
        ),
        [],
    )
    assert source.main.token == "a"
    assert source.sub is None


def test_profiles_without_video_and_numbers_without_sense_are_left_out() -> None:
    audio = '<trt:Profiles token="audio"><tt:Name>sound</tt:Name></trt:Profiles>'
    assert listed(audio) == []
    [one] = listed(
        profile("P", size=(-1, 10**12)).replace(">25<", ">fast<").replace(">4096<", "><")
    )
    assert (one.width, one.height, one.fps, one.bitrate_bps) == (None, None, None, None)
    assert one.pixels == 0


def test_requests_name_the_profile_in_the_right_namespace() -> None:
    [one] = listed(profile("a&lt;b"))
    [two] = listed(profile2("P"), media2=True)
    assert "<trt:ProfileToken>a&lt;b</trt:ProfileToken>" in media.get_stream_uri(one).body
    assert "<tt:Protocol>RTSP</tt:Protocol>" in media.get_stream_uri(one).body
    assert media.get_stream_uri(two).body == (
        "<tr2:GetStreamUri><tr2:Protocol>RTSP</tr2:Protocol>"
        "<tr2:ProfileToken>P</tr2:ProfileToken></tr2:GetStreamUri>"
    )
    assert (
        media.get_snapshot_uri(two).action == "http://www.onvif.org/ver20/media/wsdl/GetSnapshotUri"
    )
    for media2 in (False, True):
        answer = element(shapes.uri("GetStreamUri", "rtsp://h/a", media2=media2))
        assert media.read_uri_answer(answer) == "rtsp://h/a"


def test_services_are_asked_at_the_server_that_answered() -> None:
    services = read_services(element(shapes.services("192.168.1.64:8106:8106")), US)
    assert services.url("media2") == "http://10.1.2.3:8106/onvif/media2_service"
    assert services.url("imaging") is None
    assert services.web_port == 8106
    older = read_capabilities(element(shapes.capabilities("0.0.0.0")), US)
    assert sorted(older.urls) == ["events", "media", "ptz"]
    assert older.web_port == 80


def test_a_device_says_who_it_is() -> None:
    told = read_device_information(element(shapes.DEVICE_INFORMATION))
    assert (told.manufacturer, told.model) == ("Example Vision", "EV-D4 球机")
    assert (told.firmware, told.serial) == ("V5.7.3 build 220112", "EV20220112AAWR001")
    assert read_mac(element(shapes.NETWORK_INTERFACES)) == "c0:56:e3:0a:0b:0c"
    assert read_mac(element(shapes.DEVICE_INFORMATION)) is None


PARTS = st.recursive(
    st.text(st.characters(categories=["L", "N"]), max_size=6),
    lambda inner: st.builds(
        lambda name, token, inside: f'<{name} token="{token}">{"".join(inside)}</{name}>',
        st.sampled_from(
            [
                "Profiles",
                "Configurations",
                "VideoSource",
                "VideoEncoder",
                "VideoSourceConfiguration",
                "VideoEncoderConfiguration",
                "SourceToken",
                "Resolution",
                "Width",
                "Service",
                "XAddr",
                "Namespace",
                "NetworkInterfaces",
                "Info",
                "HwAddress",
            ]
        ),
        st.text(st.characters(categories=["L", "N"]), max_size=3),
        st.lists(inner, max_size=4),
    ),
    max_leaves=30,
)


@settings(deadline=None)
@given(st.lists(PARTS, max_size=5))
def test_any_well_formed_answer_is_read_or_left_out(parts: list[str]) -> None:
    answer = element(shapes.envelope(f"<R>{''.join(parts)}</R>"))
    both = [media.read_profiles(answer, media2=media2) for media2 in (False, True)]
    for source in media.by_source(*both):
        assert source.main.source_token == source.source_token
        assert source.sub is None or source.sub.token != source.main.token
    assert read_services(answer, US).urls.keys() <= {"media", "media2", "ptz", "events"}
    read_mac(answer)
    read_device_information(answer)
