"""From options and a plan file to devices; each mistake is a sentence."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from streamhub import farm_onvif
from streamhub.farm_onvif.faults import FaultKind, FaultSet, FaultUnknown, spread
from streamhub.farm_onvif.plan import OnvifOptions, PlanInvalid, build, read_credentials
from support.onvif_client import devices

SETS = read_credentials('[["admin", "one"], ["viewer", "two"], ["root", "three"]]')
PLAN = """
devices:
  - numbers: 2-3
    channels: 16
    faults: [digest-only, "slow:5"]
  - {numbers: 5, ptz: true, credentials: 3}
"""


def test_numbers_follow_addresses_and_cameras_follow_channels(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    made = build(OnvifOptions("127.77.0.0/29", plan=path, credentials=SETS))
    assert [each.spec.address for each in made] == [f"127.77.0.{n}" for n in range(1, 7)]
    assert [each.spec.first_camera for each in made] == [1, 2, 18, 34, 35, 36]
    assert [each.spec.channels for each in made] == [1, 16, 16, 1, 1, 1]
    assert [each.spec.has_ptz for each in made] == [False, False, False, True, True, False]
    assert made[1].faults == FaultSet(
        frozenset({FaultKind.DIGEST_ONLY, FaultKind.SLOW}), slow_s=5.0
    )
    assert made[1].spec.identity.model == "NVR4216-4KS3"
    users = [each.gate.credentials.username for each in made if each.gate.credentials]
    assert users == ["admin", "viewer", "root", "admin", "root", "root"]


def test_shares_choose_disjoint_devices_and_the_same_each_time() -> None:
    chosen = spread({"dead": 0.2, "slow:9": 0.1, "digest-only": 0.7}, 300)
    kinds = Counter(kind for fault in chosen.values() for kind in fault.kinds)
    assert kinds == {FaultKind.DEAD: 60, FaultKind.SLOW: 30, FaultKind.DIGEST_ONLY: 210}
    assert set(chosen) == set(range(1, 301))
    assert spread({"dead": 0.2, "slow:9": 0.1, "digest-only": 0.7}, 300) == chosen
    # Spread over the addresses, not the first of them.
    dead = [n for n, fault in chosen.items() if FaultKind.DEAD in fault]
    assert 20 < sum(n > 150 for n in dead) < 40


@pytest.mark.parametrize("word", ["tired", "slow:", "slow:0", "slow:many", "dead:5", "slow:1e9"])
def test_a_fault_that_is_not_is_named(word: str) -> None:
    if word == "slow:":
        assert FaultSet().adding(word).slow_s == 3.0
        return
    with pytest.raises(FaultUnknown, match=word):
        FaultSet().adding(word)


def test_faults_add_up_until_none() -> None:
    both = FaultSet().adding("digest-only").adding("clock-hour-off")
    assert both.kinds == {FaultKind.DIGEST_ONLY, FaultKind.CLOCK_HOUR_OFF}
    assert both.adding("none") == FaultSet()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"network": "127.77.0.1/24"}, "host bits set"),
        ({"network": "somewhere"}, "127.20.0.0/22"),
        ({"network": "0.0.0.0/32"}, "0.0.0.0 is none"),
        ({"network": "127.0.0.0/8"}, "at most 4096"),
        ({"network": "127.77.0.0/28", "devices": 15}, "14 devices, not for 15"),
        ({"faults": ("dead",)}, "KIND=share"),
        ({"faults": ("dead=1.5",)}, "0 to 1"),
        ({"faults": ("dead=0.6", "slow=0.6")}, "1 at most together"),
        ({"faults": ("tired=0.1",)}, "no fault tired"),
        ({"plan": Path("/nowhere.yaml")}, "can't be read"),
    ],
)
def test_a_mistake_in_the_options_is_a_sentence(options: dict[str, Any], part: str) -> None:
    with pytest.raises(PlanInvalid, match=part):
        build(OnvifOptions(**{"network": "127.77.0.0/24", **options}))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("devices: [", "is no YAML"),
        ("!!python/object/apply:os.system [ls]", "is no YAML"),
        ("- 1", "list under `devices`"),
        ("devices: [{channels: 2}]", "needs `numbers`"),
        ("devices: [{numbers: 1, colour: red}]", "needs `numbers`"),
        ("devices: [{numbers: 9-3}]", "`numbers` is like"),
        ("devices: [{numbers: 255}]", "up to 254"),
        ("devices: [{numbers: 1, channels: 65}]", "from 1 to 64"),
        ("devices: [{numbers: 1, channels: true}]", "from 1 to 64"),
        ("devices: [{numbers: 1, credentials: 2}]", "from 1 to 1"),
        ("devices: [{numbers: 1, ptz: 1}]", "true or false"),
        ("devices: [{numbers: 1, faults: dead}]", "is a list"),
        ("devices: [{numbers: 1, faults: [tired]}]", "no fault tired"),
        ("#" * ((1 << 20) + 1), "list under `devices`"),
    ],
)
def test_a_mistake_in_the_plan_is_a_sentence(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(PlanInvalid, match=part):
        build(OnvifOptions("127.77.0.0/24", plan=path))


@pytest.mark.parametrize("text", ["", "[]", '["admin", "hunter2"]', '[["hunter2"]]', '[["a", 5]]'])
def test_credential_sets_that_are_none_are_refused_without_being_told(text: str) -> None:
    with pytest.raises(PlanInvalid) as refused:
        read_credentials(text)
    assert "hunter2" not in str(refused.value)


def test_thousands_of_serials_and_endpoints_are_all_different() -> None:
    made = devices("127.77.0.0/20")
    assert len(made) == 4094
    for facts in ("serial", "mac", "endpoint"):
        assert len({getattr(each.spec.identity, facts) for each in made}) == 4094


def test_the_judge_shares_no_code_with_the_accused() -> None:
    for path in Path(farm_onvif.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.startswith(("gateways", "onvif"))], path
