"""Loans over HTTP: what asking tells nobody, who answers, what nobody lends, and the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.http_kit import OFFER, SDP, Running, a_service, problem
from support.patience import PATIENCE_S

LOANS = "/api/v1/loans"
Y1, L1, NONE = (f"1101120011131{number:07d}" for number in (1, 4, 99))
QUESTION = {"channel": Y1, "actions": ["live"], "reason": "查看路口积水", "minutes": 60}
WHAT_DIFFERS = {"id", "asked", "created_at", "lapses_at"}


async def asks(client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    answer = await client.post(LOANS, json=QUESTION | more)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def act(client: httpx.AsyncClient, loan: dict[str, Any], name: str, **body: Any) -> Any:
    return await client.post(f"{LOANS}/{loan['id']}/{name}", json=body)


async def lends(client: httpx.AsyncClient, loan: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = await act(client, loan, "allow", **body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def watch(client: httpx.AsyncClient, channel_id: str, **headers: str) -> httpx.Response:
    return await client.post(f"/whep/{channel_id}", content=OFFER, headers=SDP | headers)


async def granted(admin: httpx.AsyncClient, name: str, **grant: Any) -> None:
    made = await admin.post("/api/v1/grants", json={"subject_id": f"su_{name}", **grant})
    assert made.status_code == 201, made.text


@asynccontextmanager
async def three(
    tmp_path: Path,
) -> AsyncIterator[tuple[Running, httpx.AsyncClient, httpx.AsyncClient, httpx.AsyncClient]]:
    """A service; who manages all, who manages 永顺, and who has nothing."""
    async with (
        a_service(tmp_path) as running,
        running.as_("admin") as admin,
        running.as_("warden") as warden,
        running.as_("stranger") as stranger,
    ):
        yield running, admin, warden, stranger


async def test_asked_for_lent_watched_and_ended(tmp_path: Path) -> None:
    async with three(tmp_path) as (running, _admin, warden, stranger):
        loan = await asks(stranger)
        assert (loan["state"], loan["channel_name"], loan["asked"]) == ("open", None, Y1)
        assert problem(await watch(stranger, "ch_y1")) == (404, "not_found")
        [seen] = (await warden.get(LOANS, params={"state": "open"})).json()["items"]
        assert (seen["channel_name"], seen["username"]) == ("路口1", "stranger")
        assert seen["area_path"] == ["通州区", "永顺镇"]

        lent = await lends(warden, loan, minutes=30)
        assert (lent["state"], lent["lent"], lent["answered_by"]) == (
            "running",
            ["list", "live"],
            "warden",
        )
        [own] = (await stranger.get(f"{LOANS}/mine")).json()["items"]
        assert (own["channel_id"], own["until"]) == ("ch_y1", lent["until"])
        [row] = (await stranger.get("/api/v1/channels")).json()["items"]
        assert (row["id"], row["may"]) == ("ch_y1", ["live"])
        [grant] = (await stranger.get("/api/v1/grants")).json()["items"]
        assert (grant["id"], grant["lent_by"]) == (lent["grant_id"], "warden")
        assert grant["valid_until"] == lent["until"]

        for ender in (stranger, warden):
            assert (await watch(stranger, "ch_y1")).status_code == 201
            assert len(running.core.viewers) == 1
            over = (await act(ender, loan, "end")).json()
            assert running.core.viewers == {}
            assert over["state"] == "ended"
            assert problem(await watch(stranger, "ch_y1")) == (404, "not_found")
            assert problem(await act(ender, loan, "end")) == (409, "loan_over")
            loan = await asks(stranger)
            await lends(warden, loan)
        refused = await asks(stranger, channel="ch_y2")
        answer = await act(warden, refused, "refuse", reason="正在检修")
        assert (answer.json()["state"], answer.json()["refusal"]) == ("refused", "正在检修")
        assert problem(await act(warden, refused, "allow")) == (409, "loan_answered")
        for name, number in (
            ("loan_ask", 4),
            ("loan_allow", 3),
            ("loan_end", 2),
            ("loan_refuse", 1),
        ):
            assert len(await running.audit_rows(name)) == number, name


async def test_asking_tells_nobody_what_there_is(tmp_path: Path) -> None:
    """Of a camera and of none: the same answers, the same lists, the same rows of the log."""
    async with three(tmp_path) as (_running, admin, warden, stranger):
        told = []
        for code in (L1, NONE):
            loan = await asks(stranger, channel=code)
            answers: list[Any] = [{k: v for k, v in loan.items() if k not in WHAT_DIFFERS}]
            for who in (stranger, warden):
                answers += [
                    problem(await act(who, loan, "allow")),
                    problem(await act(who, loan, "refuse", reason="x")),
                ]
            answers.append(problem(await act(warden, loan, "end")))
            answers.append((await warden.get(LOANS)).json()["total"])
            told.append(answers)
        assert told[0] == told[1]
        assert told[0][1:] == [(404, "not_found")] * 5 + [0]
        mine = (await stranger.get(f"{LOANS}/mine")).json()["items"]
        assert [(each["channel_id"], each["state"]) for each in mine] == [(None, "open")] * 2
        rows: list[dict[str, Any]] = []
        async with asyncio.timeout(PATIENCE_S):  # refusals are written beside the answers
            while [row["act"] for row in rows].count("refused") < len(told):
                log = await stranger.get("/api/v1/audit/mine", params={"limit": 100})
                rows = log.json()["items"]
        assert {row["act"] for row in rows} >= {"loan_ask"}
        assert [row for row in rows if row["channel_id"] or row["area_id"]] == []
        # Whoever manages the district knows, and may say so.
        by_code = {each["asked"]: each for each in (await admin.get(LOANS)).json()["items"]}
        unknown, known = by_code[NONE], by_code[L1]
        assert (unknown["channel_id"], known["channel_id"]) == (None, "ch_l1")
        assert problem(await act(admin, unknown, "allow")) == (409, "loan_no_channel")
        assert (await act(admin, unknown, "refuse", reason="x")).json()["state"] == "refused"
        assert (await act(stranger, known, "end")).json()["state"] == "withdrawn"


async def test_only_who_manages_it_answers_and_never_themselves(tmp_path: Path) -> None:
    async with (
        three(tmp_path) as (running, admin, warden, stranger),
        running.as_("lister") as neighbour,
        running.client() as nobody,
    ):
        liyuan = {"area_id": "ar_liyuan", "actions": ["list", "live", "manage"]}
        await granted(admin, "lister", **liyuan)
        loan = await asks(stranger)
        assert (await neighbour.get(LOANS)).json()["items"] == []
        for name, body in (("allow", {}), ("refuse", {"reason": "x"}), ("end", {})):
            path = f"{LOANS}/{loan['id']}/{name}"
            assert problem(await nobody.post(path, json=body))[0] == 401
            # That they may list the camera is no reason to tell them of the question.
            assert problem(await neighbour.post(path, json=body)) == (404, "not_found"), name
        assert problem(await act(warden, loan, "end")) == (409, "loan_open")

        own = await asks(warden)
        for name, body in (("allow", {}), ("refuse", {"reason": "x"})):
            assert problem(await act(warden, own, name, **body)) == (403, "own_loan")
        # So it is not counted among those that wait for them; another one is asked.
        waiting = {"state": "open"}
        listed = [(await each.get(LOANS, params=waiting)).json() for each in (warden, admin)]
        assert [{row["id"] for row in each["items"]} for each in listed] == [
            {loan["id"]},
            {loan["id"], own["id"]},
        ]
        assert [each["total"] for each in listed] == [1, 2]
        assert (await act(warden, own, "end")).json()["state"] == "withdrawn"
        of_all = await asks(admin)
        assert problem(await act(admin, of_all, "allow")) == (403, "own_loan")

        key = await warden.post("/api/v1/keys", json={"name": "k", "expires_in_days": 1})
        async with running.client(Authorization=f"Bearer {key.json()['key']}") as program:
            assert problem(await program.post(LOANS, json=QUESTION)) == (403, "key_not_enough")
            for name, body in (("allow", {}), ("refuse", {"reason": "x"}), ("end", {})):
                refused = await act(program, loan, name, **body)
                assert problem(refused) == (403, "key_not_enough"), name
        for_other = QUESTION | {"subject_id": "su_lister"}
        assert problem(await warden.post(LOANS, json=for_other)) == (403, "forbidden")
        assert (await asks(admin, subject_id="su_lister"))["username"] == "lister"
        async with running.local() as local:
            assert problem(await local.post(LOANS, json=QUESTION)) == (422, "unknown_subject")
            assert (await lends(local, loan))["answered_by"].startswith("local:")


async def test_nobody_lends_more_than_is_theirs(tmp_path: Path) -> None:
    async with (
        three(tmp_path) as (running, admin, warden, stranger),
        running.as_("lister") as clerk,
    ):
        loan = await asks(stranger, actions=["live", "snapshot"])
        assert problem(await act(warden, loan, "allow")) == (403, "forbidden")  # no stills
        more = await act(warden, loan, "allow", actions=["live", "playback"])
        assert problem(more) == (403, "forbidden")
        assert problem(await act(warden, loan, "allow", actions=["manage"]))[0] == 422
        longer = await act(warden, loan, "allow", actions=["live"], minutes=61)
        assert problem(longer) == (422, "out_of_range")
        assert (await lends(warden, loan, actions=["live"]))["lent"] == ["list", "live"]

        # Managing without watching: what is borrowed is not passed on, in whatever way.
        await granted(admin, "lister", actions=["list", "manage"], area_id="ar_liyuan")
        await lends(admin, await asks(clerk, channel="ch_l1"))
        assert (await watch(clerk, "ch_l1")).status_code == 201
        for_ever = {"subject_id": "su_lister", "actions": ["live"], "channel_id": "ch_l1"}
        assert problem(await clerk.post("/api/v1/grants", json=for_ever)) == (403, "pass_on_lent")
        second = await asks(stranger, channel="ch_l1")
        assert problem(await act(clerk, second, "allow")) == (403, "pass_on_lent")
        # Nor by a right of one's own that asks for a purpose, where the loan does not.
        await granted(admin, "lister", actions=["live"], area_id="ar_liyuan", purpose_required=True)
        asked = await clerk.post("/api/v1/grants", json=for_ever)
        assert problem(asked) == (403, "pass_on_purpose")
        await lends(clerk, second)
        answer = await watch(stranger, "ch_l1")
        assert problem(answer) == (403, "purpose_required")
        named = {"Streamhub-Purpose": "incident"}
        assert (await watch(stranger, "ch_l1", **named)).status_code == 201

        # A denial wins, of who lends and of who borrows.
        await granted(admin, "stranger", effect="deny", actions=["live"], channel_id="ch_y1")
        assert problem(await watch(stranger, "ch_y1")) == (403, "forbidden")
        third = await asks(stranger, channel="ch_y2")
        await granted(admin, "warden", effect="deny", actions=["live"], channel_id="ch_y2")
        assert problem(await act(warden, third, "allow")) == (403, "forbidden")


async def test_it_ends_by_itself_and_says_so_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with three(tmp_path) as (running, _admin, warden, stranger):
        lent = await lends(warden, await asks(stranger))
        until = datetime.fromisoformat(lent["until"])
        assert (await watch(stranger, "ch_y1")).status_code == 201
        [view] = running.services.doors().views.list()
        assert view.permit.until == until
        path = "/api/v1/channels/ch_y1/explain"
        why = (await warden.get(path, params={"subject": "stranger", "action": "live"})).json()
        assert "借用，warden 批准" in why["sentence"]["zh"]
        assert "on loan, allowed by warden" in why["sentence"]["en"]
        assert why["until"] == lent["until"]
        assert "a loan, allowed by warden" in why["grants"][0]["sentence"]["en"]

        services = running.services
        for moment, state, status in (
            (until - timedelta(microseconds=1), "running", 201),
            (until, "ended", 404),
        ):
            monkeypatch.setattr(services.guard, "_now", lambda moment=moment: moment)
            monkeypatch.setattr(services, "now", lambda moment=moment: moment)
            assert (await watch(stranger, "ch_y1")).status_code == status
            [own] = (await stranger.get(f"{LOANS}/mine")).json()["items"]
            assert own["state"] == state


async def test_asked_twice_with_one_key_is_asked_once(tmp_path: Path) -> None:
    async with three(tmp_path) as (_running, _admin, _warden, stranger):
        key = {"Idempotency-Key": "a"}
        first = await stranger.post(LOANS, json=QUESTION, headers=key)
        again = await stranger.post(LOANS, json=QUESTION, headers=key)
        assert first.json() == again.json()
        assert problem(await stranger.post(LOANS, json=QUESTION)) == (409, "loan_asked")
        for wrong, code in (
            ({"channel": "110112"}, "loan_channel"),
            ({"channel": "路口1"}, "loan_channel"),
            ({"actions": []}, "invalid_request"),
            ({"actions": ["ptz"]}, "invalid_request"),
            ({"reason": "  "}, "text_empty"),
            ({"minutes": 24 * 60 + 1}, "out_of_range"),
            ({"minutes": -1}, "out_of_range"),
        ):
            refused = await stranger.post(LOANS, json=QUESTION | wrong)
            assert problem(refused) == (422, code), wrong


async def test_a_key_does_with_what_is_lent_what_it_is_for_and_ends_nothing(
    tmp_path: Path,
) -> None:
    async with three(tmp_path) as (running, admin, warden, stranger):
        loan = await lends(warden, await asks(stranger))
        lent = f"/api/v1/grants/{loan['grant_id']}"

        async def told(client: httpx.AsyncClient, **key: Any) -> list[int | tuple[int, str]]:
            body = {"name": "k", "expires_in_days": 1, **key}
            made = (await client.post("/api/v1/keys", json=body)).json()
            async with running.client(Authorization=f"Bearer {made['key']}") as program:
                watched = await watch(program, "ch_y1")
                seen, ended = await program.get(lent), await program.delete(lent)
                return [watched.status_code, seen.status_code, problem(ended)]

        here, elsewhere = {"area_ids": ["ar_yongshun"]}, {"area_ids": ["ar_liyuan"]}
        not_there, by_a_key = (404, "not_found"), (403, "key_not_enough")
        for client, key, expected in (
            (warden, {}, [201, 200, by_a_key]),
            (admin, here, [201, 200, by_a_key]),
            (admin, {"actions": ["manage"], **here}, [403, 200, by_a_key]),
            (admin, {"actions": ["list", "live"], **here}, [201, 404, not_there]),
            (admin, elsewhere, [404, 404, not_there]),
            (stranger, {}, [201, 404, not_there]),
            (stranger, {"actions": ["list"]}, [403, 404, not_there]),
            (stranger, here, [201, 404, not_there]),
            (stranger, elsewhere, [404, 404, not_there]),
        ):
            assert await told(client, **key) == expected, key
        [running_loan] = (await stranger.get(f"{LOANS}/mine")).json()["items"]
        assert running_loan["state"] == "running"
        assert (await warden.delete(lent)).status_code == 204
        [ended_loan] = (await stranger.get(f"{LOANS}/mine")).json()["items"]
        assert ended_loan["state"] == "ended"
