"""`streamhub doctor`: is this machine fit to run the service, and what mends what is not?

Each check is a function of the settings that returns a `Finding`; nothing is changed.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import platform
import resource
import shutil
import socket
import stat
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from streamhub.settings import Settings, SettingsError, load_settings, split_listen

Status = Literal["ok", "warn", "fail"]

# A 3,000-camera district holds a TCP connection per watched stream, beside viewers and files.
WANTED_OPEN_FILES = 16_384
# A keyframe for 50 viewers is about 10 MB; below 4 MB the socket is full in every burst.
WANTED_SOCKET_BYTES = 4 << 20
WANTED_FREE_BYTES = 1 << 30
# A view is answered when its audit row is durable: two journeys to the database.
WANTED_ROUND_TRIP_MS = 10.0
UDP_SEGMENT = 103
TIME_ERROR = 5


@dataclass(frozen=True)
class Finding:
    """One check's result; `mend` is a command or sentence, empty when all is well."""

    name: str
    status: Status
    found: str
    mend: str = ""


def check_kernel(_: Settings) -> Finding:
    release = platform.release()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1200)
        except OSError as error:
            return Finding(
                "UDP segmentation (GSO)",
                "warn",
                f"Linux {release}: {error.strerror}",
                "Use Linux 4.18 or newer; until then each packet is sent alone, at twice the cost.",
            )
    return Finding("UDP segmentation (GSO)", "ok", f"Linux {release}")


def check_open_files(_: Settings) -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < WANTED_OPEN_FILES:
        return Finding(
            "open files",
            "warn",
            f"soft {soft}, hard {hard}",
            f"ulimit -Hn {WANTED_OPEN_FILES} (systemd: LimitNOFILE={WANTED_OPEN_FILES})",
        )
    return Finding("open files", "ok", f"soft {soft}, hard {hard} (the service raises the soft)")


def _check_buffer(name: str) -> Finding:
    try:
        limit = int(Path(f"/proc/sys/net/core/{name}").read_text())
    except (OSError, ValueError):
        return Finding(f"net.core.{name}", "warn", "not readable", "Run on Linux with /proc.")
    if limit < WANTED_SOCKET_BYTES:
        return Finding(
            f"net.core.{name}",
            "warn",
            f"{limit} bytes",
            f"sysctl -w net.core.{name}={WANTED_SOCKET_BYTES}",
        )
    return Finding(f"net.core.{name}", "ok", f"{limit} bytes")


def check_send_buffer(_: Settings) -> Finding:
    return _check_buffer("wmem_max")


def check_receive_buffer(_: Settings) -> Finding:
    return _check_buffer("rmem_max")


class _Timex(ctypes.Structure):
    # Only the size matters here: the kernel writes at most 208 bytes on 64-bit Linux.
    _fields_ = (("raw", ctypes.c_byte * 256),)


def check_clock(_: Settings) -> Finding:
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(_Timex()))
    if state == TIME_ERROR:
        return Finding(
            "clock",
            "warn",
            "not synchronised",
            "apt-get install -y chrony   (grants, audit and sign-ins depend on the time)",
        )
    return Finding("clock", "ok", "synchronised")


def _running_service(settings: Settings) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(settings.control_socket))
        except OSError:
            return False
    return True


def _check_port(name: str, kind: socket.SocketKind, host: str, port: int, env: str) -> Finding:
    if port == 0:
        return Finding(name, "ok", "any free port")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return Finding(
                name,
                "fail",
                f"{host}:{port}: {error.strerror}",
                f"Find the owner with: ss -lptun 'sport = :{port}'; or set {env}",
            )
    return Finding(name, "ok", f"{host}:{port} is free")


def check_http_port(settings: Settings) -> Finding:
    if _running_service(settings):
        return Finding("web port", "ok", "the service is running")
    http = settings.http
    return _check_port("web port", socket.SOCK_STREAM, http.host, http.port, "STREAMHUB_HTTP__PORT")


def check_certificate(settings: Settings) -> Finding:
    from .tls import EXPIRES_SOON_DAYS, TlsFilesUnusable, context_of, expires_at

    http = settings.http
    if http.tls_certificate is None or http.tls_key is None:
        if _is_loopback(http.host) or http.trusted_proxies:
            return Finding("TLS", "ok", "none: this machine alone, or a proxy before it")
        return Finding(
            "TLS",
            "warn",
            f"none, on {http.host}",
            "Set http.tls_certificate and http.tls_key, or list the proxy with TLS in "
            "http.trusted_proxies: passwords travel here.",
        )
    try:
        context_of(http.tls_certificate, http.tls_key)
        days = (expires_at(http.tls_certificate) - datetime.now(UTC)).days
    except (TlsFilesUnusable, OSError, ValueError) as error:
        return Finding("TLS", "fail", str(error), "openssl x509 -noout -text -in CERTIFICATE")
    if days < EXPIRES_SOON_DAYS:
        found = f"the certificate ends in {days} days" if days >= 0 else "the certificate has ended"
        return Finding("TLS", "warn", found, "Put a new pair into the files: no restart is needed.")
    return Finding("TLS", "ok", f"the certificate is good for {days} days")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_udp_port(settings: Settings) -> Finding:
    if _running_service(settings):
        return Finding("media port", "ok", "the service is running")
    media = settings.media
    return _check_port(
        "media port", socket.SOCK_DGRAM, media.udp_host, media.udp_port, "STREAMHUB_MEDIA__UDP_PORT"
    )


def check_tcp_port(settings: Settings) -> Finding:
    media = settings.media
    if not media.tcp:
        return Finding("media port (TCP)", "ok", "switched off")
    if _running_service(settings):
        return Finding("media port (TCP)", "ok", "the service is running")
    port = media.tcp_port or media.udp_port
    env = "STREAMHUB_MEDIA__TCP_PORT"
    return _check_port("media port (TCP)", socket.SOCK_STREAM, media.udp_host, port, env)


def check_rtsp_port(settings: Settings) -> Finding:
    listen = settings.rtsp.listen
    found = _check_listen(settings, "RTSP port", listen, "STREAMHUB_RTSP__LISTEN")
    if listen is not None and found.status == "ok" and not _is_loopback(split_listen(listen)[0]):
        return Finding(
            "RTSP port",
            "warn",
            f"{listen}: beyond this machine, and RTSP is not encrypted",
            "Set rtsp.tls_listen in its place, or let only sub-platforms' networks reach it (a "
            "firewall, a VPN); see docs/rtsp.md.",
        )
    return found


def check_rtsps_port(settings: Settings) -> Finding:
    # Its certificate is the web API's, which is looked at there.
    listen = settings.rtsp.tls_listen
    return _check_listen(settings, "RTSP port (TLS)", listen, "STREAMHUB_RTSP__TLS_LISTEN")


def _check_listen(settings: Settings, name: str, listen: str | None, env: str) -> Finding:
    if listen is None:
        return Finding(name, "ok", "switched off")
    if not _running_service(settings):
        host, port = split_listen(listen)
        free = _check_port(name, socket.SOCK_STREAM, host, port, env)
        if free.status != "ok":
            return free
    return Finding(name, "ok", listen)


def check_data_dir(settings: Settings) -> Finding:
    directory = settings.data_dir.resolve()
    parent = next(p for p in (directory, *directory.parents) if p.exists())
    if not os.access(parent, os.W_OK):
        return Finding("data directory", "fail", f"{directory}: not writable", f"chown {parent}")
    key = directory / "secret.key"
    if key.exists() and stat.S_IMODE(key.stat().st_mode) & 0o077:
        return Finding("data directory", "fail", f"{key} can be read by others", f"chmod 600 {key}")
    free = shutil.disk_usage(parent).free
    if free < WANTED_FREE_BYTES:
        return Finding(
            "data directory",
            "warn",
            f"{directory}: {free >> 20} MiB free",
            f"Free some space under {parent}, or set STREAMHUB_DATA_DIR",
        )
    return Finding("data directory", "ok", f"{directory}: {free >> 30} GiB free")


def check_audit_roots(settings: Settings) -> Finding:
    directory, beside = settings.audit_roots_dir.resolve(), settings.data_dir.resolve()
    there, data = (
        next(p for p in (path, *path.parents) if p.exists()) for path in (directory, beside)
    )
    if not os.access(there, os.W_OK):
        mend = f"chown {there}; until then no row of the audit gets a signed root"
        return Finding("audit roots", "fail", f"{directory}: not writable", mend)
    if there.stat().st_dev == data.stat().st_dev:
        return Finding(
            "audit roots",
            "warn",
            f"{directory}: the same disk as the data",
            "Set STREAMHUB_AUDIT__ROOTS_DIR to another disk, or have somebody else copy them.",
        )
    return Finding("audit roots", "ok", f"{directory}")


def check_registry(settings: Settings) -> Finding:
    from camera_registry.errors import StoreError

    url = settings.registry.url
    if url is None:
        return Finding("registry", "ok", f"SQLite, {settings.registry_path.resolve()}")
    # Here: the driver is needed by this alone.
    from camera_registry.store.postgres import examine

    try:
        facts = asyncio.run(examine(url))
    except StoreError as error:
        return Finding("registry", "fail", "no PostgreSQL that can be used", str(error))
    found = f"PostgreSQL {facts.version}, {facts.where}, {facts.round_trip_ms:.1f} ms away"
    if not facts.fsync:
        return Finding(
            "registry",
            "warn",
            f"{found}, fsync off",
            "ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf()   (a power cut loses audit rows)",
        )
    if facts.round_trip_ms > WANTED_ROUND_TRIP_MS:
        return Finding(
            "registry", "warn", found, "Bring the server nearer: each view waits for two journeys."
        )
    return Finding("registry", "ok", found)


CHECKS: tuple[Callable[[Settings], Finding], ...] = (
    check_http_port,
    check_certificate,
    check_udp_port,
    check_tcp_port,
    check_rtsp_port,
    check_rtsps_port,
    check_open_files,
    check_send_buffer,
    check_receive_buffer,
    check_kernel,
    check_clock,
    check_data_dir,
    check_audit_roots,
    check_registry,
)


def examine(settings: Settings) -> list[Finding]:
    """Run every check, in order."""
    return [check(settings) for check in CHECKS]


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
) -> None:
    """Check this machine and its registry; with the command that mends what is not well."""
    try:
        findings = examine(load_settings())
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        colours = {"ok": "green", "warn": "yellow", "fail": "red"}
        table = Table(box=None, pad_edge=False)
        for column in ("check", "state", "found", "what mends it"):
            # A command that is cut can't be copied.
            table.add_column(column, overflow="fold")
        for finding in findings:
            state = f"[{colours[finding.status]}]{finding.status}[/]"
            table.add_row(finding.name, state, finding.found, finding.mend)
        Console().print(table)
    if any(finding.status == "fail" for finding in findings):
        raise typer.Exit(1)
