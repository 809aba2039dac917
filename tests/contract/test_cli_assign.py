"""`streamhub area assign` and `streamhub area rule`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import Command

CODE = "11011200111310000001"


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    directory: Path = tmp_path_factory.mktemp("assign") / "data"
    made = Command(directory)
    made.ok("area", "add", "110112", "通州区", "--kind", "district")
    made.ok("area", "add", "110112001", "永顺镇", "--kind", "street", "--parent", "110112")
    made.ok(
        "camera", "add", CODE, "永顺路口1", "--area", "110112", "--url", "rtsp://127.0.0.1:9/main"
    )
    made.ok(
        "subject", "add", "grid-platform", "--keep", "--password-stdin", given="platform-pass\n"
    )
    made.ok("grant", "add", "grid-platform", "list,live", "--area", "永顺镇")
    yield made
    made.end()


def test_a_rule_a_look_and_then_the_move(command: Command) -> None:
    rule = command.json("area", "rule", "add", "name_prefix", "永顺", "--area", "永顺镇")
    assert [each["id"] for each in command.json("area", "rule", "list")] == [rule["id"]]
    assert command.ok("area", "rule", "list").split()[-2:] == ["永顺", "永顺镇"]
    look = command.ok("area", "assign")
    assert f"{CODE} 永顺路口1: 通州区 -> 永顺镇 (rule {rule['id']})" in look
    assert "1 camera becomes visible to grid-platform: 永顺路口1" in look
    assert "would move 1 of 1" in look
    assert command.json("camera", "show", CODE)["area_path"] == ["通州区"]

    assert "moved 1 of 1" in command.ok("area", "assign", "--area", "通州区", "--apply")
    assert command.json("camera", "show", CODE)["area_path"] == ["通州区", "永顺镇"]
    assert command.json("area", "assign", CODE, "--no-boundaries")["moves"] == 0
    command.ok("area", "rule", "remove", rule["id"])
    assert command.json("area", "rule", "list") == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("assign", CODE, "--area", "永顺镇"), "one of these"),
        (("rule", "add", "fact", "x", "--area", "永顺镇"), "rule_field"),
        (("rule", "add", "colour", "x", "--area", "永顺镇"), "kind"),
    ],
)
def test_a_wrong_command_is_said(
    command: Command, arguments: tuple[str, ...], sentence: str
) -> None:
    done = command.run("area", *arguments)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
