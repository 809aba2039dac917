"""`streamhub bench access` on a small registry, and the grants that it makes."""

from __future__ import annotations

import json
from collections import Counter

from typer.testing import CliRunner

from camera_registry.domain import Effect
from streamhub.bench import access_people as people
from streamhub.cli.bench_rights import app


def test_a_small_registry_is_measured_and_told() -> None:
    words = ["--channels", "1000", "--grants", "600", "--subjects", "60"]
    words += ["--decisions", "500", "--pages", "20", "--runs", "2", "--json"]
    result = CliRunner().invoke(app, ["access", *words])
    assert result.exit_code == 0, result.output
    row, second = json.loads(result.stdout)["rows"]
    assert (row["store"], row["channels"], row["grants"], row["subjects"]) == (
        "sqlite",
        1_000,
        600,
        60,
    )
    assert "granted_s" not in second
    for each in (row, second):
        assert 0 < each["allowed"] < each["decisions"] == 500
        for figure in ("decide_us", "decide_cpu_us", "first_us", "list_ms", "list_cpu_ms"):
            assert 0 < each[figure]["p50"] <= each[figure]["p99"] <= each[figure]["max"], figure
        assert each["pages_empty"] < each["pages"]


def test_the_grants_are_of_every_kind_and_the_same_each_time() -> None:
    made = list(people.grants(2_000, channels=1_000, subjects=100))
    assert made == list(people.grants(2_000, channels=1_000, subjects=100))
    kinds = Counter(
        (
            each.effect is Effect.DENY,
            each.area_id is not None,
            each.channel_id is not None,
            "" if not each.conditions else each.conditions[0].field,
            bool(each.windows),
        )
        for each in made
    )
    assert len(kinds) >= 8, kinds
    assert 0 < sum(each.role_id is not None for each in made) < 200
    rules = {each.conditions for each in made if each.conditions}
    assert len(rules) <= people.RULES + 3  # the classes
