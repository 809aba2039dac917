"""The doctor finds what is wrong and names the command that mends it."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from camera_registry.secret import Secret
from streamhub.cli import doctor
from streamhub.settings import (
    AuditSettings,
    HttpSettings,
    RegistrySettings,
    RtspSettings,
    Settings,
)
from support.postgres import Cluster


def test_a_taken_port_fails_with_the_command_that_finds_its_owner(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = Settings(data_dir=tmp_path, http=HttpSettings(port=port))
        finding = doctor.check_http_port(settings)
    assert finding.status == "fail"
    assert f":{port}" in finding.mend
    assert doctor.check_http_port(settings).status == "ok"


def test_the_rtsp_port_is_looked_at_and_beyond_this_machine_warned_of(tmp_path: Path) -> None:
    def found(listen: str | None) -> doctor.Finding:
        return doctor.check_rtsp_port(Settings(data_dir=tmp_path, rtsp=RtspSettings(listen=listen)))

    assert found(None).found == "switched off"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert found(f"127.0.0.1:{port}").status == "fail"
    assert found(f"127.0.0.1:{port}").status == "ok"
    beyond = found("0.0.0.0:0")
    assert beyond.status == "warn"
    assert "rtsp.tls_listen" in beyond.mend
    assert "docs/rtsp.md" in beyond.mend


def test_the_rtsp_port_by_tls_may_be_reached_from_anywhere(tmp_path: Path) -> None:
    def found(listen: str | None) -> doctor.Finding:
        http = HttpSettings(tls_certificate=tmp_path / "hub.crt", tls_key=tmp_path / "hub.key")
        rtsp = RtspSettings(tls_listen=listen)
        return doctor.check_rtsps_port(Settings(data_dir=tmp_path, http=http, rtsp=rtsp))

    assert found(None).found == "switched off"
    assert found("0.0.0.0:0").status == "ok"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        taken_port = found(f"127.0.0.1:{taken.getsockname()[1]}")
    assert taken_port.status == "fail"
    assert "STREAMHUB_RTSP__TLS_LISTEN" in taken_port.mend


def test_a_key_that_others_can_read_fails(tmp_path: Path) -> None:
    key = tmp_path / "secret.key"
    key.write_text("k")
    key.chmod(0o644)
    assert doctor.check_data_dir(Settings(data_dir=tmp_path)).mend == f"chmod 600 {key}"
    key.chmod(0o600)
    assert doctor.check_data_dir(Settings(data_dir=tmp_path)).status != "fail"


def test_roots_on_the_disk_of_the_data_are_warned_of(tmp_path: Path) -> None:
    finding = doctor.check_audit_roots(Settings(data_dir=tmp_path / "data"))
    assert (finding.status, "STREAMHUB_AUDIT__ROOTS_DIR" in finding.mend) == ("warn", True)
    elsewhere = AuditSettings(roots_dir=Path("/proc/self/roots"))  # another disk, read only
    finding = doctor.check_audit_roots(Settings(data_dir=tmp_path, audit=elsewhere))
    assert finding.status != "warn"


def test_the_registry_is_a_file_or_a_server_that_answers(tmp_path: Path, postgres: Cluster) -> None:
    finding = doctor.check_registry(Settings(data_dir=tmp_path))
    assert (finding.status, finding.found) == ("ok", f"SQLite, {tmp_path}/registry.db")
    there = postgres.empty()
    finding = doctor.check_registry(Settings(registry=RegistrySettings(url=there)))
    assert finding.found.startswith("PostgreSQL ")
    assert finding.status == "warn"  # the tests' own cluster may lose what it has
    assert "SET fsync = on" in finding.mend
    postgres.drop(there)
    away = Secret("postgresql://ops:s3cret@127.0.0.1:1/registry")
    finding = doctor.check_registry(Settings(registry=RegistrySettings(url=away)))
    assert finding.status == "fail"
    assert "See whether PostgreSQL runs" in finding.mend
    assert "s3cret" not in repr(finding)


def test_on_a_narrow_terminal_nothing_to_copy_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    mend = "chmod 700 /srv/" + "long-directory/" * 12
    finding = doctor.Finding("a-check", "warn", "found " * 20, mend)
    monkeypatch.setattr(doctor, "CHECKS", (lambda _: finding,))
    app = typer.Typer()
    app.command()(doctor.doctor)
    shown = CliRunner().invoke(app, env={"COLUMNS": "80"}).stdout
    # Its column is the last: what stands from its head on, line under line.
    start = shown.splitlines()[0].index("what mends it")
    column = "".join(line[start:].strip() for line in shown.splitlines()[1:])
    assert column.replace(" ", "") == mend.replace(" ", "")


def test_every_check_answers_and_what_is_not_ok_says_what_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMHUB_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("STREAMHUB_HTTP__PORT", "0")
    app = typer.Typer()
    app.command()(doctor.doctor)
    result = CliRunner().invoke(app, ["--json"])
    findings = json.loads(result.stdout)
    assert len(findings) == len(doctor.CHECKS)
    assert all(f["status"] == "ok" or f["mend"] for f in findings)
    assert result.exit_code == 0
