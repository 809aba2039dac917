"""`streamhub camera import` and its neighbours, as an integrator types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from streamhub import cli

HEADINGS = "设备编码,设备名称,所属区域编码,主码流地址,设备用户名,设备口令"
GOOD = "11011200111310000001,东门,110112001,rtsp://192.0.2.9/main,ops,s3cret-word"
BAD = "12345,西门,110112999,rtsp://192.0.2.10/main,,"


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


class Commands:
    """The command line in this process: starting one for each command takes a second."""

    def __init__(self, type_: Callable[..., Done]) -> None:
        self.run = type_

    def ok(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.ok(*arguments, "--json"))


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Commands:
    monkeypatch.setenv("STREAMHUB_DATA_DIR", str(tmp_path / "data"))

    def type_(*arguments: str) -> Done:
        monkeypatch.setattr("sys.argv", ["streamhub", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        code = left.value.code
        return Done(code if isinstance(code, int) else 0, out, err)

    made = Commands(type_)
    made.ok("area", "add", "110112", "通州区", "--kind", "district")
    made.ok("area", "add", "110112001", "永顺镇", "--kind", "street", "--parent", "110112")
    return made


def test_a_dry_run_names_each_bad_row_and_the_corrected_file_is_applied(
    command: Commands, tmp_path: Path
) -> None:
    file, report = tmp_path / "cameras.csv", tmp_path / "errors.xlsx"
    file.write_text("\n".join((HEADINGS, GOOD, BAD)), encoding="gb18030")
    tried = command.run("camera", "import", str(file), "--dry-run", "--report", str(report))
    assert tried.returncode == 1
    lines = tried.stdout.splitlines()
    assert [line.split("  ")[:3] for line in lines[:2]] == [
        ["row 3", "设备编码", "code_not_20_digits"],
        ["row 3", "所属区域编码", "area_unknown"],
    ]
    assert "1 to add, 0 to change, 0 as they are, 1 refused" in tried.stdout
    assert lines[-1] == "Nothing is changed."
    assert load_workbook(report).active is not None
    assert command.json("camera", "list") == []
    assert command.json("camera", "imports") == []

    file.write_text("\n".join((HEADINGS, GOOD)), encoding="utf-8")
    applied = command.json("camera", "import", str(file), "--apply")
    assert applied["state"] == "applied"
    assert [each["name"] for each in command.json("camera", "list")] == ["东门"]
    again = command.json("camera", "import", str(file), "--dry-run")
    assert again["counts"]["same"] == 1

    out = tmp_path / "out.csv"
    command.ok("camera", "export", str(out), "--language", "en")
    assert "s3cret-word" not in out.read_text(encoding="utf-8-sig")
    assert "rtsp://192.0.2.9/main" in out.read_text(encoding="utf-8-sig")
    assert command.run("camera", "lint").returncode == 0
    assert command.json("camera", "undo-import", applied["id"])["state"] == "undone"
    assert command.json("camera", "list") == []


def test_a_dry_run_shows_what_each_new_camera_would_be_and_no_password(
    command: Commands, tmp_path: Path
) -> None:
    file = tmp_path / "cameras.csv"
    head = "设备编码,设备名称,所属区域编码,IPv4地址,设备用户名,设备口令,颜色"
    file.write_text(
        "\n".join(
            (head, *(f"{code(n)},N{n},110112001,192.0.2.{n},ops,s3cret,红" for n in range(1, 31)))
        )
    )
    arguments = ("camera", "import", str(file), "--vendor", "hikvision")
    told = command.ok(*arguments, "--dry-run")
    [first] = [line for line in told.splitlines() if line.startswith(f"row 2  {code(1)}")]
    for part in (
        "new: N1",
        "area=110112001",
        "device_class=police_hd",
        "main_url=rtsp://192.0.2.1:554/Streaming/Channels/101",
        "sub_url=rtsp://192.0.2.1:554/Streaming/Channels/102",
        "username=ops",
        "password=***",
        "other.颜色=红",
        "filing=draft",
    ):
        assert f"  {part}" in first
    assert told.count("  new: N") == 20
    assert "… and 10 more to add" in told
    kept = command.json(*arguments)
    assert [len(row["changes"]) for row in kept["rows"]] == [len(kept["rows"][0]["changes"])] * 30
    [word] = [each for each in kept["rows"][0]["changes"] if each["field"] == "password"]
    assert word == {"field": "password", "before": "", "after": "***"}
    looked = command.ok("camera", "imports", kept["id"])
    assert looked.count("  new: N") == 30
    assert "s3cret" not in told + looked + json.dumps(kept)


def test_every_refused_row_is_a_line_and_a_duplicate_one_line(
    command: Commands, tmp_path: Path
) -> None:
    file = tmp_path / "cameras.csv"
    bad = [BAD.replace("12345", str(n)).replace(".10/", f".10/{n}/") + ",," for n in range(300)]
    twins = [GOOD, GOOD.replace("0001,", "0002,"), GOOD.replace("/main", "/x")]
    lines = (f"{HEADINGS},经度,纬度", *bad, *(f"{each},," for each in twins))
    file.write_text("\n".join(lines))
    told = command.run("camera", "import", str(file), "--dry-run").stdout.splitlines()
    assert sum("code_not_20_digits" in line for line in told) == 300
    assert [line.split("  ")[::2] for line in told if "duplicate_" in line] == [
        ["row 303", "duplicate_address"],
        ["row 304", "duplicate_code"],
    ]
    assert sum("position_missing" in line for line in told) == 200
    assert "… and 103 more warnings; --report FILE.xlsx and --json have them all." in told


def test_lint_shows_as_many_lines_as_an_import_does(command: Commands, tmp_path: Path) -> None:
    file = tmp_path / "cameras.csv"
    head = "设备编码,设备名称,所属区域编码,IPv4地址"
    rows = (f"{code(n)},N{n},110112001,192.0.3.{n}" for n in range(1, 251))
    file.write_text("\n".join((head, *rows)))
    made = command.json("camera", "import", str(file), "--vendor", "hikvision", "--apply")
    found = command.json("camera", "lint")
    warnings = [each for item in found["items"] for each in item["findings"]]
    told = command.ok("camera", "lint").splitlines()
    assert f"… and {len(warnings) - 200} more warnings; --json has them all." in told
    assert len(told) == 202
    assert told[-1].endswith(f"0 errors, {len(warnings)} warnings.")
    command.ok("camera", "undo-import", made["id"])


def code(serial: int) -> str:
    return f"11011200111310{serial:06d}"


def test_what_is_found_is_said_in_chinese_where_that_is_asked_for(
    command: Commands, tmp_path: Path
) -> None:
    file, report = tmp_path / "cameras.csv", tmp_path / "errors.xlsx"
    file.write_text("\n".join((HEADINGS, GOOD, BAD)), encoding="utf-8")
    arguments = ("camera", "import", str(file), "--dry-run", "--language", "zh")
    lines = command.run(*arguments, "--report", str(report)).stdout.splitlines()
    words = "编码须为 20 位数字。"
    assert lines[0].startswith(f"row 3  设备编码  code_not_20_digits  {words}")
    sheet = load_workbook(report).active
    assert sheet is not None
    assert str(sheet.cell(3, 8).value).startswith(f"设备编码: {words}")
    assert words not in command.run(*arguments, "--json").stdout  # for programs: as it is

    file.write_bytes(b"PK\x03\x04" + b"\0" * 100)
    assert "工作簿已损坏" in command.run(*arguments).stdout

    file.write_text("\n".join((HEADINGS, GOOD, GOOD.replace("0001,东门", "0002,"))))
    kept = command.json("camera", "import", str(file), "--apply", "--without-refused")
    told = command.ok("camera", "imports", kept["id"], "--language", "zh")
    assert "required  模板要求填写此格。" in told
    told = command.run("camera", "lint", "--language", "zh").stdout
    assert "position_missing  没有经纬度" in told
    refused = command.run("camera", "lint", "--language", "fr")
    assert (refused.returncode, "--language is en or zh" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "The file is empty"),
        (b"a,b\n1,2\n", "lacks columns"),
        (b"PK\x03\x04" + b"\0" * 100, "damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, ".xlsx"),
    ],
)
def test_a_broken_file_is_a_sentence_and_changes_nothing(
    command: Commands, tmp_path: Path, content: bytes, says: str
) -> None:
    file = tmp_path / "broken"
    file.write_bytes(content)
    done = command.run("camera", "import", str(file), "--apply")
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stdout + done.stderr
    assert says in done.stdout + done.stderr
    assert command.json("camera", "list") == []


def test_undoing_names_the_devices_that_keep_credentials(command: Commands, tmp_path: Path) -> None:
    file = tmp_path / "cameras.csv"
    file.write_text("\n".join((HEADINGS, GOOD)), encoding="utf-8")
    command.ok("camera", "import", str(file), "--apply")
    file.write_text("\n".join((HEADINGS, GOOD.replace("s3cret", "other"))), encoding="utf-8")
    changed = command.json("camera", "import", str(file), "--apply")
    said = command.ok("camera", "undo-import", changed["id"])
    assert "Devices that keep the credentials it gave them: 1 (192.0.2.9:554)." in said
    assert "other-word" not in said
    again = command.json("camera", "undo-import", changed["id"])
    assert again["keep_credentials_names"] == ["192.0.2.9:554"]


def test_codes_templates_and_versions_are_told(command: Commands) -> None:
    first = command.ok("camera", "new-code", "110112", "--count", "2").split()
    second = command.ok("camera", "new-code", "110112").split()
    assert first + second == [f"110112000013210000{n:02d}" for n in (1, 2, 3)]
    names = [each["name"] for each in command.json("camera", "templates")]
    assert names == ["archive-27", "archive-73", "full"]
    command.ok(
        "camera", "add", first[0], "东门", "--area", "永顺镇", "--url", "rtsp://192.0.2.9/main"
    )
    [version] = command.json("camera", "versions", first[0])
    assert version["act"] == "channel_create"
    assert command.json("camera", "undo", str(version["version"]))["exists"] is False
    assert command.json("camera", "list") == []
