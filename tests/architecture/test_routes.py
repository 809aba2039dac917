"""Every route declares its right, and holds to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from streamhub.api.newest import ByNewestRights
from streamhub.api.rights import SAFE_METHODS, declared_right
from streamhub.app import build_app
from streamhub.settings import Settings
from support.changes_kit import NOT_BY_NEWEST_RIGHTS
from support.http_kit import OFFER, SDP, Running, a_service, problem
from support.routes import routes_of

ROOT = Path(__file__).resolve().parents[2]


def _rights(dependant: Dependant) -> set[str]:
    rights = {declared_right(dependant.call)} - {None}
    for each in dependant.dependencies:
        rights |= _rights(each)
    return {str(right) for right in rights}


def _app() -> FastAPI:
    return build_app(Settings(data_dir=Path("/nonexistent")))


def test_there_are_routes_to_walk() -> None:
    assert len(routes_of(_app())) > 35


def test_every_route_declares_exactly_one_right() -> None:
    for route in routes_of(_app()):
        rights = _rights(route.dependant)
        assert len(rights) == 1, f"{sorted(route.methods)} {route.path} declares {rights}"


def test_only_these_routes_are_public() -> None:
    public = {
        (method, route.path)
        for route in routes_of(_app())
        for method in route.methods
        if any(right.startswith("public") for right in _rights(route.dependant))
    }
    assert public == {
        ("POST", "/api/v1/token"),
        ("POST", "/api/v1/sign-in"),
        ("GET", "/api/v1/setup"),
        ("POST", "/api/v1/setup"),
        ("GET", "/api/v1/oidc"),
        ("GET", "/api/v1/oidc/sign-in"),
        ("GET", "/api/v1/oidc/callback"),
        ("GET", "/api/v1/openapi.json"),
        ("OPTIONS", "/whep/{channel_id}"),
        ("OPTIONS", "/whep/{channel_id}/{rest:path}"),
        ("GET", "/healthz"),
        ("GET", "/metrics"),
        ("GET", "/"),
        ("GET", "/assets/{path:path}"),
        ("GET", "/favicon.svg"),
    }


def test_what_changes_something_does_so_by_the_newest_rights() -> None:
    """Or it stands in a short list, with its reason."""
    without = {
        (method, route.path)
        for route in routes_of(_app())
        for method in route.methods - SAFE_METHODS
        if not isinstance(route, ByNewestRights)
    }
    assert without == NOT_BY_NEWEST_RIGHTS.keys()


# Creating routes without an `Idempotency-Key`, and why a second call does no harm.
CREATING_WITHOUT_A_KEY = {
    "/api/v1/setup": "it is over with the first",
    "/api/v1/me/second-factor": "an enrolment takes the place of the one before",
    "/api/v1/keys": "the answer is a secret, which is not kept to be given again",
    "/api/v1/subjects/{subject_id}/keys": "the answer is a secret",
    "/api/v1/channels/{channel_id}/rtsp-tickets": "the answer is a secret, and expires",
    "/api/v1/audit/exports": "a request is for somebody else to look at, and can be taken back",
    "/api/v1/imports": "a file is sent and checked; nothing is changed before it is applied, once",
    "/api/v1/imports/{import_id}/check": "the same job is planned anew",
    "/api/v1/inspections/{inspection_id}/resume": "one that goes on stays as it is",
    "/whep/{channel_id}": "each offer has its own answer",
}


def test_what_creates_may_be_sent_again() -> None:
    creating = [
        route
        for route in routes_of(_app())
        if "POST" in route.methods and route.status_code in (201, 202)
    ]
    without = {
        route.path
        for route in creating
        if "idempotency-key" not in {each.alias for each in route.dependant.header_params}
    }
    assert without == CREATING_WITHOUT_A_KEY.keys()


def test_nobody_acts_in_a_name_but_that_of_who_asks() -> None:
    """`Principal.actor` alone knows by which rights a request was decided."""
    found = [
        path.relative_to(ROOT)
        for path in (ROOT / "streamhub" / "api").rglob("*.py")
        if re.search(r"\b(Actor|Principal)\(|Principal\.local\(", path.read_text())
    ]
    assert found == []


def test_only_the_guard_touches_the_mint() -> None:
    outside = [
        path
        for package in ("streamhub", "camera_registry", "gateways")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"\b_MINT\b|\bMint\b", path.read_text())
    ]
    assert {path.name for path in outside} == {"guard.py", "permit.py"}


# What a real request of each route looks like, of things that are in 永顺 and 梨园.
BODIES: dict[tuple[str, str], dict[str, object]] = {
    ("POST", "/api/v1/areas"): {
        "parent_id": "ar_liyuan",
        "kind": "community",
        "code": "110112002001",
        "name": "新村",
    },
    ("POST", "/api/v1/channels"): {
        "code": "11011200111310000099",
        "name": "新",
        "area_id": "ar_liyuan",
        "device_class": "alley",
        "main_url": "rtsp://127.0.0.1/x",
    },
    ("POST", "/api/v1/devices"): {"name": "box", "host": "192.0.2.1"},
    ("POST", "/api/v1/devices/rotate-passwords"): {"area_id": "ar_liyuan", "password": "x"},
    ("PUT", "/api/v1/views/{view_id}/profile"): {"profile": "main"},
    ("PUT", "/api/v1/views/{view_id}/audio"): {"on": True},
    ("POST", "/api/v1/subjects"): {"username": "someone", "display_name": "Someone"},
    ("POST", "/api/v1/keys"): {"name": "mine"},
    ("POST", "/api/v1/subjects/{subject_id}/keys"): {"name": "theirs"},
    ("PUT", "/api/v1/me/password"): {"current": "x", "new": "y"},
    ("POST", "/api/v1/me/second-factor"): {"password": "x"},
    ("POST", "/api/v1/me/second-factor/remove"): {"password": "x"},
    ("POST", "/api/v1/me/second-factor/confirm"): {"code": "000000"},
    ("PUT", "/api/v1/subjects/{subject_id}/identity"): {"sub": "x"},
    ("POST", "/api/v1/codes"): {"division": "110112"},
    ("POST", "/api/v1/imports/{import_id}/apply"): {},
    ("POST", "/api/v1/sweeps"): {"networks": ["127.0.0.1/32"]},
    ("POST", "/api/v1/sweeps/{sweep_id}/import"): {},
    ("POST", "/api/v1/channel-filing"): {"step": "review", "area_id": "ar_liyuan"},
    ("POST", "/api/v1/assignment/preview"): {"area_id": "ar_liyuan"},
    ("POST", "/api/v1/assignment/apply"): {"area_id": "ar_liyuan", "plan": "1-x"},
    ("POST", "/api/v1/assignment-rules"): {"kind": "polygon", "area_id": "ar_liyuan"},
    ("PUT", "/api/v1/filing-settings"): {"second_person": False},
    ("PUT", "/api/v1/export-settings"): {"second_person": False},
    ("POST", "/api/v1/audit/exports"): {"purpose": "duty"},
    ("POST", "/api/v1/audit/exports/{export_id}/refuse"): {"reason": "x"},
    ("POST", "/api/v1/inspections"): {"area_id": "ar_liyuan"},
    ("POST", "/api/v1/webhooks"): {"url": "https://192.0.2.1/hook"},
    ("POST", "/api/v1/webhooks/{webhook_id}/dead/resend"): {},
    ("POST", "/api/v1/roles"): {"name": "duty", "display_name": "Duty"},
    ("PUT", "/api/v1/roles/{role_id}"): {"name": "duty", "display_name": "Duty"},
    ("PUT", "/api/v1/purposes/{code}"): {"zh": "值守", "en": "Duty"},
    ("POST", "/api/v1/grants/batch"): {
        "changes": [
            {
                "create": {
                    "subject_id": "su_stranger",
                    "actions": ["live"],
                    "area_id": "ar_liyuan",
                }
            }
        ]
    },
    ("POST", "/api/v1/grants"): {
        "subject_id": "su_stranger",
        "actions": ["live"],
        "area_id": "ar_liyuan",
    },
    ("POST", "/api/v1/loans"): {
        "channel": "11011200111310000004",
        "actions": ["live"],
        "reason": "x",
        "minutes": 5,
    },
    ("POST", "/api/v1/loans/{loan_id}/allow"): {},
    ("POST", "/api/v1/loans/{loan_id}/refuse"): {"reason": "x"},
}
LISTS = {
    "/api/v1/areas",
    "/api/v1/channels",
    "/api/v1/views",
    "/api/v1/grants",
    "/api/v1/quotas",
}
OWN = {
    ("GET", "/api/v1/me"),
    ("GET", "/api/v1/purposes"),
    ("POST", "/api/v1/sign-out"),
    ("GET", "/api/v1/audit/mine"),
    ("GET", "/api/v1/audit/mine/views"),
    ("GET", "/api/v1/sign-ins"),
    ("DELETE", "/api/v1/sign-ins"),
    ("GET", "/api/v1/keys"),
    ("POST", "/api/v1/keys"),
    ("GET", "/api/v1/loans/mine"),
    ("POST", "/api/v1/loans"),
    ("GET", "/api/v1/me/second-factor"),
}
# Of one's own account, too: what is sent here is wrong.
OWN_REFUSED = {
    ("PUT", "/api/v1/me/password"): (403, "wrong_password"),
    ("POST", "/api/v1/me/second-factor"): (403, "wrong_password"),
    ("POST", "/api/v1/me/second-factor/remove"): (403, "wrong_password"),
    ("POST", "/api/v1/me/second-factor/confirm"): (404, "not_found"),
}


async def _call(
    running: Running, route: APIRoute, method: str, who: str | None, where: str
) -> tuple[int, str]:
    area, channel = {
        "liyuan": ("ar_liyuan", "ch_l1"),
        "yongshun": ("ar_yongshun", "ch_y1"),
    }[where]
    path = route.path.format(
        area_id=area,
        channel_id=channel,
        device_id="de_1",
        subject_id="su_admin",
        grant_id="gr_admin",
        view_id="0" * 32,
        import_id="im_none",
        inspection_id="in_none",
        version="1",
        sweep_id="sw_none",
        rule_id="ru_none",
        webhook_id="wh_none",
        sign_in_id="si_none",
        key_id="ak_none",
        role_id="ro_none",
        loan_id="lo_none",
        export_id="ex_none",
        code="duty",
    )
    if path == "/api/v1/events":
        path += "?for_s=0"  # else the stream goes on
    headers = {} if who is None else {"Authorization": f"Bearer {await running.token(who)}"}
    body = BODIES.get((method, route.path), {} if method == "PATCH" else None)
    if body is not None and where == "yongshun":
        body = {k: "ar_yongshun" if v == "ar_liyuan" else v for k, v in body.items()}
    if who is not None and route.path == "/api/v1/sign-out":
        running.forget(who)
    async with running.client(**headers) as client:
        if method == "POST" and route.path.startswith("/whep"):
            answer = await client.post(path, content=OFFER, headers=SDP)
        else:
            answer = await client.request(method, path, json=body)
    if answer.is_success:
        return answer.status_code, answer.text
    if method == "HEAD":
        return answer.status_code, ""
    return problem(answer)


@pytest.mark.parametrize("who", [None, "stranger", "lister"])
async def test_nobody_gets_past_a_right(who: str | None, tmp_path: Path) -> None:
    """Nobody: 401 on everything that is not public. A stranger: 404, and empty lists. An insider
    who may list 永顺: 404 for 梨园, 403 for what is more than listing."""
    async with a_service(tmp_path) as running:
        for route in routes_of(running.app):
            rights = _rights(route.dependant)
            if any(right.startswith("public") for right in rights):
                continue
            for method in sorted(route.methods):
                asked = f"{who}: {method} {route.path}"
                status, text = await _call(running, route, method, who, "liyuan")
                if who is None:
                    assert status == 401, asked
                elif (method, route.path) in OWN_REFUSED:
                    assert (status, text) == OWN_REFUSED[method, route.path], asked
                elif (method, route.path) in OWN:
                    assert status in (200, 201, 204), asked
                elif method == "GET" and route.path in LISTS:
                    assert status == 200, asked
                    if who == "stranger":
                        assert '"items":[]' in text, asked
                    assert "ar_liyuan" not in text, asked
                    assert "ch_l1" not in text, asked
                elif who == "stranger" or "{" in route.path or method == "POST":
                    known = ("the_district", "manage somewhere", "audit somewhere")  # the lister
                    district = any(name in right for right in rights for name in known)
                    expected = 403 if who == "lister" and district else 404
                    if who == "lister" and route.path.startswith("/api/v1/quotas/"):
                        expected = 403  # the district above 永顺 is known to its people
                    assert status == expected, f"{asked} -> {status} {text}"
                elif "list somewhere" in rights:
                    assert status == 200, asked
                else:
                    assert status == 403, f"{asked} -> {status} {text}"


async def test_an_insider_is_told_that_it_is_forbidden(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        for route in routes_of(running.app):
            if not any(
                " on channel_in_path" in r or " on area_in_path" in r
                for r in _rights(route.dependant)
            ):
                continue
            for method in sorted(route.methods):
                status, _ = await _call(running, route, method, "lister", "yongshun")
                lists = any(right.startswith("list") for right in _rights(route.dependant))
                assert status == (200 if lists else 403), f"{method} {route.path} -> {status}"
