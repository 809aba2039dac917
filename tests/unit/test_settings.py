"""What a settings file may say of the addresses that viewers are told."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from streamhub.settings import MediaSettings


@pytest.mark.parametrize(
    "text",
    ["192.0.2.1", "192.0.2.1:9000", "2001:db8::1", "[2001:db8::1]:9000", "127.0.0.1:65535"],
)
def test_an_address_with_or_without_a_port_is_taken(text: str) -> None:
    assert MediaSettings(advertise=[text]).advertise == [text]


@pytest.mark.parametrize(
    "text",
    ["hub.example", "hub.example:9000", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2:9", "", ":9000"],
)
def test_anything_else_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValidationError, match="is not an IP address, alone or with a port"):
        MediaSettings(advertise=[text])
