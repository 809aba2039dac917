"""HTTP to a device: cut anywhere, sent ahead, and never more than its bounds."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamhub.farm_onvif.http_message import (
    MAX_AHEAD,
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    Answer,
    BadHttp,
    HttpRequest,
    RequestReader,
)

POST = b"POST /onvif/ptz HTTP/1.1\r\nHost: a\r\nX-Twice: 1\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /x?y HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
)
EXPECTED = HttpRequest(
    "POST", "/onvif/ptz", {"host": "a", "x-twice": "1", "content-length": "5"}, b"hello"
)


@given(st.lists(st.integers(0, 2 * len(POST)), max_size=8))
def test_requests_may_be_cut_anywhere(cuts: list[int]) -> None:
    reader, whole = RequestReader(), POST * 2
    edges = [0, *sorted(cuts), len(whole)]
    parts = [whole[a:b] for a, b in pairwise(edges)]
    assert [got for part in parts if part for got in reader.feed(part)] == [EXPECTED] * 2


def test_a_chunked_body_is_put_together() -> None:
    [got] = RequestReader().feed(CHUNKED)
    assert (got.path, got.body, got.keep_alive) == ("/x", b"abcde", False)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), 413),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD_BYTES, 431),
        (b"GET / HTTP/1.1\r\n\r\n" * (MAX_AHEAD + 1), 429),
        (b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", 400),
    ],
)
def test_what_is_too_much_or_no_http_is_refused(data: bytes, status: int) -> None:
    reader = RequestReader()
    with pytest.raises(BadHttp) as refused:  # noqa: PT012
        reader.feed(data)
        for _ in range(2 * MAX_BODY_BYTES // 1024):
            reader.feed(b"x" * 1024)
    assert refused.value.status == status


@given(st.binary(max_size=400))
def test_any_bytes_are_requests_or_refused(data: bytes) -> None:
    try:
        got = RequestReader().feed(data)
    except BadHttp as error:
        assert 400 <= error.status < 500  # noqa: PT017
    else:
        assert all(isinstance(each, HttpRequest) for each in got)


def test_an_answer_tells_its_length_and_whether_the_connection_goes_on() -> None:
    answer = Answer(
        401, b"abc", "text/plain", (("WWW-Authenticate", "a"), ("WWW-Authenticate", "b"))
    )
    assert answer.encoded(keep_alive=False) == (
        b"HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"
        b"WWW-Authenticate: a\r\nWWW-Authenticate: b\r\nConnection: close\r\n\r\nabc"
    )
