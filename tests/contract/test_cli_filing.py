"""`streamhub camera review|file|refuse|reopen|filing`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import Command

CODE = "11011200111310000001"


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    directory: Path = tmp_path_factory.mktemp("filing") / "data"
    made = Command(directory)
    made.ok("area", "add", "110112", "通州区", "--kind", "district")
    made.ok(
        "camera", "add", CODE, "路口1", "--area", "110112", "--url", "rtsp://127.0.0.1:9/main",
        "--draft",
    )  # fmt: skip
    yield made
    made.end()


def test_from_draft_to_filed_and_back(command: Command) -> None:
    [waiting] = command.json("camera", "list", "--filing", "draft")
    assert waiting["code"] == CODE
    # Whoever added it is the one local operator that there is here.
    own = command.run("camera", "review", CODE)
    assert (own.returncode, "second_person_wanted" in own.stderr) == (1, True)
    assert "Manage > Acceptance" in own.stderr
    assert "`streamhub camera filing --second-person off`" in own.stderr
    assert command.json("camera", "filing") == {"second_person": True, "by_hand": "filed"}
    off = command.json("camera", "filing", "--second-person", "off")
    assert off == {"second_person": False, "by_hand": "filed"}
    assert command.ok("camera", "review", CODE) == "reviewed 1\n"
    assert command.ok("camera", "file", "--area", "通州区") == "filed 1\n"
    assert command.json("camera", "show", CODE)["filing"] == "filed"
    command.ok("camera", "reopen", CODE, "--reason", "转了方向")
    refused = command.ok("camera", "refuse", CODE, "--reason", "看不清")
    assert refused == "refused 1\n"
    shown = command.json("camera", "show", CODE)
    assert (shown["filing"], shown["filing_note"]) == ("draft", "看不清")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("review",), "one of these"),
        (("review", CODE, "--area", "通州区"), "one of these"),
        (("refuse", CODE), "--reason"),
        (("filing", "--second-person", "maybe"), "on, or off"),
        (("filing", "--by-hand", "reviewed"), "by_hand"),
    ],
)
def test_a_wrong_command_is_said(
    command: Command, arguments: tuple[str, ...], sentence: str
) -> None:
    done = command.run("camera", *arguments)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr


def test_an_import_says_that_it_brought_drafts(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "cameras.csv"
    file.write_text(
        "设备编码,设备名称,所属区域编码,主码流地址\n"
        "11011200111310000002,路口2,110112,rtsp://192.0.2.2/main\n"
    )
    said = command.ok("camera", "import", str(file), "--apply")
    assert "What it added are drafts" in said
    [job] = command.json("camera", "imports")
    assert f"streamhub camera review --import {job['id']}" in said
    assert job["options"]["filing"] == "draft"

    # Planned, then applied: the same is said.
    command.ok("camera", "undo-import", job["id"])
    command.ok("camera", "import", str(file))
    planned = command.json("camera", "imports")[0]["id"]
    later = command.ok("camera", "apply-import", planned)
    assert later.splitlines() == [
        line.replace(job["id"], planned) for line in said.splitlines()[-2:]
    ]
