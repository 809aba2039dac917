"""A channel's way to the operators: which step leads from which state, and what sends it back.

The steps are pure; what the site chose lies in the store's meta. The states are those of the
archives of cameras (0 not reviewed, 1 reviewed but not filed, 2 filed); what they mean for who sees
a channel is decided in `streamhub.access.policy`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from . import validation as check
from .domain import Actor, Channel, Filing
from .errors import Conflict, ValidationFailed
from .store.contract import ReadTx, WriteTx

MAX_NOTE_CHARS: Final = 500
SECOND_PERSON_KEY: Final = "filing.second_person"  # of the store's meta
BY_HAND_KEY: Final = "filing.by_hand"


class FilingStep(StrEnum):
    REVIEW = "review"
    FILE = "file"
    REFUSE = "refuse"  # not good enough: back to its maker, with the reason
    REOPEN = "reopen"  # it was good, and is to be looked at again

    @property
    def act(self) -> str:
        """The word of the versions and of the audit."""
        return f"channel_{self.value}"


_FROM: Final = {
    FilingStep.REVIEW: frozenset({Filing.DRAFT}),
    FilingStep.FILE: frozenset({Filing.REVIEWED}),
    FilingStep.REFUSE: frozenset({Filing.DRAFT, Filing.REVIEWED}),
    FilingStep.REOPEN: frozenset({Filing.REVIEWED, Filing.FILED}),
}
_TO: Final = {FilingStep.REVIEW: Filing.REVIEWED, FilingStep.FILE: Filing.FILED}
STEP_ACTS: Final = frozenset(step.act for step in FilingStep)
"""Acts that change no more than the state: whoever did one has not changed the channel."""

# What a reviewer has looked at: where the picture comes from, and who will see it.
_REVIEWED: Final = ("main_url", "sub_url", "device_id", "area_id", "code")


def fits(channel: Channel, step: FilingStep) -> bool:
    return channel.filing in _FROM[step]


def moved(channel: Channel, step: FilingStep, note: str | None = None) -> Channel:
    """The channel after the step. Raises Conflict("wrong_filing_state")."""
    if not fits(channel, step):
        wanted = " or ".join(sorted(_FROM[step]))
        raise Conflict(
            "filing",
            "wrong_filing_state",
            f"{channel.name} ({channel.code}) is {channel.filing}; only what is {wanted} can be "
            f"taken for the step {step.value}.",
        )
    return replace(channel, filing=_TO.get(step, Filing.DRAFT), filing_note=note)


def sent_back(before: Channel, after: Channel) -> Channel:
    """A change of what a reviewer has looked at makes a draft of it again."""
    if before.filing is Filing.DRAFT:
        return after
    same = all(getattr(before, name) == getattr(after, name) for name in _REVIEWED)
    return after if same else replace(after, filing=Filing.DRAFT, filing_note=None)


def checked_note(step: FilingStep, note: str | None) -> str | None:
    """Raises ValidationFailed("reason_missing", "reason_unwanted", and what `text` raises)."""
    note = check.text("reason", note, MAX_NOTE_CHARS) if note and note.strip() else None
    if step is FilingStep.REFUSE and note is None:
        raise ValidationFailed(
            "reason", "reason_missing", "Say why it is refused, so that it can be put right."
        )
    if note is not None and step not in (FilingStep.REFUSE, FilingStep.REOPEN):
        raise ValidationFailed(
            "reason", "reason_unwanted", "Only what is refused or reopened has a reason."
        )
    return note


def begun(field: str, text: str) -> Filing:
    """The state that a new channel may begin in. Raises ValidationFailed."""
    state = check.one_of(field, text, Filing)
    if state is Filing.REVIEWED:
        raise ValidationFailed(field, "unknown_value", "A new camera begins as draft or filed.")
    return state


def is_same_person(author: tuple[str | None, str | None] | None, by: Actor) -> bool:
    """Whether `by` is the (subject id, name) that changed something. Nobody is the author of what
    has no version."""
    return author is not None and by.is_same_person(*author)


@dataclass(frozen=True, slots=True)
class FilingSettings:
    """What a site chooses."""

    # Whoever reviews a channel is not who changed it last.
    second_person: bool = True
    # FILED: adding or changing one camera by hand files it, too. DRAFT: it waits as an import does.
    by_hand: Filing = Filing.FILED

    @property
    def files_by_hand(self) -> bool:
        return self.by_hand is Filing.FILED

    def by_hand_begins(self, asked: str | None) -> Filing:
        """The state of a channel that is added by hand. Raises ValidationFailed,
        Conflict("second_person_wanted")."""
        if asked is None:
            return self.by_hand
        state = begun("filing", asked)
        if state is Filing.FILED and not self.files_by_hand and self.second_person:
            raise _unreviewed()
        return state

    def allow_import(self, asked: str) -> None:
        """Raises Conflict("second_person_wanted") for one that files what it brings."""
        if asked == Filing.FILED and self.second_person:
            raise _unreviewed()


def _unreviewed() -> Conflict:
    return Conflict(
        "filing",
        "second_person_wanted",
        "Here a second person reviews what is filed: bring it in as a draft, or have whoever "
        "manages the district switch that off.",
    )


async def settings_of(tx: ReadTx | WriteTx) -> FilingSettings:
    """The site's choice, or what it is before there was one."""
    chosen = FilingSettings()
    second, by_hand = await tx.meta(SECOND_PERSON_KEY), await tx.meta(BY_HAND_KEY)
    return FilingSettings(
        chosen.second_person if second is None else second == "on",
        chosen.by_hand if by_hand is None else Filing(by_hand),
    )


async def keep_settings(tx: WriteTx, chosen: FilingSettings) -> None:
    await tx.set_meta(SECOND_PERSON_KEY, "on" if chosen.second_person else "off")
    await tx.set_meta(BY_HAND_KEY, chosen.by_hand.value)
