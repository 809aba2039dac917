"""Who is asking, what for, and about what: the words of a decision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from camera_registry.domain import Actor, Basis

Via = Literal["bearer", "cookie", "key", "local", "ticket"]
ResourceKind = Literal["channel", "area", "district"]

LOCAL_PREFIX = "local:"


class Action(StrEnum):
    """What a grant can allow or deny: the words of `camera_registry.grants.ACTIONS`."""

    LIST = "list"
    LIVE = "live"
    SNAPSHOT = "snapshot"
    PLAYBACK = "playback"
    PTZ = "ptz"
    TALK = "talk"
    EXPORT = "export"  # take data or recordings out of the system
    MANAGE = "manage"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True)
class Resource:
    """What is asked for. The district has an empty id: it stands for all root areas."""

    kind: ResourceKind
    id: str


def channel(channel_id: str) -> Resource:
    """One channel."""
    return Resource("channel", channel_id)


def area(area_id: str) -> Resource:
    """One area with all below it."""
    return Resource("area", area_id)


DISTRICT = Resource("district", "")


@dataclass(frozen=True, slots=True)
class Principal:
    """A subject that has signed in, and how.

    `version` is `Subject.version` at sign-in; when the subject is disabled or gets another
    password it moves on, and everything that was signed in before ends.
    """

    subject_id: str
    username: str
    remote: str
    via: Via
    version: int
    credential_id: str | None = None  # the sign-in or the API key: when it ends, this does
    # Of a request that changes something by the newest rights.
    basis: Basis | None = field(default=None, compare=False, repr=False)

    @property
    def is_local(self) -> bool:
        """The operator of this machine, through the control socket (mode 0600)."""
        return self.via == "local"

    @staticmethod
    def local(os_user: str) -> Principal:
        """The local operator. Only the control socket and the command line may make one."""
        return Principal(
            subject_id=f"{LOCAL_PREFIX}{os_user}",
            username=f"{LOCAL_PREFIX}{os_user}",
            remote="local",
            via="local",
            version=0,
        )

    def decided_from(self, seq: int, gives_way: Callable[[], bool]) -> Principal:
        """The same, whose changes are refused (RightsChanged) where rights have changed since the
        facts of `seq`, or where `gives_way`. Nobody revokes the local operator."""
        known = None if self.is_local else seq
        return replace(self, basis=Basis(known, self.credential_id, gives_way))

    def actor(self) -> Actor:
        """Who does a change, in the registry's words."""
        return Actor(
            subject_id=None if self.is_local else self.subject_id,
            subject_name=self.username,
            remote=self.remote,
            as_role=self._role(),
            basis=self.basis,
        )

    def _role(self) -> str | None:
        if self.is_local:
            return "local_operator"
        return f"key {self.credential_id}" if self.via == "key" else None
