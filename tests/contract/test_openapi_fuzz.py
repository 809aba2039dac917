"""Every operation of the API, asked by an administrator with what its description allows and with
what it does not: never a 5xx that is a bug, never an answer of a kind that is not described."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from camera_registry.secret import Secret
from streamhub.events.sender import Sender
from support.http_kit import OFFER, Running, a_service
from support.openapi_cases import Case, Cases
from support.patience import PATIENCE_S

SEED = 20_261_126
EXAMPLES = 20  # of each operation, and seven broken bodies where there is one
# Reading first, deleting last; so that there is something to read and to change.
ORDER = ("get", "head", "options", "post", "put", "patch", "delete")


def _cursor(keys: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(keys).encode()).decode().rstrip("=")


KNOWN: dict[str, tuple[Any, ...]] = {
    "channel_id": ("ch_y1", "ch_y2", "ch_off", "ch_l1", "ch_l2"),
    "area_id": ("ar_yongshun", "ar_liyuan", "ar_village"),
    "parent_id": ("ar_yongshun", "ar_district"),
    "device_id": ("de_1", "de_none"),
    # Not the administrator, who would end the test by it.
    "subject_id": ("su_lister", "su_warden", "su_none"),
    "grant_id": ("gr_lister", "gr_auditor", "gr_none"),
    "webhook_id": ("wh_none",),
    "import_id": ("im_none",),
    "view_id": ("0" * 32,),
    "version": (1, 2),
    "code": ("11011200111310000098", "110112001002"),
    "name": ("路口", "x"),
    "host": ("192.0.2.1", "box"),
    "port": (554, 8554),
    "username": ("someone", "ops"),
    "main_url": ("rtsp://192.0.2.1/main", "rtsp://u:p@192.0.2.1/main"),
    "url": ("https://192.0.2.1/hook",),
    # Cursors that no list gave, of every shape that one has: too big, half a character, none.
    "cursor": (
        "W10",
        _cursor([10**20]),
        _cursor(["\ud800"]),
        _cursor(["\ud800", "\ud800"]),
        _cursor(["2026-01-01T00:00:00+00:00", "x"]),
        _cursor(["9999-12-31T23:59:59-23:59", "x"]),
        _cursor([1]),
    ),
    "template": ("full", "archive-27", "foreign"),
    "valid_from": ("2026-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59"),
    "valid_until": ("2031-01-01T00:00:00+08:00", "9999-12-31T23:59:59-23:59"),
    "for_s": (0, 0.01, -1, 901, "x"),
    "limit": (1, 2, 500),
}
# Right here, though they blame the server: no camera of this test sends a picture.
NO_CAMERA = {(504, "no_keyframe"), (502, "still_undecodable")}


async def prepared(running: Running, admin: httpx.AsyncClient) -> dict[str, tuple[Any, ...]]:
    """Things to work on, and nothing that leaves this process."""

    async def unchecked(job_id: str) -> None:
        return None

    running.services.imports._checker = unchecked
    running.services.couriers._make_sender = _no_network
    webhook = await admin.post("/api/v1/webhooks", json={"url": "https://192.0.2.1/"})
    job = await admin.post(
        "/api/v1/imports", params={"name": "x.csv", "template": "full"}, content=b"a\n1\n"
    )
    view = await admin.post(
        "/whep/ch_y1", content=OFFER, headers={"Content-Type": "application/sdp"}
    )
    for answer in (webhook, job, view):
        assert answer.is_success, answer.text
    return KNOWN | {
        "webhook_id": (webhook.json()["id"], "wh_none"),
        "import_id": (job.json()["id"], "im_none"),
        "view_id": (view.headers["location"].rsplit("/", 1)[1], "0" * 32),
    }


def _no_network(url: str, secret: Secret) -> Sender:
    def refused(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no network here")

    transport = httpx.MockTransport(refused)
    tls = ssl.create_default_context()
    return Sender(url, secret, allow_local=False, tls=tls, transport=transport)


def described(document: Any, path: str, method: str, status: int) -> set[str]:
    """The media types that an answer may have; empty: no body."""
    responses = document["paths"][path][method]["responses"]
    response = responses.get(str(status), responses.get("default", {}))
    return {each.partition(";")[0] for each in response.get("content", {})}


async def ask(client: httpx.AsyncClient, case: Case) -> httpx.Response:
    async with asyncio.timeout(PATIENCE_S):
        return await client.request(
            case.method,
            f"http://testserver{case.path}",
            params=case.query,
            headers=case.headers,
            content=case.body,
        )


async def test_no_request_breaks_an_operation_or_gets_what_is_not_described(
    tmp_path: Path,
) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        document = (await admin.get("/api/v1/openapi.json")).json()
        known = await prepared(running, admin)
        operations = sorted(
            ((path, method) for path, item in document["paths"].items() for method in item),
            key=lambda each: (ORDER.index(each[1]), each[0]),
        )
        assert len(operations) > 60
        statuses: Counter[int] = Counter()
        well = set()
        faults = []
        for number, (path, method) in enumerate(operations):
            # A view's own events would go on for as long as it does.
            own = known | ({"view_id": KNOWN["view_id"]} if path.endswith("/events") else {})
            cases = Cases(document, own, SEED + number)
            for case in cases.of(path, method, EXAMPLES):
                answer = await ask(admin, case)
                statuses[answer.status_code] += 1
                if answer.is_success:
                    well.add((path, method))
                fault = _fault(document, path, method, answer)
                if fault is not None:
                    faults.append(f"{case}\n    {fault}")
        assert not faults, "\n".join(faults[:20])
        # It was still the administrator who asked, and much of what was asked was right.
        assert (await admin.get("/api/v1/me")).status_code == httpx.codes.OK
        assert statuses[401] < statuses.total() * 0.05
        assert len(well) > len(operations) * 0.6, sorted(set(operations) - well)
        assert statuses[422] > 100


def _fault(document: Any, path: str, method: str, answer: httpx.Response) -> str | None:
    status = answer.status_code
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    if status >= 500 and (status, answer.json().get("code")) not in NO_CAMERA:
        return f"{status} {answer.text[:200]}"
    if not answer.content:
        return None
    allowed = described(document, path, method, status)
    if media_type not in allowed:
        return f"{status} is {media_type!r}, described are {sorted(allowed)}"
    if not answer.is_success and {"type", "title", "status", "code", "detail"} - set(answer.json()):
        return f"{status} is no problem: {answer.text[:200]}"
    return None


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
