"""The audit by the command line: searched, verified, exported, beside a service and without one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.command import Command


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    made = Command(tmp_path_factory.mktemp("audit") / "data")
    made.ok("area", "add", "110112", "通州区", "--kind", "district")
    made.ok("area", "add", "110112001", "永顺镇", "--kind", "street", "--parent", "110112")
    yield made
    made.end()


def test_an_export_beside_the_service_is_verified_with_the_public_key_alone(
    command: Command, tmp_path: Path
) -> None:
    file, pem = tmp_path / "audit.zip", tmp_path / "audit.pem"
    command.ok("audit", "export-settings", "--second-person", "off")
    with command.serving():
        assert len(command.json("audit", "mine")) == 3
        assert command.json("audit", "views") == []
        command.ok("audit", "export", str(file), "--act", "area_create")
        pem.write_text(command.ok("audit", "public-key"))
    assert command.run("audit", "export", str(file)).returncode == 2  # it is there already
    roots = command.data_dir / "audit-roots"
    assert len(list(roots.glob("*.jsonl"))) == 1
    elsewhere = Command(tmp_path / "elsewhere")  # which has no key, nor a registry
    said = elsewhere.json("audit", "verify-export", str(file), "--public-key", str(pem))
    assert (said["ok"], said["rows"], said["faults"]) == (True, 2, [])
    assert said["statement"]["asked"] == {"acts": ["area_create"]}
    told = elsewhere.ok("audit", "verify-export", str(file), "--public-key", str(pem))
    assert "asked: acts=area_create\n" in told
    assert elsewhere.run("audit", "verify-export", str(file)).returncode == 1
    elsewhere.end()
    [row] = command.json("audit", "list", "--act", "audit_export")
    assert row["detail"] == {"asked": {"acts": ["area_create"]}, "format": "csv"}

    verified = command.json("audit", "verify", "--roots", str(roots), "--public-key", str(pem))
    assert verified["ok"]
    assert verified["segments_checked"] == 1
    assert verified["rows_checked"] >= 4


def test_an_export_by_two_people_is_asked_for_and_fetched(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "case.zip"
    command.ok("audit", "export-settings", "--second-person", "on")
    with command.serving():
        refused = command.run("audit", "export", str(file))
        assert refused.returncode == 1
        assert "export-ask" in refused.stderr
        asked = command.json(
            *("audit", "export-ask", "--why", "inquiry", "--note", "案件17"),
            *("--act", "area_create", "--format", "jsonl"),
        )
        # The very same user of this machine.
        refused = command.run("audit", "export-approve", asked["id"])
        assert "export_own" in refused.stderr
        [listed] = command.json("audit", "exports")
        assert (listed["state"], listed["may_fetch"]) == ("pending", False)
        refused = command.run("audit", "export", str(file), "--request", asked["id"])
        assert "export_not_approved" in refused.stderr
        assert not file.exists()
    assert command.run("audit", "export-ask", "--why", "none").returncode == 1
    for more in (("--act", "x"), ("--format", "csv")):
        refused = command.run("audit", "export", str(file), "--request", asked["id"], *more)
        assert refused.returncode == 2
        assert "its format already" in refused.stderr
    # As somebody else's approval leaves it; who may give one is in test_http_export_people.
    with closing(sqlite3.connect(command.data_dir / "registry.db")) as db:
        db.execute("UPDATE export_requests SET state = 'approved', decided_by = 'auditor'")
        db.commit()
    command.ok("audit", "export", str(file), "--request", asked["id"])
    said = command.ok("audit", "verify-export", str(file))
    for line in ("2 rows", "approved_by: auditor", "purpose_note: 案件17"):
        assert line in said
    command.ok("audit", "export-settings", "--second-person", "off")


def test_cameras_and_areas_are_named_as_in_other_commands(command: Command, tmp_path: Path) -> None:
    code, file = "11011200111310000001", tmp_path / "area.zip"
    url = "rtsp://192.0.2.7/main"
    made = command.json("camera", "add", code, "路口", "--url", url, "--area", "永顺镇")
    of_camera = ("audit", "list", "--act", "channel_create", "--camera")
    for name in (code, made["id"]):
        assert [row["channel_id"] for row in command.json(*of_camera, name)] == [made["id"]]
    for name in ("永顺镇", "110112001", made["area_id"]):
        acts = {row["act"] for row in command.json("audit", "list", "--area", name)}
        assert acts == {"area_create", "channel_create"}
    assert command.json("audit", "views", "--camera", code, "--area", "110112") == []
    command.ok("audit", "export-settings", "--second-person", "off")
    command.ok("audit", "export", str(file), "--area", "永顺镇")
    statement = command.json("audit", "verify-export", str(file))["statement"]
    assert statement["asked"] == {"area_id": made["area_id"]}
    file.unlink()
    for names, sentence in (
        (("--area", "永顺"), "There is no area 永顺"),
        (("--camera", "11011200111310000009"), "There is no camera with code"),
    ):
        assert sentence in command.run("audit", "list", *names).stderr
        assert sentence in command.run("audit", "export", str(file), *names).stderr
        assert not file.exists()
    # What is gone is still found by its id.
    command.ok("camera", "remove", code)
    assert [row["act"] for row in command.json(*of_camera, made["id"])] == ["channel_create"]


def test_what_was_altered_is_named_and_the_exit_code_says_so(
    command: Command, tmp_path: Path
) -> None:
    command.ok("audit", "export", str(tmp_path / "audit.zip"), "--format", "jsonl")
    assert "unbroken" in command.ok("audit", "verify")
    with closing(sqlite3.connect(command.data_dir / "registry.db")) as db:
        db.execute("UPDATE audit SET subject_name = 'nobody' WHERE seq = 2")
        db.commit()
    done = command.run("audit", "verify")
    assert done.returncode == 1
    assert "Row 2 was changed" in done.stderr
    assert "row 2, day 20" in done.stdout
    found = json.loads(command.run("audit", "verify", "--json").stdout)
    assert [fault["seq"] for fault in found["faults"]] == [2]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (("verify", "--roots", "/nowhere"), 2, "no directory"),
        (("verify", "--public-key", "/nowhere"), 1, "no public key"),
        (("verify-export", "/nowhere"), 1, "no whole export"),
        (("export", "/nowhere/audit.zip"), 2, "can't be written"),
        (("list", "--since", "yesterday"), 2, "since"),
    ],
)
def test_what_can_not_be_done_is_said(
    command: Command, arguments: tuple[str, ...], exit_code: int, sentence: str
) -> None:
    done = command.run("audit", *arguments)
    assert done.returncode == exit_code
    assert sentence in done.stderr
