"""A subnet of unknown ONVIF devices, and the form that an integrator fills in for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openpyxl import load_workbook

from support.district import ROOT, free_port

DEVICES = 300
# Two subnets of 256: the sweep's pace is by subnet.
NETWORK = "127.84.0.0/23"
TOWNSHIP = "110112006"  # 永顺镇 of the demo district
SETS = [["admin", "first-w0rd"], ["viewer", "sec0nd-word"]]
# What is spoilt in the form: column, value, code of the finding.
ERRORS = (
    ("设备编码", "1101120000132100", "code_not_20_digits"),
    ("设备编码", "32061200001321000777", "code_of_another_division"),
    ("经度", "416.65", "out_of_range"),
    ("纬度", "北边", "degrees_malformed"),
    ("经度", "117.9", "position_outside"),
    ("MAC", "00-00-5E", "mac_malformed"),
    ("监视方位", "上", "unknown_value"),
    ("安装时间", "2099-01-01", "date_in_future"),
    ("设备厂商", "没有这家", "unknown_value"),
    ("IPv4", "300.1.1.1", "ipv4_malformed"),
)


@contextmanager
def subnet(onvif_port: int) -> Iterator[None]:
    """300 simulated devices, each with its streams, by the farm's own command."""
    words = ["--listen", f"127.0.0.1:{free_port()}", "--cameras", str(DEVICES)]
    words += ["--onvif", NETWORK, "--onvif-port", str(onvif_port)]
    words += ["--onvif-devices", str(DEVICES), "--onvif-discovery-port", "0"]
    secrets = {"STREAMHUB_FARM_ONVIF_CREDENTIALS": json.dumps(SETS)}
    with subprocess.Popen(
        [sys.executable, "-m", "streamhub.cli", "farm", *words],
        cwd=ROOT,
        env={**os.environ, **secrets},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for _ in range(2):
            assert "listening" in process.stdout.readline()
        try:
            yield
        finally:
            process.terminate()


def only(form: Path, codes: set[str]) -> Any:
    """The form with these cameras alone, filled in as far as ONVIF does not tell."""
    book = load_workbook(form)
    sheet = book.active
    at = {cell.value: cell.column for cell in sheet[1]}
    for row in range(sheet.max_row, 1, -1):
        if sheet.cell(row, at["设备编码"]).value not in codes:
            sheet.delete_rows(row)
    for row in range(2, sheet.max_row + 1):
        sheet.cell(row, at["设备名称"]).value = f"新华大街{row}号"
        sheet.cell(row, at["经度"]).value = f"{116.65 + row / 100_000:.5f}"
        sheet.cell(row, at["纬度"]).value = "39.90500"
        sheet.cell(row, at["安装时间"]).value = "2024-01-02"
        sheet.cell(row, at["录像保存天数"]).value = "30"
    return book


def spoil(book: Any) -> None:
    """The ten mistakes, each in a row of its own; see `errors_of`."""
    sheet = book.active
    at = {cell.value: cell.column for cell in sheet[1]}
    for number, (column, value, _) in enumerate(ERRORS):
        sheet.cell(20 * number + 5, at[column]).value = value


def errors_of() -> list[tuple[int, str, str]]:
    """Row, column and code of each mistake that `spoil` made."""
    return [(20 * n + 5, column, code) for n, (column, _, code) in enumerate(ERRORS)]
