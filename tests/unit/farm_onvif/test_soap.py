"""Requests of hostile clients: a device answers a fault, whatever came."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamhub.farm_onvif import soap
from support.onvif_client import device, post, request, text_of

ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
BOMB = (
    b'<!DOCTYPE e [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    b'<e:Envelope xmlns:e="%s"><e:Body>&b;</e:Body></e:Envelope>' % ENVELOPE.encode()
)


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"", "no XML"),
        (b"<a>", "no XML"),
        (b"<a/>", "no SOAP 1.2 envelope"),
        (f'<e:Envelope xmlns:e="{ENVELOPE}"/>'.encode(), "one operation"),
        (request("<tds:GetServices/><tds:GetServices/>"), "one operation"),
        (BOMB, "a document type is not taken"),
        (BOMB.decode().encode("utf-16"), "a document type is not taken"),
        (b'<!DOCTYPE e SYSTEM "http://127.0.0.1/e.dtd"><e/>', "a document type is not taken"),
        (request("<tds:a>" * 40 + "</tds:a>" * 40), "too deep"),
        (request("<tds:a>" + "<tds:b/>" * 600 + "</tds:a>"), "too many"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "no XML"),
    ],
)
def test_what_is_no_request_is_a_fault(body: bytes, part: str) -> None:
    asked = device()
    answer = post(asked, body, path="/onvif/device_service")
    assert (answer.status, asked.counters.malformed) == (400, 1)
    assert "<s:Value>ter:WellFormed</s:Value>" in answer.body.decode()
    assert part in answer.body.decode()


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_a_request_or_malformed(body: bytes) -> None:
    with suppress(soap.Malformed):
        assert soap.parse(body).operation.name


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_text_that_comes_back_is_text(name: str) -> None:
    """What a client names a preset is told to the next, whatever it holds."""
    body = soap.envelope(f"<tds:a>{soap.escape(name)}</tds:a>")
    try:
        [a] = soap.read(body).children[0].children
    except soap.Malformed:
        assert any(ord(c) < 32 or c in "\ufffe\uffff" for c in name)
    else:
        assert a.text.split() == name.split()


def test_a_fault_names_code_subcodes_and_reason() -> None:
    answer = post(device(), request("<tds:Reboot/>"), path="/onvif/device_service")
    assert answer.status == 500
    assert text_of(answer, "s:Text") == "Reboot is not supported here."
    assert "<s:Value>s:Receiver</s:Value><s:Subcode><s:Value>ter:ActionNotSupported" in (
        answer.body.decode()
    )
