"""Foreign XML is read by local names, mended where firmwares err, and refused in one way."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from gateways.onvif.errors import NEXT_STEP, BadAnswer, Fault, OnvifError
from gateways.onvif.soap import (
    attribute,
    body_of,
    envelope,
    find,
    flag,
    integer,
    name_of,
    number,
    operation,
    parse,
    text_of,
    xml,
)
from support import onvif_shapes as shapes


def element(message: bytes) -> etree._Element:
    answer = body_of(message)
    assert not isinstance(answer, Fault)
    return answer


def test_what_we_write_can_be_read() -> None:
    nasty = "a<b>&\"c' \x00\x0b]]> 球机 \U0001f600"
    request = operation("tptz", "SetPreset", f"<tptz:PresetName>{xml(nasty)}</tptz:PresetName>")
    answer = element(envelope(request, "<wsa:To>x</wsa:To>"))
    assert request.action == "http://www.onvif.org/ver20/ptz/wsdl/SetPreset"
    assert answer.tag == "{http://www.onvif.org/ver20/ptz/wsdl}SetPreset"
    assert text_of(answer, "PresetName") == "a<b>&\"c' ]]> 球机 \U0001f600"


def test_names_are_local_and_values_are_trimmed() -> None:
    answer = element(shapes.profiles(shapes.profile("a b", size=(704, 576))))
    assert name_of(answer) == "GetProfilesResponse"
    width = "Profiles/VideoEncoderConfiguration/Resolution/Width"
    assert text_of(answer, width) == "704"
    assert attribute(find(answer, "Profiles"), "token") == "a b"
    assert text_of(answer, "Profiles/Nothing/There") == ""
    assert attribute(None, "token") == ""
    assert [integer(" 25 "), integer("12.5"), integer("many"), number("nan"), number("inf")] == [
        25,
        12,
        None,
        None,
        None,
    ]
    assert [flag(" true"), flag("1"), flag("True"), flag("false"), flag("")] == [
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (
            shapes.fault("ter:NotAuthorized", "Sender not Authorized"),
            Fault("Sender", ("NotAuthorized",), "Sender not Authorized"),
        ),
        (
            b'<E:Envelope xmlns:E="http://schemas.xmlsoap.org/soap/envelope/"><E:Body><E:Fault>'
            b"<faultcode>E:Client</faultcode><faultstring>Unauthorized</faultstring>"
            b"</E:Fault></E:Body></E:Envelope>",
            Fault("Client", (), "Unauthorized"),
        ),
    ],
)
def test_faults_of_both_soaps_say_that_it_is_about_who_asks(body: bytes, fault: Fault) -> None:
    assert body_of(body) == fault
    assert fault.not_authorized
    assert not fault.locked


def test_a_fault_about_something_else_is_not_about_who_asks() -> None:
    fault = body_of(shapes.fault("ter:ActionNotSupported", "not authorized to do what is unknown"))
    assert isinstance(fault, Fault)
    assert fault.not_supported
    assert not fault.not_authorized


def test_bare_ampersands_and_undeclared_prefixes_are_mended() -> None:
    answer = element(
        b'<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope"><env:Body>'
        b"<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>rtsp://h/a?x=1&y=2&amp;z=&#51;</tt:Uri>"
        b"</trt:MediaUri></trt:GetStreamUriResponse></env:Body></env:Envelope>"
    )
    assert text_of(answer, "MediaUri/Uri") == "rtsp://h/a?x=1&y=2&z=3"


def test_the_end_of_a_c_string_is_no_part_of_the_answer() -> None:
    assert body_of(b"\xef\xbb\xbf" + shapes.NOT_AUTHORIZED + b"\0") == body_of(
        shapes.NOT_AUTHORIZED
    )


def test_a_name_in_another_character_set_is_read() -> None:
    text = '<?xml version="1.0" encoding="GB2312"?><a><b>球机</b></a>'
    assert text_of(parse(text.encode("gb2312")), "b") == "球机"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"", "bad_answer"),
        (b"\xff\xfe<\x00a", "encoding_refused"),
        ("<a/>".encode("utf-16"), "encoding_refused"),
        (b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE a+AD4-', "encoding_refused"),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "doctype_refused"),
        (
            b'<?xml version="1.0"?>\n<!DOCTYPE a SYSTEM "http://10.0.0.9/a.dtd"><a/>',
            "doctype_refused",
        ),
        (b"<a>" * 400 + b"</a>" * 400, "bad_answer"),
        (shapes.DEVICE_INFORMATION[:-30], "bad_answer"),
        (b"<html><body>hello</body></html>", "bad_answer"),
        (shapes.envelope(""), "bad_answer"),
        (b'{"error": 1}', "bad_answer"),
        (b"<a>" + b"&b" * (256 << 10) + b"</a>", "bad_answer"),
    ],
)
def test_what_is_no_answer_is_refused_by_a_code(message: bytes, code: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        body_of(message)
    assert caught.value.code == code
    assert str(caught.value).endswith(NEXT_STEP[code])


def test_an_entity_is_never_more_than_its_name() -> None:
    assert text_of(parse(b"<a>&lol;</a>")) == "&lol;"


def test_a_devices_own_words_are_short_and_harmless_in_a_sentence() -> None:
    error = OnvifError("fault", "evil\x1b[31m\r\nForged: line " + "x" * 1000)
    assert "\n" not in str(error)
    assert "\x1b" not in str(error)
    assert len(error.detail) == 200


def code_of(message: bytes) -> str:
    """The code of the refusal, or "" if there was none; any other exception fails the test."""
    try:
        body_of(message)
    except BadAnswer as error:
        return error.code
    return ""


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=400), st.text(max_size=200).map(str.encode)))
def test_any_bytes_are_an_element_a_fault_or_a_typed_refusal(message: bytes) -> None:
    assert code_of(message) in ("", *NEXT_STEP)


@settings(deadline=None)
@given(st.data())
def test_any_damage_to_an_answer_is_an_element_a_fault_or_a_typed_refusal(
    data: st.DataObject,
) -> None:
    whole = bytearray(shapes.NOT_AUTHORIZED)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 9))] = data.draw(
            st.sampled_from([b"<", b"&", b"</", b":", b"\x00", b"<!DOCTYPE ", b"xmlns:a=''", b""])
        )
    assert code_of(bytes(whole)) in ("", *NEXT_STEP)
