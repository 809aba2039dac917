"""What the routes work with, built once by `streamhub.app` and handed to each handler typed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from camera_registry.assignment import Assignment
from camera_registry.audit.keeper import AuditKeeper
from camera_registry.credential_cases import Credentials
from camera_registry.export_cases import ExportRequests
from camera_registry.feed import ChangeFeed
from camera_registry.filing import Filings
from camera_registry.identity_cases import Identities
from camera_registry.imports import Imports
from camera_registry.inspection.cases import InspectionCases
from camera_registry.loan_cases import Loans
from camera_registry.people import People
from camera_registry.service import Registry
from camera_registry.store.contract import Store
from camera_registry.webhooks import Webhooks
from streamhub.access.api_keys import ApiKeys
from streamhub.access.audit import AuditLog, RefusalLog
from streamhub.access.facts import FactsSource
from streamhub.access.guard import Guard
from streamhub.access.passwords import Passwords
from streamhub.access.second_factor import SecondFactors
from streamhub.access.setup import Setup
from streamhub.access.sign_in import SignIns
from streamhub.access.tickets import Tickets
from streamhub.delivery import Delivery
from streamhub.discovery import Discovery
from streamhub.events.couriers import Couriers
from streamhub.events.devices import DeviceEars
from streamhub.events.hub import EventHub
from streamhub.inspection import Inspector
from streamhub.oidc.flow import OidcSignIn
from streamhub.steering import Steering

from .idempotency import Idempotency
from .metrics import Metrics
from .problems import Problem


@dataclass(slots=True)
class Services:
    """The rooms below, as the API sees them. `delivery` and `discovery` are None on the command
    line when no service runs: then there are no live views to speak of, and nothing goes on."""

    store: Store
    feed: ChangeFeed
    registry: Registry
    imports: Imports
    filings: Filings
    assignment: Assignment
    inspections: InspectionCases
    inspector: Inspector
    people: People
    loans: Loans
    credentials: Credentials
    webhooks: Webhooks
    couriers: Couriers
    events: EventHub
    facts: FactsSource
    guard: Guard
    sign_ins: SignIns
    setup: Setup
    api_keys: ApiKeys
    second_factors: SecondFactors
    identities: Identities
    oidc: OidcSignIn | None
    passwords: Passwords
    audit: AuditLog
    refusals: RefusalLog
    audit_keeper: AuditKeeper
    export_requests: ExportRequests
    tickets: Tickets
    metrics: Metrics
    delivery: Delivery | None
    discovery: Discovery | None
    steering: Steering | None
    ears: DeviceEars | None
    now: Callable[[], datetime]
    forms_dir: Path | None = None  # the site's own templates and vendors
    audit_exports: int = 0  # that are being made
    idempotency: Idempotency = field(default_factory=Idempotency)
    deciding: asyncio.Lock = field(default_factory=asyncio.Lock)  # of `newest.py`

    def doors(self) -> Delivery:
        """The doors out. Raises Problem 503 when there are none."""
        if self.delivery is None:
            raise Problem(503, "no_service", "No service runs; start `streamhub serve`.")
        return self.delivery

    def finder(self) -> Discovery:
        """What looks for cameras. Raises Problem 503 when no service runs."""
        if self.discovery is None:
            raise Problem(503, "no_service", "No service runs; start `streamhub serve`.")
        return self.discovery

    def helm(self) -> Steering:
        """What steers cameras. Raises Problem 503 when no service runs."""
        if self.steering is None:
            raise Problem(503, "no_service", "No service runs; start `streamhub serve`.")
        return self.steering


async def services_of(connection: HTTPConnection) -> Services:
    """The one place that reads the application's state."""
    services = getattr(connection.app.state, "services", None)
    if services is None:
        raise Problem(503, "starting", "The service is starting.", headers={"Retry-After": "1"})
    return cast(Services, services)


Provided = Annotated[Services, Depends(services_of)]
