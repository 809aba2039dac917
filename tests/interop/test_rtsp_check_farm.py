"""`camera check` against the farm: another RTSP server than the scripted one, with its faults."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateways.rtsp import CheckReport, check
from support.district import Farm, running_farm
from support.patience import PATIENCE_S

PASSWORD = "farm-secret"
# For each step: those before the one that is waited out have to be done within it, too.
WAITED_OUT_S = 6.0


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    with running_farm(PASSWORD, cameras=4) as farm:
        yield farm
    for pipe in (farm.process.stdin, farm.process.stdout):
        if pipe is not None:
            pipe.close()


async def checked(
    farm: Farm, path: str, password: str = PASSWORD, *, timeout_s: float = PATIENCE_S
) -> CheckReport:
    url = f"rtsp://admin:{password}@127.0.0.1:{farm.port}/{path}"
    return await check(url, timeout_s=timeout_s)


@pytest.mark.parametrize("path", ["cam/1/main", "cam/2/sub", "fault/udp-only/cam/1/main"])
async def test_a_farm_camera_can_be_pulled(farm: Farm, path: str) -> None:
    report = await checked(farm, path)
    assert report.ok, report.lines()
    assert PASSWORD not in "\n".join(report.lines())
    [setup] = [step for step in report.steps if step.name == "setup"]
    assert ("by UDP" in setup.note) == ("udp-only" in path)


@pytest.mark.parametrize(
    ("path", "step", "code"),
    [
        ("cam/99/main", "describe", "not_found"),
        ("fault/unauthorized/cam/1/sub", "options", "auth_failed"),
        ("fault/silent/cam/1/sub", "first_packet", "no_packets"),
        ("fault/mute-accept/cam/1/sub", "options", "no_answer"),
        ("fault/reset/cam/1/sub", "options", "closed_by_peer"),
        ("fault/mjpeg/cam/1/sub", "describe", "codec_unsupported"),
        ("fault/silent-after/0/fault/udp-only/cam/1/sub", "first_packet", "no_packets"),
    ],
)
async def test_a_fault_of_the_farm_is_named(farm: Farm, path: str, step: str, code: str) -> None:
    waited_out = code in ("no_packets", "no_answer")
    report = await checked(farm, path, timeout_s=WAITED_OUT_S if waited_out else PATIENCE_S)
    assert (report.failed_step, report.code) == (step, code), report.lines()


async def test_a_wrong_password_is_named(farm: Farm) -> None:
    assert (await checked(farm, "cam/1/sub", "wrong")).code == "auth_failed"
