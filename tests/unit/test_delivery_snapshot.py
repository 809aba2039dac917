"""Stills: from the pull that is there, or a short one under a budget; each with its row."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from gateways.decode import Busy, Undecodable
from streamhub.access.errors import AccessError, Forbidden, NotVisible
from streamhub.access.facts import Facts
from streamhub.access.principal import Action
from streamhub.delivery import DeliverySettings
from streamhub.delivery.errors import (
    AuditUnavailable,
    NoKeyframe,
    StillUndecodable,
    UnknownProfile,
)
from streamhub.delivery.snapshot import Still
from streamhub.media.contract import KeyframeTaken, OverCapacity
from streamhub.media.fake import Script
from support.delivery_kit import START, Kit, a_room, some_facts

NO_STILLS = some_facts(actions=frozenset({"list", "live"}))


async def take(kit: Kit, channel_id: str = "ch_1") -> Still:
    return await kit.delivery.snapshot.take(kit.permit(channel_id, Action.SNAPSHOT), "sub")


async def test_a_watched_channel_gives_a_still_without_a_second_dial() -> None:
    async with a_room() as kit:
        await kit.open_live()
        still = await take(kit)
        assert (still.jpeg, still.width, still.height) == (b"jpg", 640, 360)
        assert still.age_ms >= 40
        assert kit.core.dials == ["ch_1/sub"]
        row = kit.store.last("snapshot")
        assert (row.outcome, row.channel_id, row.area_id) == ("ok", "ch_1", "ar_1")
        assert (row.detail["bytes"], row.detail["grant_ids"]) == (3, ["gr_1"])


async def test_the_decoder_is_told_the_camera_s_codec() -> None:
    async with a_room() as kit:
        kit.core.default_script = Script(codec="H265")
        await take(kit)
        assert kit.decoder.codec == "H265"


async def test_an_unwatched_channel_is_dialled_and_let_go_soon() -> None:
    async with a_room() as kit:
        await take(kit)
        assert kit.core.dials == ["ch_1/sub"]
        kit.pass_time(2.1)
        assert kit.core.hang_ups == ["ch_1/sub"]


async def test_one_decode_serves_all_who_ask_within_a_second() -> None:
    async with a_room() as kit:
        await asyncio.gather(*(take(kit) for _ in range(5)))
        await take(kit)
        assert kit.decoder.calls == 1
        assert kit.store.acts().count("snapshot") == 6


async def test_a_camera_that_gives_no_keyframe_ends_at_the_deadline() -> None:
    async with a_room(settings=DeliverySettings(still_deadline_s=0.02)) as kit:
        kit.core.default_script = Script(keyframe=None)
        with pytest.raises(NoKeyframe) as refusal:
            await take(kit)
        assert (refusal.value.code, refusal.value.reason) == ("no_keyframe", "deadline")
        row = kit.store.last("snapshot")
        assert (row.outcome, row.detail["reason"]) == ("failed", "deadline")
        assert kit.router.route("ch_1/sub").leases == 0


async def test_a_camera_that_refuses_us_is_not_waited_for() -> None:
    async with a_room() as kit:
        kit.core.default_script = Script(fail=("auth_failed", False))
        with pytest.raises(NoKeyframe) as refusal:
            await take(kit)
        assert refusal.value.reason == "auth_failed"
        with pytest.raises(NoKeyframe):  # and the pause holds for the next one too
            await take(kit)
        assert kit.core.dials == ["ch_1/sub"]


async def test_a_wall_of_stills_dials_a_few_cameras_at_a_time() -> None:
    settings = DeliverySettings(still_dials=2, still_waiting=4)
    async with a_room(settings=settings, facts=some_facts(channels=9)) as kit:
        kit.core.default_script = Script(goes_live=False)
        channels = [1, 2, 4, 5]
        wall = [asyncio.create_task(take(kit, f"ch_{n}")) for n in channels]
        await kit.quiet()
        assert len(kit.core.dials) == 2
        with pytest.raises(OverCapacity):
            await take(kit, "ch_6")
        for n in channels:
            kit.core.go_live(f"ch_{n}/sub")
            await kit.quiet()
        assert [still.jpeg for still in await asyncio.gather(*wall)] == [b"jpg"] * 4


async def test_an_old_keyframe_is_not_shown_as_now() -> None:
    async with a_room(settings=DeliverySettings(still_max_age_ms=10_000)) as kit:
        kit.core.default_script = Script(keyframe=None)
        taking = asyncio.create_task(take(kit))
        await kit.quiet()
        (request_id,) = kit.delivery.snapshot._waiting
        kit.core.emit(KeyframeTaken(request_id, "ch_1/sub", b"old", 10_001, 640, 360))
        with pytest.raises(NoKeyframe) as refusal:
            await taking
        assert refusal.value.reason == "too_old"


async def test_what_cannot_be_decoded_says_so_and_a_busy_decoder_asks_to_come_back() -> None:
    async with a_room() as kit:
        kit.decoder.fail = Undecodable("no picture")
        with pytest.raises(StillUndecodable):
            await take(kit)
        assert kit.store.last("snapshot").detail["code"] == "still_undecodable"
        kit.decoder.fail = Busy("too many")
        with pytest.raises(OverCapacity):
            await take(kit)


async def test_without_an_audit_row_there_is_no_still() -> None:
    async with a_room() as kit:
        kit.store.broken = True
        with pytest.raises(AuditUnavailable):
            await take(kit)


async def test_a_caller_that_goes_away_leaves_the_picture_to_the_others() -> None:
    async with a_room() as kit:
        kit.core.default_script = Script(goes_live=False)
        first, second = (asyncio.create_task(take(kit)) for _ in range(2))
        await kit.quiet()
        first.cancel()
        kit.core.go_live("ch_1/sub")
        assert (await second).jpeg == b"jpg"
        assert (await asyncio.gather(first, return_exceptions=True))[0] is not None


async def test_lost_events_do_not_lose_the_picture() -> None:
    async with a_room() as kit:
        kit.core.default_script = Script(goes_live=False)
        taking = asyncio.create_task(take(kit))
        await kit.quiet()
        kit.core.go_live("ch_1/sub")
        kit.core.lose_events()
        assert (await taking).jpeg == b"jpg"


async def test_a_still_needs_its_own_right_and_an_existing_profile() -> None:
    async with a_room() as kit:
        with pytest.raises(ValueError, match="not for snapshot"):
            await kit.delivery.snapshot.take(kit.permit(action=Action.LIVE), "sub")
        with pytest.raises(UnknownProfile):
            await kit.delivery.snapshot.take(kit.permit("ch_3", Action.SNAPSHOT), "sub")


@pytest.mark.parametrize(
    ("then", "answer", "code", "cause"),
    [
        (some_facts(actions=frozenset()), NotVisible, "not_found", "revoked"),
        (NO_STILLS, Forbidden, "forbidden", "revoked"),
        (some_facts(enabled=False), Forbidden, "channel_disabled", "channel_disabled"),
        (some_facts(channels=0), NotVisible, "not_found", "channel_removed"),
    ],
)
async def test_a_right_that_ends_while_the_picture_is_decoded_gives_no_picture(
    then: Facts, answer: type[AccessError], code: str, cause: str
) -> None:
    async with a_room() as kit:
        kit.decoder.gate = asyncio.Event()
        taking = asyncio.create_task(take(kit))
        await kit.quiet()
        assert kit.decoder.calls == 1
        kit.facts.set(then)
        kit.decoder.gate.set()
        with pytest.raises(answer) as refusal:
            await taking
        assert refusal.value.code == code
        assert kit.store.acts() == ["snapshot"]
        row = kit.store.last("snapshot")
        assert (row.outcome, row.channel_id, row.area_id) == ("refused", "ch_1", "ar_1")
        assert row.detail.items() >= {"profile": "sub", "code": cause}.items()
        assert kit.delivery.snapshot.taken_total == 0


async def test_a_grant_that_ends_by_its_time_while_the_camera_is_dialled_gives_no_picture() -> None:
    async with a_room(facts=some_facts(valid_until=START + timedelta(seconds=2))) as kit:
        kit.core.default_script = Script(goes_live=False)
        taking = asyncio.create_task(take(kit))
        await kit.quiet()
        kit.pass_time(2)
        kit.core.go_live("ch_1/sub")
        with pytest.raises(NotVisible):
            await taking
        row = kit.store.last("snapshot")
        assert (row.outcome, row.detail["code"]) == ("refused", "grant_ended")


async def test_a_right_that_ends_while_the_row_is_written_gives_no_picture() -> None:
    async with a_room() as kit:
        kit.store.gate = asyncio.Event()
        taking = asyncio.create_task(take(kit))
        await kit.quiet()
        kit.facts.set(NO_STILLS)
        kit.store.gate.set()
        with pytest.raises(Forbidden):
            await taking
        assert [row.outcome for row in kit.store.rows if row.act == "snapshot"] == ["ok", "refused"]


async def test_who_may_still_look_has_the_picture_that_a_revoked_one_asked_for() -> None:
    base = some_facts()
    subjects = {**base.subjects, "su_2": replace(base.subjects["su_op"], id="su_2")}
    [grant] = base.grants_of("su_op")
    theirs = replace(grant, id="gr_2", subject_id="su_2")

    def facts(*grants: object) -> Facts:
        rows = {row.id: row for row in (grant, theirs) if row in grants}
        return Facts(
            version=1, tree=base.tree, channels=base.channels, subjects=subjects, grants=rows
        )

    async with a_room(facts=facts(grant, theirs)) as kit:
        kit.decoder.gate = asyncio.Event()
        other = kit.permit("ch_1", Action.SNAPSHOT, "su_2")
        revoked = asyncio.create_task(take(kit))
        await kit.quiet()
        allowed = asyncio.create_task(kit.delivery.snapshot.take(other, "sub"))
        await kit.quiet()
        kit.facts.set(facts(theirs))
        kit.decoder.gate.set()
        with pytest.raises(NotVisible):
            await revoked
        assert (await allowed).jpeg == b"jpg"
        assert kit.decoder.calls == 1
