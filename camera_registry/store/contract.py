"""The store's interface: what every implementation must do. No SQL here.

Readers see one snapshot for the length of their `async with`. A writer is alone (in this process
and among processes), and its rows, its audit rows and its changes-feed rows commit together when
the block ends, or not at all when it raises. Repositories write the changes rows by themselves;
audit rows are the caller's to append. All `page` methods order by a unique key and take the
cursor that the page before gave; a cursor they did not give raises `ValidationFailed`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from ..audit.model import AuditVerification
from ..domain import (
    Area,
    AuditEntry,
    AuditRow,
    Change,
    Channel,
    Device,
    DeviceClass,
    Filing,
    Grant,
    Page,
    Subject,
)
from .contract_audit import AuditReader, AuditRepo, SegmentJudge
from .contract_credentials import (
    ApiKeyReader,
    ApiKeyRepo,
    IdentityReader,
    IdentityRepo,
    SecondFactorReader,
    SecondFactorRepo,
    SignInReader,
    SignInRepo,
)
from .contract_exports import (
    ExportRequestReader,
    ExportRequestRepo,
    TicketPurposeReader,
    TicketPurposeRepo,
)
from .contract_imports import (
    JobReader,
    JobRepo,
    RuleReader,
    RuleRepo,
    SweepReader,
    SweepRepo,
    VersionReader,
    VersionRepo,
)
from .contract_inspections import InspectionReader, InspectionRepo
from .contract_loans import LoanReader, LoanRepo
from .contract_quotas import QuotaReader, QuotaRepo
from .contract_rights import (
    GrantReader,
    GrantRepo,
    PurposeReader,
    PurposeRepo,
    RoleReader,
    RoleRepo,
)
from .contract_webhooks import WebhookReader, WebhookRepo

MAX_COUNT: Final = 5_000
"""A list of channels counts so many, a district's: 10,000 of a million took twice as long as the
page."""
MAX_FOUND_COUNT: Final = 1_000
"""And a search so many, or fewer of what is common: each has to be looked at, and nobody reads on
to the thousandth."""


ClassAreas = Mapping[DeviceClass, frozenset[str]]
"""Of each class the areas where its channels are meant."""


@dataclass(frozen=True, slots=True)
class ChannelQuery:
    """A filter over channels; None means "any". Area ids are taken as they are (no subtree)."""

    q: str | None = None  # words that must all be found: search_text.py
    enabled: bool | None = None
    area_ids: frozenset[str] | None = None
    device_class: DeviceClass | None = None
    device_id: str | None = None
    visible_area_ids: frozenset[str] | None = None  # with visible_channel_ids: either suffices
    visible_channel_ids: frozenset[str] | None = None
    visible_class_areas: ClassAreas | None = None  # and of these areas those of the class
    visible_classes: frozenset[DeviceClass] | None = None  # wherever they are
    except_channel_ids: frozenset[str] = frozenset()  # but none of these
    filing: Filing | None = None
    # What is not filed is left out, but for these areas and channels; None: nothing is.
    unfiled_area_ids: frozenset[str] | None = None
    unfiled_channel_ids: frozenset[str] | None = None
    unfiled_class_areas: ClassAreas | None = None
    unfiled_except_ids: frozenset[str] = frozenset()


class AreaReader(Protocol):
    async def get(self, area_id: str) -> Area | None: ...
    async def by_code(self, code: str) -> Area | None: ...
    async def all(self, *, boundaries: bool = False) -> list[Area]:
        """Every area, parents before children, siblings by code. Boundaries are large and few
        ask for them: without `boundaries` they stay in the store (`Area.unread_points`)."""
        ...


class AreaRepo(AreaReader, Protocol):
    async def add(self, area: Area) -> None: ...
    async def update(self, area: Area) -> None: ...
    async def set_boundaries(
        self, rings: Mapping[str, tuple[tuple[float, float], ...] | None], *, schematic: bool
    ) -> None:
        """Of many areas at once, by their ids."""
        ...

    async def delete(self, area_id: str) -> None:
        """Raises `Conflict(code="area_in_use")` while areas, channels, grants or people refer to
        it."""
        ...


class DeviceReader(Protocol):
    async def get(self, device_id: str) -> Device | None: ...
    async def by_address(self, host: str, port: int) -> list[Device]: ...
    async def all(self) -> list[Device]:
        """Every device, by name."""
        ...

    async def page(self, *, q: str | None, limit: int, cursor: str | None) -> Page[Device]:
        """By (name, id); `q` is a part of the name or of the host."""
        ...

    async def without_channels(self, device_ids: Collection[str]) -> set[str]:
        """Those of these devices that no channel hangs on."""
        ...

    async def listened(self) -> list[Device]:
        """Those whose events are asked for, by id."""
        ...

    async def sealed_password(self, device_id: str) -> bytes | None: ...
    async def sealed_passwords(self) -> dict[str, bytes]:
        """Of every device that has one, by id."""
        ...

    async def count_sealed(self) -> int:
        """How many devices have a sealed password."""
        ...


class DeviceRepo(DeviceReader, Protocol):
    async def add(self, device: Device, sealed_password: bytes | None = None) -> None: ...
    async def update(self, device: Device) -> None:
        """Writes all but the password; `has_password` is ignored."""
        ...

    async def set_sealed_password(self, device_id: str, sealed: bytes | None) -> None: ...
    async def delete(self, device_id: str) -> None:
        """Raises `Conflict(code="device_in_use")` while it has channels."""
        ...


class ChannelReader(Protocol):
    async def get(self, channel_id: str) -> Channel | None: ...
    async def by_code(self, code: str) -> Channel | None: ...
    async def all(self) -> list[Channel]:
        """Every channel, by code: for caches that follow the feed."""
        ...

    async def by_ids(self, ids: Collection[str]) -> list[Channel]: ...
    async def by_codes(self, codes: Collection[str]) -> list[Channel]: ...
    async def by_areas(self, area_ids: Collection[str]) -> list[Channel]:
        """Those directly in these areas."""
        ...

    async def by_device(self, device_id: str) -> list[Channel]:
        """By code."""
        ...

    async def by_main_urls(self, urls: Collection[str]) -> list[Channel]: ...
    async def by_macs(self, macs: Collection[str]) -> list[Channel]: ...
    async def greatest_code(self, prefix: str) -> str | None:
        """The greatest code that begins so."""
        ...

    async def page(self, query: ChannelQuery, *, limit: int, cursor: str | None) -> Page[Channel]:
        """By code. `total` counts up to MAX_COUNT, of a search up to MAX_FOUND_COUNT, and where
        that fills a page from the first rows, only those in a few thousand; the pages behind the
        first have the first one's."""
        ...

    async def count_by_area(self) -> dict[str, int]:
        """Channels directly in each area (not of its subtree); areas without any are left out."""
        ...


class ChannelRepo(ChannelReader, Protocol):
    async def add(self, channel: Channel) -> None:
        """Raises `Conflict(code="code_taken")`."""
        ...

    async def update(self, channel: Channel) -> None: ...
    async def delete(self, channel_id: str) -> None:
        """Also deletes the grants on that one channel (their audit rows stay)."""
        ...


class SubjectReader(Protocol):
    async def get(self, subject_id: str) -> Subject | None: ...
    async def by_username(self, username: str) -> Subject | None: ...
    async def all(self) -> list[Subject]: ...
    async def password_hash(self, subject_id: str) -> str | None:
        """The argon2 hash as stored; None for a subject that has no password."""
        ...

    async def page(self, *, q: str | None, limit: int, cursor: str | None) -> Page[Subject]:
        """By username; `q` is a part of the username or display name."""
        ...

    async def keepers(self, subject_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
        """By subject, those of none left out."""
        ...


class SubjectRepo(SubjectReader, Protocol):
    async def add(self, subject: Subject, password_hash: str | None = None) -> None:
        """Raises `Conflict(code="username_taken")`."""
        ...

    async def update(self, subject: Subject) -> Subject:
        """Writes all but `version`, which is raised by one; gives the row as it now is."""
        ...

    async def set_password_hash(
        self, subject_id: str, password_hash: str | None, *, must_change: bool = False
    ) -> Subject:
        """Raises the version by one."""
        ...

    async def add_keeper(self, subject_id: str, person: str) -> None:
        """`person` (`Actor.person`) may know what the subject comes with, and so may whoever keeps
        them, if that is a program."""
        ...

    async def delete(self, subject_id: str) -> None:
        """Deletes its grants and sign-ins too; audit rows stay."""
        ...


class ReadTx(Protocol):
    """One snapshot, read only."""

    @property
    def areas(self) -> AreaReader: ...
    @property
    def devices(self) -> DeviceReader: ...
    @property
    def channels(self) -> ChannelReader: ...
    @property
    def versions(self) -> VersionReader: ...
    @property
    def jobs(self) -> JobReader: ...
    @property
    def sweeps(self) -> SweepReader: ...
    @property
    def rules(self) -> RuleReader: ...
    @property
    def inspections(self) -> InspectionReader: ...
    @property
    def subjects(self) -> SubjectReader: ...
    @property
    def roles(self) -> RoleReader: ...
    @property
    def grants(self) -> GrantReader: ...
    @property
    def loans(self) -> LoanReader: ...
    @property
    def purposes(self) -> PurposeReader: ...
    @property
    def quotas(self) -> QuotaReader: ...
    @property
    def ticket_purposes(self) -> TicketPurposeReader: ...
    @property
    def export_requests(self) -> ExportRequestReader: ...
    @property
    def sign_ins(self) -> SignInReader: ...
    @property
    def api_keys(self) -> ApiKeyReader: ...
    @property
    def second_factors(self) -> SecondFactorReader: ...
    @property
    def identities(self) -> IdentityReader: ...
    @property
    def webhooks(self) -> WebhookReader: ...
    @property
    def audit(self) -> AuditReader: ...

    async def change_seq(self) -> int:
        """The newest changes seq this snapshot includes: what a cache was loaded at."""
        ...

    async def meta(self, key: str) -> str | None: ...


class WriteTx(Protocol):
    """The unit of work; the only one at a time."""

    @property
    def areas(self) -> AreaRepo: ...
    @property
    def devices(self) -> DeviceRepo: ...
    @property
    def channels(self) -> ChannelRepo: ...
    @property
    def versions(self) -> VersionRepo: ...
    @property
    def jobs(self) -> JobRepo: ...
    @property
    def sweeps(self) -> SweepRepo: ...
    @property
    def rules(self) -> RuleRepo: ...
    @property
    def inspections(self) -> InspectionRepo: ...
    @property
    def subjects(self) -> SubjectRepo: ...
    @property
    def roles(self) -> RoleRepo: ...
    @property
    def grants(self) -> GrantRepo: ...
    @property
    def loans(self) -> LoanRepo: ...
    @property
    def purposes(self) -> PurposeRepo: ...
    @property
    def quotas(self) -> QuotaRepo: ...
    @property
    def ticket_purposes(self) -> TicketPurposeRepo: ...
    @property
    def export_requests(self) -> ExportRequestRepo: ...
    @property
    def sign_ins(self) -> SignInRepo: ...
    @property
    def api_keys(self) -> ApiKeyRepo: ...
    @property
    def second_factors(self) -> SecondFactorRepo: ...
    @property
    def identities(self) -> IdentityRepo: ...
    @property
    def webhooks(self) -> WebhookRepo: ...
    @property
    def audit(self) -> AuditRepo: ...

    @property
    def last_change_seq(self) -> int | None:
        """The seq of the last changes row written here, None before any; valid after commit."""
        ...

    async def change_seq(self) -> int: ...
    async def meta(self, key: str) -> str | None: ...
    async def set_meta(self, key: str, value: str) -> None: ...
    async def bulk_add(
        self,
        *,
        areas: Sequence[Area] = (),
        devices: Iterable[tuple[Device, bytes | None]] = (),
        channels: Sequence[Channel] = (),
        subjects: Iterable[tuple[Subject, str | None]] = (),
        grants: Sequence[Grant] = (),
        homes: Mapping[str, str] | None = None,
    ) -> None:
        """Adds many at once and writes one changes row of kind EVERYTHING. `homes`: ids of areas
        by subject."""
        ...

    async def bulk_update(
        self,
        *,
        devices: Iterable[tuple[Device, bytes | None]] = (),
        channels: Sequence[Channel] = (),
    ) -> None:
        """Writes many at once, sealed passwords too, and one changes row of kind EVERYTHING."""
        ...

    async def bulk_delete(
        self, *, channels: Collection[str] = (), devices: Collection[str] = ()
    ) -> None:
        """Deletes many at once, by id, channels with their grants; one changes row of kind
        EVERYTHING."""
        ...


class Store(Protocol):
    """One open registry file or database."""

    async def migrate(self) -> None:
        """Brings the schema up to this program's. Raises `SchemaTooNew`."""
        ...

    async def close(self) -> None: ...

    def read(self) -> AbstractAsyncContextManager[ReadTx]: ...

    def write(self) -> AbstractAsyncContextManager[WriteTx]:
        """Raises `StoreBusy` when another process holds the write lock for over 5 s,
        `StoreUnavailable` when the database does not answer (as every method here).
        """
        ...

    async def append_audit(self, entry: AuditEntry) -> AuditRow:
        """One audit row of its own (a sign-in, a refusal, a view's start or end); durable when
        it returns. Calls that wait at the same time share one commit.
        """
        ...

    async def changes_since(self, seq: int, limit: int = 1000) -> list[Change]:
        """The changes after `seq`, oldest first, at most `limit`."""
        ...

    async def latest_change_seq(self) -> int: ...

    async def data_version(self) -> int:
        """A number that differs when anyone has committed since the call before; cheap. It need
        not where `on_commit` is sure to tell of it.
        """
        ...

    async def verify_audit(
        self,
        judge: SegmentJudge | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> AuditVerification:
        """Walks the whole chain in bounded memory; what the judge is not asked, e.g. signatures, is
        not looked at. `progress` hears of the rows done, and of how many.
        """
        ...

    def on_commit(self, callback: Callable[[int], None]) -> Callable[[], None]:
        """Calls back in the loop, after each commit made here that wrote changes, with the last
        changes seq; on PostgreSQL also soon after another process's. The returned function ends
        that.
        """
        ...
