"""Every operation of the API, asked by an administrator and by a stranger what its description
allows and what it does not (schemathesis): never a 5xx that is a bug, never an answer that is not
as described."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from camera_registry.secret import Secret
from streamhub.events.sender import Sender
from support.http_kit import OFFER, Running, a_service
from support.patience import PATIENCE_S

EXAMPLES = 4  # of each operation as described, and as many that are not
STILL_S = 0.05  # no camera of this test sends a picture
# Reading first, deleting last; so that there is something to read and to change.
ORDER = ("get", "head", "options", "post", "put", "patch", "delete")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Right here, though they blame the server: there are no cameras.
NO_CAMERA = {(504, "no_keyframe"), (502, "still_undecodable")}

# Values that mean something here, by the names of parameters and fields.
KNOWN: dict[str, tuple[Any, ...]] = {
    "channel_id": ("ch_y1", "ch_y2", "ch_off", "ch_l1", "ch_l2"),
    "area_id": ("ar_yongshun", "ar_liyuan", "ar_village"),
    # A second district takes from whoever manages the first the right to manage all there is.
    "parent_id": ("ar_yongshun", "ar_district"),
    "device_id": ("de_1", "de_none"),
    # Not the administrator, who would end the test by it.
    "subject_id": ("su_lister", "su_warden", "su_none"),
    "grant_id": ("gr_lister", "gr_auditor", "gr_none"),
    "version": (1, 2),
    "channel": ("11011200111310000002", "ch_y2", "11011200111310000099"),
    "code": ("11011200111310000098", "110112001002"),
    "host": ("192.0.2.1", "box"),
    "main_url": ("rtsp://192.0.2.1/main", "rtsp://u:p@192.0.2.1/main"),
    "url": ("https://192.0.2.1/hook",),
    "template": ("full", "archive-27", "foreign"),
    "valid_from": ("2026-01-01T00:00:00Z",),
    "valid_until": ("2031-01-01T00:00:00+08:00",),
    "for_s": (0.01, 0),  # a stream that goes on would hold the test up
}
ALWAYS_KNOWN = frozenset({"for_s", "parent_id"})
BROKEN = (b"", b"{", b"[" * 100_000, b'"\xff"', b"NaN", b"null", b"[]")


@schemathesis.serializer("application/sdp")
def _text(ctx: schemathesis.SerializationContext, value: Any) -> bytes:
    """What schemathesis can't spell by itself."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


async def prepared(running: Running, admin: httpx.AsyncClient) -> dict[str, tuple[Any, ...]]:
    """Things to work on, and nothing that leaves this process."""

    async def unchecked(job_id: str) -> None:
        return None

    running.services.imports._checker = unchecked
    running.services.couriers._make_sender = _no_network
    stills = running.services.doors().snapshot
    stills._settings = replace(stills._settings, still_deadline_s=STILL_S)
    webhook = await admin.post("/api/v1/webhooks", json={"url": "https://192.0.2.1/"})
    job = await admin.post(
        "/api/v1/imports", params={"name": "x.csv", "template": "full"}, content=b"a\n1\n"
    )
    view = await admin.post(
        "/whep/ch_y1", content=OFFER, headers={"Content-Type": "application/sdp"}
    )
    question = {"channel": "ch_y1", "actions": ["live"], "reason": "x", "minutes": 60}
    loan = await admin.post("/api/v1/loans", json={**question, "subject_id": "su_lister"})
    for answer in (webhook, job, view, loan):
        assert answer.is_success, answer.text
    return KNOWN | {
        "webhook_id": (webhook.json()["id"], "wh_none"),
        "import_id": (job.json()["id"], "im_none"),
        "view_id": (view.headers["location"].rsplit("/", 1)[1], "0" * 32),
        "loan_id": (loan.json()["id"], "lo_none"),
    }


def _no_network(url: str, secret: Secret) -> Sender:
    def refused(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no network here")

    transport = httpx.MockTransport(refused)
    tls = ssl.create_default_context()
    return Sender(url, secret, allow_local=False, tls=tls, transport=transport)


@dataclass
class Judge:
    """Asks each case as both callers, and keeps what is wrong with the answers."""

    ask: Callable[[str, requests.PreparedRequest], httpx.Response]
    known: dict[str, tuple[Any, ...]]
    faults: list[str] = field(default_factory=list)
    statuses: dict[str, Counter[int]] = field(
        default_factory=lambda: {"admin": Counter(), "stranger": Counter()}
    )
    well: dict[str, set[tuple[str, str]]] = field(
        default_factory=lambda: {"admin": set(), "stranger": set()}
    )

    def try_all(self, operation: Any) -> None:
        """Cases of one operation: as it is described, then, where it takes anything, not so."""
        known = dict(self.known)
        if operation.path.endswith("/{view_id}/events"):
            known["view_id"] = ("0" * 32,)  # a view's own events go on for as long as it does
        path = self._path_of(operation)
        modes = [GenerationMode.POSITIVE]
        if operation.query or operation.headers or operation.body:
            modes.append(GenerationMode.NEGATIVE)
        for mode in modes:
            strategy = operation.as_strategy(mode, path_parameters=path)

            @settings(
                max_examples=EXAMPLES,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=strategy, data=st.data())
            def one(case: Case[Any], data: st.DataObject) -> None:
                as_described = case.meta.generation.mode is GenerationMode.POSITIVE
                put_known(case, known, data, everywhere=as_described)
                self._try(case)

            one()

    def try_broken(self, operation: Any) -> None:
        """Bodies that are no JSON, or none that anybody takes; which are never made of a schema."""
        if operation.get_body_for_media_type("application/json") is None:
            return
        url = f"http://testserver{operation.path.format_map(self._path_of(operation))}"
        for body in BROKEN:
            headers = {"Content-Type": "application/json"}
            answer = self.ask(
                "admin", requests.Request(operation.method, url, headers, data=body).prepare()
            )
            if answer.status_code not in (400, 404, 409, 422) or not _code(answer)[1]:
                self.faults.append(f"{operation.label} {body[:20]!r}\n    {answer.status_code}")

    def _path_of(self, operation: Any) -> dict[str, Any]:
        names = [each.name for each in operation.path_parameters]
        return {name: self.known.get(name, ("none",))[0] for name in names}

    def _try(self, case: Case[Any]) -> None:
        request = _request_of(case)
        for who in ("stranger", "admin"):
            answer = self.ask(who, request)
            self.statuses[who][answer.status_code] += 1
            if answer.is_success:
                self.well[who].add((case.path, case.method.lower()))
            if answer.status_code >= 500 and _code(answer) in NO_CAMERA:
                continue
            try:
                case.validate_response(answer, checks=CHECKS)
            except FailureGroup as group:
                said = "; ".join(str(each) for each in group.exceptions)
                self.faults.append(f"{who}: {case.as_curl_command()}\n    {said}")


def put_known(
    case: Case[Any], known: dict[str, tuple[Any, ...]], data: st.DataObject, *, everywhere: bool
) -> None:
    """Values that mean something in place of chance, so that cases reach past the look-ups."""
    for place in (case.path_parameters, case.query, case.body):
        if not isinstance(place, dict):
            continue
        certain = {each.name for each in case.operation.query} if place is case.query else set()
        certain = (certain | set(place)) & ALWAYS_KNOWN
        certain |= set(place) if everywhere or place is case.path_parameters else set()
        for name in sorted(certain & known.keys()):
            place[name] = data.draw(st.sampled_from(known[name]))


def _request_of(case: Case[Any]) -> requests.PreparedRequest:
    given_ = case.as_transport_kwargs(base_url="http://testserver")
    names = ("method", "url", "headers", "params", "data", "json", "files", "cookies")
    return requests.Request(**{name: given_[name] for name in names if name in given_}).prepare()


def _code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json().get("code"))


# The service may throw dice of its own while a case is made, in another thread.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
async def test_no_request_breaks_an_operation_or_gets_what_is_not_described(
    tmp_path: Path,
) -> None:
    async with (
        a_service(tmp_path) as running,
        running.as_("admin") as admin,
        running.as_("stranger") as stranger,
    ):
        clients = {"admin": admin, "stranger": stranger}
        document = (await admin.get("/api/v1/openapi.json")).json()
        operations = [
            each.ok() for each in schemathesis.openapi.from_dict(document).get_all_operations()
        ]
        operations.sort(key=lambda each: (ORDER.index(each.method), each.path))
        assert len(operations) > 60
        loop = asyncio.get_running_loop()

        async def send(who: str, request: requests.PreparedRequest) -> httpx.Response:
            async with asyncio.timeout(PATIENCE_S):
                answer = await clients[who].request(
                    str(request.method),
                    str(request.url),
                    headers=dict(request.headers),
                    content=request.body,
                )
                if str(request.url).partition("?")[0].endswith("/sign-out"):
                    running.forget(who)
                    # Sign-ins that are no such are slowed down by now.
                    running.services.sign_ins._limiter.buckets._attempts.clear()
                    token = await running.token(who)
                    clients[who].headers["Authorization"] = f"Bearer {token}"
                return answer

        def ask(who: str, request: requests.PreparedRequest) -> httpx.Response:
            return asyncio.run_coroutine_threadsafe(send(who, request), loop).result()

        judge = Judge(ask, await prepared(running, admin))
        for operation in operations:
            # Off the loop, which answers meanwhile.
            await asyncio.to_thread(judge.try_all, operation)
            await asyncio.to_thread(judge.try_broken, operation)
        assert not judge.faults, "\n".join(judge.faults[:20])
        # It was still the administrator who asked, and much of what was asked was right.
        assert (await admin.get("/api/v1/me")).status_code == httpx.codes.OK
        statuses = judge.statuses["admin"]
        print(f"asked {statuses.total()} times each; {dict(sorted(statuses.items()))}")
        assert statuses[401] < statuses.total() * 0.05
        assert len(judge.well["admin"]) > len(operations) * 0.5
        assert statuses[422] > 100


async def test_the_description_is_whole(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as client:
        document = (await client.get("/api/v1/openapi.json")).json()
    ids = [
        operation["operationId"]
        for item in document["paths"].values()
        for operation in item.values()
    ]
    assert len(ids) == len(set(ids))
    refs = set(_refs(document))
    schemas = document["components"]["schemas"]
    assert refs == {f"#/components/schemas/{name}" for name in schemas}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            problem = operation["responses"]["default"]["content"]
            assert set(problem) == {"application/problem+json"}, f"{method} {path}"
            named = {
                each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"
            }
            assert named == {part[1:-1] for part in path.split("/") if part[:1] == "{"}, path


def _refs(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [ref for each in value.values() for ref in _refs(each)]
    if isinstance(value, list):
        return [ref for each in value for ref in _refs(each)]
    return []
