"""A view's sound is off until it is asked for, and only while it lives and its right holds."""

from __future__ import annotations

import pytest

from streamhub.delivery.errors import UnknownView
from support.delivery_kit import a_room, some_facts

NO_LIVE = frozenset({"list"})


async def test_sound_is_off_at_first_and_as_was_asked_last() -> None:
    async with a_room() as kit:
        view_id = await kit.open_live()
        viewer = kit.core.viewers[view_id]
        first = kit.delivery.views.get(view_id)
        assert first is not None
        assert (first.audio, viewer.audio_on) == (False, False)
        for on in (True, True, False):
            view = kit.delivery.views.set_audio(view_id, on)
            assert (view.audio, viewer.audio_on) == (on, on)


async def test_sound_needs_a_view_that_lives_and_its_right() -> None:
    async with a_room() as kit:
        with pytest.raises(UnknownView):
            kit.delivery.views.set_audio("0" * 32, True)
        ended = await kit.open_live()
        await kit.delivery.views.close(ended, "closed_by_viewer")
        with pytest.raises(UnknownView):
            kit.delivery.views.set_audio(ended, True)
        view_id = await kit.open_live()
        kit.facts.set(some_facts(actions=NO_LIVE))
        with pytest.raises(UnknownView):
            kit.delivery.views.set_audio(view_id, True)
        assert not kit.core.viewers[view_id].audio_on
