"""`streamhub bench registry` on a small registry: every kind of question is asked and told."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from camera_registry.gb_code import check_camera, parse
from streamhub.bench.registry_places import areas, cameras
from streamhub.cli.bench import app


def test_a_small_registry_is_measured_and_told() -> None:
    result = CliRunner().invoke(
        app, ["registry", "--channels", "1000", "--queries", "130", "--json"]
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    [row] = told["rows"]
    assert (row["store"], row["channels"], row["queries"]) == ("sqlite", 1_000, 130)
    assert 0 < row["search_ms"]["p50"] <= row["search_ms"]["p99"] <= row["search_ms"]["max"]
    assert set(row["scope_ms"]) == {"everything", "street", "grid", "single"}
    assert len(row["kind_ms"]) == 13
    assert told["machine"]["cores"] >= 1


def test_the_district_is_the_same_each_time_and_as_the_registry_wants_it() -> None:
    rows = [channel for _, channel in cameras(500)]
    assert rows == [channel for _, channel in cameras(500)]
    known = {area.id for area in areas()}
    for channel in rows:
        check_camera(parse(channel.code))
        assert channel.area_id in known
    assert len({channel.code for channel in rows}) == 500
