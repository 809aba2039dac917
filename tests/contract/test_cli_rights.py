"""`streamhub role`, `purpose`, `loan` and `grant`; why, and who can. Run in this process."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streamhub.cli import build
from streamhub.cli.control import CliError, moment
from streamhub.cli.grant_words import condition, hours

CODE = "11011200111310000001"


class Command:
    """The command over one data directory, without a service."""

    def __init__(self, data_dir: Path) -> None:
        self._env = {"STREAMHUB_DATA_DIR": str(data_dir), "COLUMNS": "400"}
        self._app = build()

    def ok(self, *arguments: str, given: str | None = None) -> str:
        done = CliRunner().invoke(self._app, arguments, input=given, env=self._env)
        assert done.exit_code == 0, (arguments, done.output, done.exception)
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.ok(*arguments, "--json"))

    def refused(self, *arguments: str) -> CliError:
        done = CliRunner().invoke(self._app, arguments, env=self._env)
        assert isinstance(done.exception, CliError), done.output
        return done.exception


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    directory: Path = tmp_path_factory.mktemp("rights") / "data"
    made = Command(directory)
    made.ok("area", "add", "110112", "通州区", "--kind", "district")
    made.ok(
        "camera", "add", CODE, "永顺路口1", "--area", "110112", "--url", "rtsp://127.0.0.1:9/main"
    )
    made.ok("subject", "add", "zhang", "--keep", "--password-stdin", given="zhang-pass\n")
    return made


def test_a_shift_from_its_role_to_who_can(command: Command) -> None:
    command.ok("role", "add", "night", "--name", "夜班")
    command.ok("role", "join", "night", "zhang")
    assert [each["username"] for each in command.json("role", "members", "night")] == ["zhang"]
    terms = ("--class", "police_hd", "--where", "name^=永顺", "--hours", "mon-sun 00:00-24:00")
    command.ok("grant", "add", "role:night", "live", *terms, "--ask-purpose")
    [row] = command.json("grant", "list", "zhang")
    assert row["role_name"] == "night"
    table = command.ok("grant", "list", "role:night")
    assert "role:night" in table
    assert "name^=永顺 / device_class=police_hd" in table
    assert "mon,tue,wed,thu,fri,sat,sun 00:00-24:00" in table

    why = command.ok("grant", "explain", "zhang", CODE, "live")
    assert "必须说明事由" in why
    assert "角色 night" in why
    [who] = command.json("grant", "who-can", CODE)
    assert (who["username"], who["actions"][0]["purpose_required"]) == ("zhang", True)
    assert row["id"] in command.ok("grant", "who-can", CODE)

    assert command.json("camera", "sensitive", CODE, "on")["sensitive"] is True
    assert command.json("camera", "show", CODE)["sensitive"] is True
    assert "on, or off" in str(command.refused("camera", "sensitive", CODE, "yes"))
    assert command.json("camera", "sensitive", CODE, "off")["sensitive"] is False

    deny = command.json("grant", "add", "zhang", "live", "--camera", CODE, "--deny")
    assert deny["effect"] == "deny"
    why = command.ok("grant", "explain", "zhang", CODE, "live", "--language", "en")
    assert "denies it, and a denial wins" in why
    command.ok("role", "leave", "night", "zhang")
    assert command.json("grant", "who-can", CODE) == []
    command.ok("role", "rename", "night", "late")
    assert [each["name"] for each in command.json("role", "list")] == ["late"]
    command.ok("role", "delete", "late")
    assert command.json("role", "list") == []


def test_a_loan_from_the_telephone_to_its_end(command: Command) -> None:
    """Without a service, as the local operator: in somebody's name."""
    command.ok("subject", "add", "li", "--keep", "--password-stdin", given="li-pass-word\n")
    first = command.json("loan", "ask", "li", CODE, "查看路口积水", "--minutes", "90")
    assert (first["state"], first["username"], first["actions"]) == ("open", "li", ["live"])
    assert "永顺路口1" in command.ok("loan", "list", "--state", "open")
    lent = command.json("loan", "allow", first["id"], "--minutes", "30")
    assert (lent["state"], lent["lent"]) == ("running", ["list", "live"])
    assert "借用，local:" in command.ok("grant", "explain", "li", CODE, "live")
    assert command.ok("loan", "end", first["id"]) == f"ended {first['id']}\n"
    assert command.json("grant", "who-can", CODE) == []

    second = command.json("loan", "ask", "li", CODE, "x", "--actions", "live,snapshot")
    command.ok("loan", "refuse", second["id"], "正在检修")
    assert command.json("loan", "list") == []
    assert "no such thing" in str(command.refused("loan", "allow", "lo_none"))
    for arguments, sentence in (
        (("ask", "li", "110112", "x"), "20-digit"),
        (("ask", "nobody", CODE, "x"), "no subject"),
        (("ask", "li", CODE, "x", "--actions", "ptz"), "actions"),
        (("allow", second["id"]), "answered"),
    ):
        assert sentence in str(command.refused("loan", *arguments)), arguments


def test_purposes_are_the_district_s_own(command: Command) -> None:
    assert len(command.json("purpose", "list")) == 4
    for given, needs in (
        ((), False),
        (("--needs-note",), True),
        ((), True),
        (("--no-needs-note",), False),
    ):
        set_to = command.json("purpose", "set", "campaign", "专项行动", "Campaign", *given)
        assert set_to["needs_note"] is needs
    assert "专项行动" in command.ok("purpose", "list")
    command.ok("purpose", "remove", "campaign")
    assert len(command.json("purpose", "list")) == 4


def test_a_wrong_grant_is_said(command: Command) -> None:
    for arguments, sentence in (
        (("zhang", "live"), "--area"),
        (("zhang", "live", "--camera", CODE, "--area", "110112"), "either --area or --camera"),
        (("role:none", "live", "--area", "110112"), "no role"),
        (("zhang", "live", "--where", "owner"), "no condition"),
        (("zhang", "live", "--area", "110112", "--hours", "night"), "no hours"),
    ):
        error = command.refused("grant", "add", *arguments)
        assert error.exit_code == 2
        assert sentence in str(error)


def test_what_is_typed() -> None:
    assert condition("owner=a|b") == {"field": "owner", "op": "eq", "values": ["a", "b"]}
    assert condition("owner!=a=b") == {"field": "owner", "op": "ne", "values": ["a=b"]}
    assert condition("address^=新华")["op"] == "prefix"
    assert hours("fri-mon 22:00-06:00")["days"] == ["fri", "sat", "sun", "mon"]
    assert hours("sat,mon 08:00-20:00")["days"] == ["sat", "mon"]
    for text in ("mon-xyz 22:00-06:00", "22:00-06:00", "mon 2200-0600"):
        with pytest.raises(CliError):
            hours(text)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2035-01-01", "2035-01-01T00:00:00+08:00"),
        ("2035-01-01 08:30", "2035-01-01T08:30:00+08:00"),
        ("2035-01-01T08:30:00Z", "2035-01-01T08:30:00+00:00"),
        ("2035-01-01T00:00:00-05:00", "2035-01-01T00:00:00-05:00"),
    ],
)
def test_a_time_without_an_offset_is_beijing_s(typed: str, meant: str) -> None:
    assert moment(typed) == meant


def test_options_take_such_times(command: Command) -> None:
    made = command.json(
        "grant", "add", "zhang", "list", "--area", "110112", "--until", "2035-01-01"
    )
    assert datetime.fromisoformat(made["valid_until"]) == datetime(2034, 12, 31, 16, tzinfo=UTC)
    assert command.json("audit", "list", "--since", "2035-01-01") == []


def test_wrong_input_is_said_once_and_by_its_own_name(command: Command) -> None:
    refused = command.refused("grant", "add", "zhang", "", "--area", "110112")
    said = str(refused)
    assert refused.exit_code == 2
    assert said.startswith("Correct the request: actions: ")
    assert said.count("actions") == 1


def test_shifts_that_meet_are_told_as_far_as_was_looked(command: Command) -> None:
    command.ok("subject", "add", "wang", "--keep", "--password-stdin", given="wang-pass1\n")
    for shift in ("mon-sun 22:00-06:00", "mon-sun 06:00-22:00"):
        command.ok("grant", "add", "wang", "live", "--area", "110112", "--hours", shift)
    [ability] = next(
        each["actions"]
        for each in command.json("grant", "who-can", CODE)
        if each["username"] == "wang"
    )
    assert ability["until_is_least"] is True
    assert f"at least {ability['until'][:10]}" in command.ok("grant", "who-can", CODE)
