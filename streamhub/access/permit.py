"""The proof of an allow. A door that opens anything takes one; only `guard` can make one."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NoReturn, SupportsIndex, final

from camera_registry.domain import Grant, Stated

from .grounds import grounds_of
from .policy import Decision
from .principal import Action, Principal, Resource


@final
class Mint:
    """What `Permit` asks of its maker. One instance exists, and `guard` holds it."""

    __slots__ = ()
    _made = False

    def __init__(self) -> None:
        if Mint._made:
            raise TypeError("permits are made by access.guard only")
        Mint._made = True


_MINT: Final = Mint()


@final
class Permit:
    """An allow for one principal, action and resource, as decided at `decided_at` by `grants`.

    `until` is when the allowing grants or the sign-in end (None: open-ended), `ends_as` which. It
    can't be copied or pickled: a permit is a fact of this process, not data. Raises TypeError when
    made by anyone else. `stated`: what it was asked for, if that was said.
    """

    __slots__ = (
        "action",
        "decided_at",
        "ends_as",
        "grants",
        "principal",
        "resource",
        "stated",
        "until",
    )

    principal: Principal
    action: Action
    resource: Resource
    grants: tuple[Grant, ...]
    until: datetime | None
    ends_as: str
    decided_at: datetime
    stated: Stated | None

    def __init__(
        self,
        mint: Mint,
        /,
        *,
        principal: Principal,
        action: Action,
        resource: Resource,
        decision: Decision,
        decided_at: datetime,
        stated: Stated | None = None,
    ) -> None:
        if mint is not _MINT or not decision.allowed:
            raise TypeError("permits are made by access.guard only")
        set_field = object.__setattr__
        set_field(self, "principal", principal)
        set_field(self, "action", action)
        set_field(self, "resource", resource)
        set_field(self, "grants", decision.grants)
        set_field(self, "until", decision.until)
        set_field(self, "ends_as", decision.ends_as)
        set_field(self, "decided_at", decided_at)
        set_field(self, "stated", stated)

    @property
    def subject_id(self) -> str:
        return self.principal.subject_id

    @property
    def channel_id(self) -> str:
        """The channel it is for. Raises ValueError when it is for something else."""
        if self.resource.kind != "channel":
            raise ValueError("this permit is not for a channel")
        return self.resource.id

    def what_for(self) -> dict[str, str]:
        """What it was asked for, as an audit row keeps it; empty if that was not said."""
        return {} if self.stated is None else self.stated.detail()

    def grounds(self) -> dict[str, Any]:
        """What it rests on, as an audit row keeps it."""
        return grounds_of(self.grants)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a permit does not change")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a permit does not change")

    def __copy__(self) -> NoReturn:
        raise TypeError("a permit is not copied")

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError("a permit is not copied")

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a permit does not leave its process")

    def __repr__(self) -> str:
        return (
            f"Permit({self.action} {self.resource.kind}:{self.resource.id} for {self.subject_id})"
        )
