"""`streamhub bench access` on a small registry, and the grants that it makes."""

from __future__ import annotations

import json
from collections import Counter

from typer.testing import CliRunner

from camera_registry.domain import Effect
from streamhub.bench import access_people as people
from streamhub.bench.access import complaints
from streamhub.cli.bench_rights import app


def test_a_small_registry_is_measured_and_told() -> None:
    words = ["--channels", "1000", "--grants", "600", "--subjects", "60"]
    words += ["--decisions", "500", "--pages", "20", "--runs", "2", "--json"]
    result = CliRunner().invoke(app, ["access", *words])
    rows = json.loads(result.stdout)["rows"]
    # On a busy machine it may miss its figures, and says so.
    assert result.exit_code == bool(complaints(rows)), result.output
    row, second = rows
    assert (row["store"], row["channels"], row["grants"], row["subjects"]) == (
        "sqlite",
        1_000,
        600,
        60,
    )
    assert "granted_s" not in second
    lists = ("list_ms", "list_cpu_ms", "list_http_ms", "list_http_cpu_ms")
    for each in (row, second):
        assert 0 < each["allowed"] < each["decisions"] == 500
        for figure in ("decide_us", "decide_cpu_us", "first_us", *lists):
            assert 0 < each[figure]["p50"] <= each[figure]["p99"] <= each[figure]["max"], figure
        assert each["pages_empty"] < each["pages"]


def test_a_missed_figure_is_a_sentence() -> None:
    good = {"decide_us": {"p99": 1_000.0}, "list_ms": {"p99": 50.0}}
    assert complaints([good, {"decide_us": {"p99": 3.0}}]) == []
    assert complaints([good, {"decide_us": {"p99": 1_000.1}, "list_ms": {"p99": 50.1}}]) == [
        "p99 of a decision is 1000.1 us, wanted are 1000.",
        "p99 of a page is 50.1 ms, wanted are 50.",
    ]


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
