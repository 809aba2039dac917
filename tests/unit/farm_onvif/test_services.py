"""What a device tells of itself, and how each fault shows on the wire."""

from __future__ import annotations

import re

import pytest

from streamhub.farm_onvif import front
from streamhub.farm_onvif.http_message import Answer, HttpRequest
from support.onvif_client import (
    NAMESPACES,
    NOW,
    STILLS,
    call,
    device,
    devices,
    post,
    request,
    text_of,
)

SERVICES = "<tds:GetServices><tds:IncludeCapability>true</tds:IncludeCapability></tds:GetServices>"
STREAM1 = (
    "<trt:GetStreamUri><trt:StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport>"
    "<tt:Protocol>RTSP</tt:Protocol></tt:Transport></trt:StreamSetup>"
    "<trt:ProfileToken>{}</trt:ProfileToken></trt:GetStreamUri>"
)
STREAM2 = (
    "<tr2:GetStreamUri><tr2:Protocol>RTSP</tr2:Protocol>"
    "<tr2:ProfileToken>{}</tr2:ProfileToken></tr2:GetStreamUri>"
)
INFORMATION = "<tds:GetDeviceInformation/>"


def namespaces(answer: Answer) -> list[str]:
    return re.findall(r"<tds:Namespace>([^<]*)<", answer.body.decode())


def test_who_it_is_comes_from_its_number() -> None:
    told = [call(each, INFORMATION) for each in devices(devices=8)]
    assert text_of(told[0], "tds:Manufacturer") == "HIKVISION"
    assert text_of(told[7], "tds:Model") == "TC-H324S"
    assert text_of(told[7], "tds:SerialNumber") == "TD000000008"


def test_each_device_has_its_own_mac_and_address() -> None:
    told = call(device(258, network="127.77.0.0/22"), "<tds:GetNetworkInterfaces/>")
    assert text_of(told, "tt:HwAddress") == "02:53:48:00:01:02"
    assert text_of(told, "tt:Address") == "127.77.1.2"


def test_services_and_capabilities_tell_the_same_addresses() -> None:
    asked = device(4)
    services = call(asked, SERVICES)
    # The fourth vendor's devices have no Media2; every fourth device has PTZ.
    expected = [NAMESPACES[prefix] for prefix in ("tds", "tev", "trt", "tptz")]
    assert namespaces(services) == expected
    capabilities = call(asked, "<tds:GetCapabilities/>")
    pattern = r"XAddr>([^<]+)</"
    told = [set(re.findall(pattern, each.body.decode())) for each in (services, capabilities)]
    assert told[0] == told[1]
    assert "http://127.77.0.4:8000/onvif/media" in told[0]


def test_one_category_is_told_alone_and_one_that_is_not_there_is_a_fault() -> None:
    form = "<tds:GetCapabilities><tds:Category>{}</tds:Category></tds:GetCapabilities>"
    media = call(device(), form.format("Media")).body.decode()
    assert ("<tt:Media>" in media, "<tt:Events>" in media) == (True, False)
    ptz = call(device(), form.format("PTZ"))
    assert (ptz.status, "ter:NoSuchService" in ptz.body.decode()) == (500, True)


@pytest.mark.parametrize(
    ("prefix", "stream", "tag"), [("trt", STREAM1, "tt:Uri"), ("tr2", STREAM2, "tr2:Uri")]
)
def test_an_nvr_has_a_main_and_a_sub_profile_for_each_channel(
    prefix: str, stream: str, tag: str
) -> None:
    asked = devices(devices=2, channels=3, rtsp_port=9554)[1]
    body = "<tr2:Type>All</tr2:Type>" if prefix == "tr2" else ""
    profiles = call(asked, f"<{prefix}:GetProfiles>{body}</{prefix}:GetProfiles>").body.decode()
    tokens = re.findall(r"Profiles token=\"([^\"]+)\"", profiles)
    assert len(set(tokens)) == 6
    uris = [text_of(call(asked, stream.format(token)), tag) for token in tokens]
    assert uris == [
        f"rtsp://127.77.0.2:9554/cam/{camera}/{name}"
        for camera in (4, 5, 6)
        for name in ("main", "sub")
    ]
    assert re.findall(r"<tt:Width>(\d+)<", profiles) == ["1920", "640"] * 3
    assert re.findall(r"SourceToken>(\w+)<", profiles)[::2] == [
        "VideoSource_1", "VideoSource_2", "VideoSource_3",
    ]  # fmt: skip


def test_media2_tells_configurations_only_of_the_types_asked_for() -> None:
    asked = device(1)
    form = "<tr2:GetProfiles>{}</tr2:GetProfiles>"
    bare = call(asked, form.format("")).body.decode()
    assert "Configurations" not in bare
    some = call(asked, form.format("<tr2:Type>VideoEncoder</tr2:Type>")).body.decode()
    assert ("<tr2:VideoEncoder " in some, "<tr2:VideoSource " in some) == (True, False)
    one = form.format("<tr2:Token>Profile_102</tr2:Token>")
    assert re.findall(r"Profiles token=\"([^\"]+)\"", call(asked, one).body.decode()) == [
        "Profile_102"
    ]


@pytest.mark.parametrize(
    ("operation", "subcode"),
    [
        (STREAM1.format("none"), "ter:NoProfile"),
        (STREAM2.format(""), "ter:NoProfile"),
        (
            STREAM1.replace("RTP-Unicast", "RTP-Multicast").format("Profile_101"),
            "ter:InvalidStreamSetup",
        ),
        (
            STREAM2.replace(">RTSP<", ">RtspOverHttp<").format("Profile_101"),
            "ter:InvalidStreamSetup",
        ),
        ("<tr2:GetProfiles><tr2:Token>x</tr2:Token></tr2:GetProfiles>", "ter:NoProfile"),
    ],
)
def test_a_wrong_question_is_a_fault(operation: str, subcode: str) -> None:
    answer = call(device(), operation)
    assert (answer.status, subcode in answer.body.decode()) == (400, True)


def test_an_operation_at_another_services_address_is_not_supported() -> None:
    answer = call(device(), INFORMATION, path="/onvif/media")
    assert "ter:ActionNotSupported" in answer.body.decode()


def test_an_answer_names_the_message_it_answers() -> None:
    header = '<a:MessageID xmlns:a="http://www.w3.org/2005/08/addressing">urn:uuid:7</a:MessageID>'
    answer = post(device(), request("<tds:GetServices/>", header), path="/onvif/device_service")
    assert text_of(answer, "wsa5:RelatesTo") == "urn:uuid:7"


# --- faults ---------------------------------------------------------------------------------------


def test_a_media2_only_device_has_no_media1() -> None:
    asked = device(4)  # of a vendor whose other devices have no Media2
    asked.faults = asked.faults.adding("media2-only")
    assert NAMESPACES["trt"] not in namespaces(call(asked, SERVICES))
    assert NAMESPACES["tr2"] in namespaces(call(asked, SERVICES))
    assert "<tt:Media>" not in call(asked, "<tds:GetCapabilities/>").body.decode()
    assert call(asked, "<trt:GetProfiles/>").status == 500
    assert call(asked, STREAM2.format("1-1")).status == 200


def test_a_wrong_host_is_in_every_address_told() -> None:
    asked = device(4)
    asked.faults = asked.faults.adding("wrong-host")
    token = "<trt:ProfileToken>1-1</trt:ProfileToken>"
    subscribe = "<tev:CreatePullPointSubscription/>"
    for operation in (
        SERVICES,
        "<tds:GetCapabilities/>",
        STREAM1.format("1-1"),
        f"<trt:GetSnapshotUri>{token}</trt:GetSnapshotUri>",
        subscribe,
    ):
        hosts = set(
            re.findall(r"(?:http|rtsp)://(\d[^:/<]*)", call(asked, operation).body.decode())
        )
        assert hosts == {"192.0.2.1"}, operation


def test_faults_with_http_400() -> None:
    asked = device()
    assert call(asked, "<tds:Reboot/>").status == 500
    asked.faults = asked.faults.adding("fault-400")
    answer = call(asked, "<tds:Reboot/>")
    assert (answer.status, "ter:ActionNotSupported" in answer.body.decode()) == (400, True)


def test_a_huge_answer_is_over_two_megabytes_and_well_formed() -> None:
    asked = device()
    asked.faults = asked.faults.adding("huge")
    answer = call(asked, INFORMATION)
    assert len(answer.body) > 2 << 20
    assert answer.body.endswith(b"--></s:Envelope>")


def test_a_dtd_answer_has_a_document_type_whose_entity_grows() -> None:
    asked = device()
    asked.faults = asked.faults.adding("dtd")
    body = call(asked, INFORMATION).body
    assert b"<!DOCTYPE s:Envelope [<!ENTITY e0 'x'>" in body
    assert body.count(b"&e5;") == 10
    assert b"&e6;</s:Body>" in body


def test_a_redirect_counts_who_follows() -> None:
    asked = device()
    asked.faults = asked.faults.adding("redirect")
    answer = call(asked, INFORMATION)
    assert answer.status == 302
    assert dict(answer.headers)["Location"] == ("http://127.77.0.1:8000/moved/onvif/device_service")
    assert asked.counters.redirects_followed == 0
    assert call(asked, INFORMATION, path="/moved/onvif/device_service").status == 200
    assert asked.counters.redirects_followed == 1


def test_a_slow_device_says_after_how_long() -> None:
    asked = device()
    assert call(asked, INFORMATION).after_s == 0
    asked.faults = asked.faults.adding("slow:7.5")
    assert call(asked, INFORMATION).after_s == 7.5


def test_a_device_that_does_not_answer_is_silent() -> None:
    asked = device()
    asked.faults = asked.faults.adding("no-answer")
    given = HttpRequest("POST", "/onvif/device_service", {}, request("<tds:GetServices/>"))
    assert front.answer(asked, given, NOW, STILLS) is None


# --- stills ---------------------------------------------------------------------------------------


def get(path: str) -> Answer:
    """Of device 2, whose cameras are 4 to 6 and which asks nobody for a password."""
    asked = devices(devices=2, channels=3, credentials=())[1]
    answer = front.answer(asked, HttpRequest("GET", path, {}, b""), NOW, STILLS)
    assert isinstance(answer, Answer)
    return answer


def test_a_still_is_that_of_the_cameras_scene() -> None:
    assert [get(f"/onvif/snapshot/{n}").body for n in (1, 2, 3)] == [STILLS[0], *STILLS[1:3]]
    assert get("/onvif/snapshot/4").status == 404


def test_a_still_asks_for_the_password() -> None:
    answer = front.answer(device(), HttpRequest("GET", "/onvif/snapshot/1", {}, b""), NOW, STILLS)
    assert isinstance(answer, Answer)
    assert answer.status == 401


def test_only_post_is_soap() -> None:
    assert get("/onvif/device_service").status == 405
