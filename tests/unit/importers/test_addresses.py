"""Cameras at one address: a recorder's channels are none of our business, doubles are."""

from __future__ import annotations

import pytest

from camera_registry import validation as check
from camera_registry.importers.addresses import Addresses, Spot
from camera_registry.importers.vendors import channel_of


def at(
    url: str | None = None,
    ipv4: str | None = None,
    *,
    port: str | None = None,
    number: str | None = None,
    device: str | None = "de_1",
    id: str | None = None,
) -> Spot:
    main = check.rtsp_url("main_url", url) if url else None
    return Spot(f"{url or ipv4}", main, ipv4, port, number, device, id)


def told(*spots: Spot) -> list[int]:
    """Which of these are told to share an address, counted from 0."""
    where = Addresses()
    return [index for index, spot in enumerate(spots) if where.of(spot) is not None]


HIK = "rtsp://10.0.0.1/Streaming/Channels/{}"


@pytest.mark.parametrize(
    "path",
    ["/Streaming/Channels/{}01", "/cam/realmonitor?channel={}&subtype=0", "/ch{}", "/live/{}/main"],
)
def test_channels_of_one_recorder_are_not_told(path: str) -> None:
    assert told(*(at(f"rtsp://10.0.0.1{path.format(n)}", "10.0.0.1") for n in range(1, 17))) == []


def test_main_and_sub_stream_of_a_channel_are_one_camera_twice() -> None:
    again = Addresses()
    assert again.of(at(HIK.format("1601"))) is None
    found = again.of(at(HIK.format("1602") + "?transportmode=unicast"))
    assert found is not None
    assert (found.key, found.code, found.severity) == ("main_url", "address_shared", "warning")
    assert "rtsp://10.0.0.1/Streaming/Channels/1601 has the same address" in found.sentence
    assert "channel 16" in found.sentence


def test_the_number_of_a_form_tells_channels_apart_where_the_path_does_not() -> None:
    one = at("rtsp://10.0.0.1/a", number="1")
    assert told(one, at("rtsp://10.0.0.1/b/c", number="2")) == []
    assert told(
        one, at("rtsp://10.0.0.1/b/c", number="2"), at("rtsp://10.0.0.1/d", number="1")
    ) == [2]


def test_a_path_of_another_kind_beside_a_single_camera_is_told() -> None:
    single, other = at("rtsp://10.0.0.1/stream1"), at(HIK.format("101"))
    assert told(single, other) == [1]
    assert told(single, at("rtsp://10.0.0.1/stream2"), other) == []  # a box of several
    assert told(single, at("rtsp://10.0.0.1:8554/Streaming/Channels/101")) == []


def test_another_device_at_one_address_is_told_once_and_not_for_each_of_its_channels() -> None:
    first = [at(HIK.format(f"{n}01")) for n in range(1, 9)]
    second = [at(HIK.format(f"{n}01"), device="de_2") for n in range(9, 17)]
    assert told(*first, *second) == [8]
    assert told(*first, at(HIK.format("901"), device=None)) == []  # of a row that is refused


def test_of_many_devices_behind_one_address_the_second_alone_is_told() -> None:
    many = [at(f"rtsp://10.0.0.1:8554/cam/{n}/main", device=f"de_{n}") for n in range(1, 100)]
    assert told(*many) == [1]


def test_an_ipv4_address_that_is_not_dialled_finds_the_camera_that_is_there() -> None:
    dialled = at("rtsp://10.0.0.5/cam/5", "10.0.0.5", port="8000")
    moved = at("rtsp://10.0.0.9/cam/9", "10.0.0.5", device="de_9")
    assert told(dialled, moved) == told(moved, dialled) == [1]
    assert told(dialled, replaced := moved._replace(access_port="8000")) == [1]
    assert told(dialled, replaced._replace(access_port="9000")) == []
    found = Addresses()
    found.add(dialled)
    assert (again := found.of(moved)) is not None
    assert again.key == "ipv4"
    assert "the same IPv4 address" in again.sentence


def test_cameras_behind_a_recorder_have_their_own_address_in_the_form() -> None:
    channels = [at(HIK.format(f"{n}01"), f"10.1.0.{n}") for n in range(1, 17)]
    assert told(*channels) == []
    assert told(*channels, at("rtsp://10.1.0.3/stream1", device="de_3")) == [16]  # registered twice


def test_without_urls_it_is_told_by_port_and_channel_number() -> None:
    one = at(None, "10.0.0.1", port="554", device=None)
    assert told(one, one, one) == [1, 2]
    numbered = one._replace(channel_number="1")
    assert told(numbered, numbered._replace(channel_number="2")) == []
    assert told(one, one._replace(access_port="555")) == []


def test_a_camera_does_not_share_with_itself() -> None:
    here = at("rtsp://10.0.0.1/stream1", "10.0.0.1", id="ch_1")
    assert told(here, replace_url(here, "rtsp://10.0.0.1/Streaming/Channels/101")) == []


def replace_url(spot: Spot, url: str) -> Spot:
    return spot._replace(main=check.rtsp_url("main_url", url))


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/Streaming/Channels/101", "1"),
        ("/streaming/channels/1602?x=y", "16"),
        ("/cam/realmonitor?channel=3&subtype=1&unicast=true", "3"),
        ("/h264Preview_04_main", "4"),
        ("/unicast/c12/s1/live", "12"),
        ("/stream1", None),
        ("/3/1", None),
        ("/cam/5/main", None),
    ],
)
def test_the_channel_in_a_makers_path(path: str, number: str | None) -> None:
    assert channel_of(path) == number
