"""What the routes work with, built once by `streamhub.app` and handed to each handler typed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from camera_registry.people import People
from camera_registry.service import Registry
from camera_registry.store.contract import Store
from streamhub.access.audit import AuditLog
from streamhub.access.facts import FactsSource
from streamhub.access.guard import Guard
from streamhub.access.passwords import Passwords
from streamhub.access.sign_in import SignIns
from streamhub.delivery import Delivery

from .idempotency import Idempotency
from .metrics import Metrics
from .problems import Problem


@dataclass(slots=True)
class Services:
    """The rooms below, as the API sees them. `delivery` is None on the command line when no
    service runs: then there are no live views to speak of."""

    store: Store
    registry: Registry
    people: People
    facts: FactsSource
    guard: Guard
    sign_ins: SignIns
    passwords: Passwords
    audit: AuditLog
    metrics: Metrics
    delivery: Delivery | None
    now: Callable[[], datetime]
    idempotency: Idempotency = field(default_factory=Idempotency)

    def doors(self) -> Delivery:
        """The doors out. Raises Problem 503 when there are none."""
        if self.delivery is None:
            raise Problem(503, "no_service", "No service runs; start `streamhub serve`.")
        return self.delivery


async def services_of(connection: HTTPConnection) -> Services:
    """The one place that reads the application's state."""
    services = getattr(connection.app.state, "services", None)
    if services is None:
        raise Problem(503, "starting", "The service is starting.", headers={"Retry-After": "1"})
    return cast(Services, services)


Provided = Annotated[Services, Depends(services_of)]
