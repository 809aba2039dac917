"""Typed settings, read once at start and handed down in slices.

A TOML file (`--config`, or `STREAMHUB_CONFIG`, or `streamhub.toml` here) and `STREAMHUB_*`; the
environment wins. A section's field is `STREAMHUB_MEDIA__UDP_PORT`.
"""

from __future__ import annotations

import os
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from camera_registry.loans import MAX_HOURS, MAX_OPEN_HOURS
from camera_registry.secret import Secret
from streamhub.oidc.settings import OidcSettings

CONFIG_ENV = "STREAMHUB_CONFIG"
DEFAULT_CONFIG = "streamhub.toml"
CONTROL_SOCKET = "control.sock"


class SettingsError(Exception):
    """The settings can't be used; the message says which, and what to do."""


class HttpSettings(BaseModel):
    """Where the web API listens, and with which certificate. Behind a proxy with TLS, list the
    proxy in `trusted_proxies` instead."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    # PEM files, the certificate with its chain; taken anew when they change.
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    # Addresses and networks, whose X-Forwarded-For and X-Forwarded-Proto are believed.
    trusted_proxies: list[str] = []
    # Pages of other origins that may call /whep with a Bearer token; "*" is any.
    whep_origins: list[str] = ["*"]

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, proxies: list[str]) -> list[str]:
        # The server would take anything else for a name, which no proxy ever has, or "*" for all.
        for each in proxies:
            try:
                ip_network(each)
            except ValueError:
                raise ValueError(
                    f"{each!r} is neither an IP address nor a network; write 10.0.0.5, or "
                    "10.0.0.0/24 (its first address, then the length)"
                ) from None
        return proxies

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key are given together")
        return self

    def read_tls(self) -> tuple[bytes, bytes] | None:
        """Certificate and key as they are in their files (PEM); None without. Raises OSError."""
        if self.tls_certificate is None or self.tls_key is None:
            return None
        return self.tls_certificate.read_bytes(), self.tls_key.read_bytes()


def _database_url(value: object) -> Secret | None:
    if value is None or isinstance(value, Secret):
        return value
    if isinstance(value, str) and value.startswith("postgresql://"):
        return Secret(value)
    raise ValueError("write it as postgresql://user:password@host:5432/database")


class RegistrySettings(BaseModel):
    """Where cameras, grants and audit rows are kept: without a URL in a file of `data_dir`."""

    # A wrong URL is not shown: it may hold a password.
    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    url: Annotated[Secret | None, PlainValidator(_database_url)] = None


def _is_address(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    candidates = [(text, "1")] if not colon else [(text, "1"), (host.strip("[]"), port)]
    for address, number in candidates:
        try:
            ip = ip_address(address)
        except ValueError:
            continue
        bracketed = address == text or ip.version == 4 or host.startswith("[")
        if bracketed and number.isdecimal() and 0 < int(number) < 65536:
            return True
    return False


# As many as a district needs; more are for who asks for them.
SHARDS_UNASKED = 8


class MediaSettings(BaseModel):
    """The packet core: one UDP port for all viewers, and the addresses viewers reach it at."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # "python" needs no Rust, and carries a fraction (the extra `baseline`); "fake" is for tests.
    core: Literal["native", "python", "fake"] = "native"
    udp_host: str = "127.0.0.1"
    udp_port: int = Field(default=0, ge=0, le=65535)
    # For viewers without UDP. The port 0 is the number of the UDP port.
    tcp: bool = True
    tcp_port: int = Field(default=0, ge=0, le=65535)
    # Addresses, each with a port where it differs (a port forwarded by a firewall).
    advertise: list[str] = ["127.0.0.1"]
    # Take browsers' estimates of their bandwidth (REMB): each then sends 10 to 20 packets a second.
    remb: bool = False
    idle_close_s: float = Field(default=10.0, ge=0, le=3600)
    # Threads that packets run on; 0 leaves one processor to the control plane.
    shards: int = Field(default=0, ge=0, le=64)

    @property
    def shard_count(self) -> int:
        if self.shards:
            return self.shards
        usable = len(os.sched_getaffinity(0))
        return min(max(usable - 1, 1), SHARDS_UNASKED)

    @field_validator("advertise")
    @classmethod
    def _addresses(cls, advertise: list[str]) -> list[str]:
        for text in advertise:
            if not _is_address(text):
                raise ValueError(
                    f"{text!r} is not an IP address, alone or with a port (192.0.2.1, "
                    "192.0.2.1:9000, [2001:db8::1]:9000); browsers take no names here"
                )
        return advertise


class RtspSettings(BaseModel):
    """The RTSP door for sub-platforms' own players and recorders: off unless it is told where to
    listen. `listen` is in the clear; `tls_listen` speaks TLS, with the web API's certificate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Address and port, such as 127.0.0.1:8554; the port 0 takes any.
    listen: str | None = None
    tls_listen: str | None = None
    # How clients reach it, where that differs: a host or an address, alone or with a port.
    advertise: str | None = None
    # The same for TLS; left out, it is `advertise` without its port.
    tls_advertise: str | None = None
    # No ticket holds for longer, whatever is asked for.
    ticket_max_s: int = Field(default=24 * 3600, ge=1, le=366 * 24 * 3600)
    max_views_per_subject: int = Field(default=64, ge=1, le=4000)

    @property
    def is_on(self) -> bool:
        return self.listen is not None or self.tls_listen is not None

    @field_validator("listen", "tls_listen")
    @classmethod
    def _listens(cls, listen: str | None) -> str | None:
        if listen is not None:
            host, port = split_listen(listen)
            if not host or not 0 <= port < 65536:
                raise ValueError(
                    f"{listen!r} is not an IP address with a port (127.0.0.1:8554, [::1]:8554)"
                )
        return listen


def split_listen(listen: str) -> tuple[str, int]:
    """Address (without brackets) and port; an empty address when it is none."""
    host, _, port = listen.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        ip = ip_address(bare)
    except ValueError:
        return "", 0
    bracketed = ip.version == 4 or bare != host
    return (bare, int(port)) if bracketed and port.isdecimal() else ("", 0)


class CapacitySettings(BaseModel):
    """What this machine and its network carry, all viewers together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_views: int = Field(default=2000, ge=1, le=100_000)
    # None: what the network gives is not known, and not held to.
    max_mbps: float | None = Field(default=None, gt=0, le=1_000_000)


class DialSettings(BaseModel):
    """How soon a lost camera is dialled again; each pause doubles up to its maximum."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    retry_first_s: float = Field(default=2.0, ge=0.1, le=600)
    retry_max_s: float = Field(default=30.0, ge=0.1, le=3600)
    # Cameras lock an account after 5 to 7 wrong passwords, often for 30 minutes.
    auth_retry_first_s: float = Field(default=60.0, ge=0.1, le=3600)
    # The camera answers, and says no: nothing changes until somebody changes something.
    refused_retry_s: float = Field(default=60.0, ge=0.1, le=3600)


class SignInSettings(BaseModel):
    """How long sign-ins of the page and API keys last; how long passwords are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # It ends after 12 h without use, and after so long however much it is used.
    max_days: float = Field(default=7.0, ge=0.05, le=366)
    password_min_chars: int = Field(default=8, ge=8, le=64)
    # No API key lasts longer.
    key_max_days: int = Field(default=366, ge=1, le=3660)


class LoanSettings(BaseModel):
    """How long a camera may be lent, and how long a question waits for its answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_hours: float = Field(default=24.0, ge=0.05, le=MAX_HOURS)
    open_hours: float = Field(default=24.0, ge=0.05, le=MAX_OPEN_HOURS)


class WebhookSettings(BaseModel):
    """Where webhooks may point. Private addresses always may: that is where receivers are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Loopback and link-local addresses: this machine's own services, and its host's metadata.
    allow_local: bool = False


class AuditSettings(BaseModel):
    """Where the audit's signed roots are written, and for how long its rows are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Meant for another disk: without it a directory of `data_dir`.
    roots_dir: Path | None = None
    # None: rows are never removed.
    keep_days: int | None = Field(default=None, ge=1, le=36_500)


class LogSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["json", "console"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(
        env_prefix="STREAMHUB_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    data_dir: Path = Path("data")
    registry: RegistrySettings = RegistrySettings()
    http: HttpSettings = HttpSettings()
    media: MediaSettings = MediaSettings()
    rtsp: RtspSettings = RtspSettings()
    capacity: CapacitySettings = CapacitySettings()
    dial: DialSettings = DialSettings()
    sign_in: SignInSettings = SignInSettings()
    oidc: OidcSettings = OidcSettings()
    loans: LoanSettings = LoanSettings()
    webhooks: WebhookSettings = WebhookSettings()
    audit: AuditSettings = AuditSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _tls_has_a_certificate(self) -> Self:
        if self.rtsp.tls_listen is not None and self.http.tls_certificate is None:
            raise ValueError("rtsp.tls_listen needs http.tls_certificate and http.tls_key")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = _config_path()
        toml = TomlConfigSettingsSource(settings_cls, toml_file=path)
        return init_settings, _KnownEnv(env_settings), toml

    @property
    def registry_path(self) -> Path:
        """The registry's file, where it is one."""
        return self.data_dir / "registry.db"

    @property
    def registry_place(self) -> Path | Secret:
        """For `open_store`: the database's URL if one is set, else the file."""
        return self.registry.url or self.registry_path

    @property
    def vault_key_path(self) -> Path:
        return self.data_dir / "secret.key"

    @property
    def audit_key_path(self) -> Path:
        return self.data_dir / "audit.key"

    @property
    def audit_roots_dir(self) -> Path:
        return self.audit.roots_dir or self.data_dir / "audit-roots"

    @property
    def control_socket(self) -> Path:
        return self.data_dir / CONTROL_SOCKET


class _KnownEnv(PydanticBaseSettingsSource):
    """The environment without the STREAMHUB_ names that are not settings (config path, farm)."""

    def __init__(self, env: PydanticBaseSettingsSource) -> None:
        super().__init__(env.settings_cls)
        self._env = env

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return self._env.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        known = set(Settings.model_fields)
        return {key: value for key, value in self._env().items() if key in known}


def _config_path() -> Path | None:
    given = os.environ.get(CONFIG_ENV)
    if given:
        if not Path(given).is_file():
            raise SettingsError(f"There is no settings file {given}; correct {CONFIG_ENV}.")
        return Path(given)
    return Path(DEFAULT_CONFIG) if Path(DEFAULT_CONFIG).is_file() else None


def load_settings(**overrides: Any) -> Settings:
    """Read the settings. Raises SettingsError with one sentence naming what is wrong."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        named = f"Setting {where}: " if where else ""  # or it is about several
        raise SettingsError(f"{named}{first['msg']}; correct it and start again.") from None
    except ValueError as error:
        raise SettingsError(f"The settings file can't be read: {error}.") from None
