"""What settings may say of the addresses that viewers are told, and of the registry's place."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from camera_registry.secret import Secret
from streamhub.settings import (
    HttpSettings,
    MediaSettings,
    RtspSettings,
    Settings,
    SettingsError,
    load_settings,
    split_listen,
)

URL = "postgresql://ops:s3cret@db.example:5432/streamhub"


@pytest.mark.parametrize(
    "text",
    ["192.0.2.1", "192.0.2.1:9000", "2001:db8::1", "[2001:db8::1]:9000", "127.0.0.1:65535"],
)
def test_an_address_with_or_without_a_port_is_taken(text: str) -> None:
    assert MediaSettings(advertise=[text]).advertise == [text]


@pytest.mark.parametrize("text", ["10.0.0.5", "10.0.0.0/24", "2001:db8::/32", "::1"])
def test_a_proxy_is_an_address_or_a_network(text: str) -> None:
    assert HttpSettings(trusted_proxies=[text]).trusted_proxies == [text]


@pytest.mark.parametrize("text", ["proxy", "*", "", "10.0.0.5/24", "10.0.0.0/33", "10.0.0.5:80"])
def test_a_proxy_that_would_never_be_known_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="neither an IP address nor a network"):
        HttpSettings(trusted_proxies=["10.0.0.5", text])


@pytest.mark.parametrize(
    "text",
    ["hub.example", "hub.example:9000", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2:9", "", ":9000"],
)
def test_anything_else_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValidationError, match="is not an IP address, alone or with a port"):
        MediaSettings(advertise=[text])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("127.0.0.1:8554", ("127.0.0.1", 8554)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("[::1]:8554", ("::1", 8554)),
    ],
)
def test_where_the_rtsp_door_listens(text: str, parts: tuple[str, int]) -> None:
    assert RtspSettings(listen=text).listen == text
    assert split_listen(text) == parts


@pytest.mark.parametrize("text", ["8554", "127.0.0.1", "hub.example:8554", "::1:8554", "[::1]:x"])
def test_the_rtsp_door_needs_an_address_and_a_port(text: str) -> None:
    with pytest.raises(ValidationError, match="is not an IP address with a port"):
        RtspSettings(listen=text)


def test_the_registry_is_a_file_unless_a_url_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings().registry_place == Path("data/registry.db")
    (tmp_path / "streamhub.toml").write_text(f'[registry]\nurl = "{URL}"\n')
    settings = load_settings()
    assert settings.registry_place == Secret(URL)
    assert "s3cret" not in f"{settings!r} {settings} {settings.model_dump()}"
    monkeypatch.setenv("STREAMHUB_REGISTRY__URL", URL.replace("db.", "other."))
    assert load_settings().registry_place == Secret(URL.replace("db.", "other."))


@pytest.mark.parametrize("wrong", ["mysql://ops:s3cret@db.example/x", "ops:s3cret", ""])
def test_a_url_of_another_kind_is_refused_and_not_shown(
    wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMHUB_REGISTRY__URL", wrong)
    with pytest.raises(SettingsError, match=r"registry\.url.*postgresql://user:pass") as caught:
        load_settings()
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ValidationError) as raw:
        Settings()
    assert "s3cret" not in str(raw.value)
