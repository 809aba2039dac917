"""One request of each kind that changes something, about things that are there."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from camera_registry.jobs import FoundDevice
from streamhub.access.second_factor import DIGITS, STEP_S
from streamhub.oidc.settings import OidcSettings
from support.http_kit import ACTIONS, Running
from support.import_kit import code, send

# Changes that are not decided by the newest rights, and why.
_VIEW = "a view, a still or a move ends with its right, whichever change takes it"
NOT_BY_NEWEST_RIGHTS = {
    ("POST", "/whep/{channel_id}"): _VIEW,
    ("PATCH", "/whep/{channel_id}/{view_id}"): _VIEW,
    ("DELETE", "/whep/{channel_id}/{view_id}"): _VIEW,
    ("PUT", "/api/v1/views/{view_id}/profile"): _VIEW,
    ("PUT", "/api/v1/views/{view_id}/audio"): _VIEW,
    ("DELETE", "/api/v1/views/{view_id}"): _VIEW,
    ("POST", "/api/v1/channels/{channel_id}/ptz"): _VIEW,
    ("POST", "/api/v1/channels/{channel_id}/rtsp-tickets"): "the door asks whoever brings it",
    ("POST", "/api/v1/token"): "by a password, which is looked up in the store",
    ("POST", "/api/v1/sign-in"): "by a password, which is looked up in the store",
    ("POST", "/api/v1/sign-out"): "ends what one came with, and nothing else",
    ("POST", "/api/v1/setup"): "there is nobody yet",
}
# Of routes that are, what changes nothing in the registry.
CHANGES_NOTHING = {
    ("POST", "/api/v1/assignment/preview"),
    ("POST", "/api/v1/inspections/{inspection_id}/resume"),  # of one that was begun by right
    ("POST", "/api/v1/webhooks/{webhook_id}/test"),
}


_RING = [[116.6, 39.8], [116.7, 39.8], [116.7, 39.9], [116.6, 39.8]]
BOUNDARY = {
    "params": {"area_id": "ar_liyuan", "apply": True},
    "content": json.dumps({"type": "Polygon", "coordinates": [_RING]}),
}


@dataclass(frozen=True, slots=True)
class Ask:
    method: str
    path: str
    given: dict[str, Any] = field(default_factory=dict)

    async def by(self, client: httpx.AsyncClient) -> httpx.Response:
        return await client.request(self.method, f"/api/v1/{self.path}", **self.given)


def ask(method: str, path: str, **body: Any) -> Ask:
    return Ask(method, path, {"json": body} if body else {})


def provider() -> OidcSettings:
    """Of which nothing is asked."""
    return OidcSettings(
        issuer="https://id.example", client_id="streamhub", public_url="https://streamhub.example"
    )


async def all_changes(running: Running, admin: httpx.AsyncClient) -> list[Ask]:
    """What `warden` may ask, who gets every right for it, one after the other. No answer of one
    is in the way of those behind it."""

    async def made(path: str, **body: Any) -> dict[str, Any]:
        answer = await admin.post(f"/api/v1/{path}", json=body)
        assert answer.is_success, answer.text
        out: dict[str, Any] = answer.json()
        return out

    async def imported(number: int) -> str:
        row = f"{code(number)},新,110112001,rtsp://192.0.2.{number}/main,,,,"
        return str((await send(admin, row))["id"])

    every = sorted(ACTIONS)
    await made("grants", subject_id="su_warden", actions=every, area_id="ar_district")
    empty = await made(
        "areas", parent_id="ar_liyuan", kind="community", code="110112002009", name="空"
    )
    device = await made("devices", name="spare", host="192.0.2.99")
    rule = await made("assignment-rules", kind="polygon", area_id="ar_liyuan")
    grant = await made("grants", subject_id="su_lister", actions=["list"], area_id="ar_liyuan")
    other = await made("grants", subject_id="su_lister", actions=["list"], channel_id="ch_l1")
    role = await made("roles", name="duty", display_name="值班")
    gone = await made("roles", name="gone", display_name="撤销")
    member = {"subject_id": "su_lister"}
    await admin.put(f"/api/v1/roles/{role['id']}/members/su_lister")
    somebody = await made("subjects", username="somebody", display_name="某人")
    key = await made("subjects/su_lister/keys", name="theirs")
    hook = await made("webhooks", url="https://192.0.2.1/hook", enabled=False)
    await admin.put("/api/v1/purposes/drill", json={"zh": "演练", "en": "Drill"})
    for holder in ("areas/ar_village", "subjects/su_lister"):
        await admin.put(f"/api/v1/quotas/{holder}", json={"max_views": 9})
    question = {"actions": ["live"], "reason": "查看路口积水", "minutes": 60}
    async with running.as_("stranger") as stranger:
        loans = [
            (await stranger.post("/api/v1/loans", json={"channel": each, **question})).json()["id"]
            for each in ("ch_y1", "ch_y2", "ch_l1")
        ]
    await made(f"loans/{loans[2]}/allow")
    why = {"purpose": "inquiry", "purpose_note": "案件 2026-17"}
    exports = [
        (await admin.post("/api/v1/audit/exports", params={"area_id": each}, json=why)).json()["id"]
        for each in ("ar_yongshun", "ar_village")
    ]
    async with running.client() as auditor:
        form = {"username": "auditor", "password": "auditor-pass"}
        assert (await auditor.post("/api/v1/sign-in", json=form)).is_success
    sign_ins = (await admin.get("/api/v1/subjects/su_auditor/sign-ins")).json()["items"]
    sweeps = [(await made("sweeps", networks=["127.0.0.1/32"]))["id"]]
    await running.services.finder().ended(sweeps[0])
    sweeps.append((await made("sweeps", networks=["127.0.0.1/32"]))["id"])
    await running.services.finder().ended(sweeps[1])
    main = {"uri": "rtsp://192.0.2.77/main", "encoding": "H264", "width": 0, "height": 0}
    told = dict.fromkeys(("manufacturer", "model", "mac"), "")
    found = {"registered": False, "channels": [{"main": main, "sub": None}], **told}
    async with running.services.store.write() as tx:
        await tx.sweeps.put_found(sweeps[0], [FoundDevice("192.0.2.77", 80, found)])
    inspection = await made("inspections", channel_ids=["ch_y1"])
    undone = await imported(51)
    await made(f"imports/{undone}/apply")
    patched = await admin.patch("/api/v1/channels/ch_l2", json={"name": "路口五"})
    assert patched.is_success
    versions = (await admin.get("/api/v1/channels/ch_l2/versions")).json()["items"]
    discarded, checked_again, applied = [await imported(each) for each in (52, 53, 54)]
    plan = (await admin.post("/api/v1/assignment/preview", json={"boundaries": False})).json()
    file = {"params": {"name": "a.csv", "template": "full"}, "content": b"x\n"}
    given = {"subject_id": "su_lister", "actions": ["live"], "area_id": "ar_yongshun"}
    return [
        ask("POST", "assignment/apply", boundaries=False, plan=plan["plan"]),
        ask("POST", f"imports/{applied}/apply", without_refused=False),
        ask("POST", f"imports/{undone}/undo"),
        ask("POST", f"imports/{checked_again}/check"),
        ask("DELETE", f"imports/{discarded}"),
        Ask("POST", "imports", file),
        ask(
            "POST", "areas", parent_id="ar_liyuan", kind="community", code="110112002001", name="新"
        ),
        ask("PATCH", "areas/ar_village", name="新建"),
        ask("DELETE", f"areas/{empty['id']}"),
        ask("POST", "assignment-rules", kind="polygon", area_id="ar_yongshun"),
        ask("DELETE", f"assignment-rules/{rule['id']}"),
        ask("POST", f"channel-versions/{versions[0]['version']}/undo"),
        ask(
            "POST",
            "channels",
            code=code(61),
            name="新",
            area_id="ar_liyuan",
            device_class="alley",
            main_url="rtsp://192.0.2.61/main",
        ),
        ask("PATCH", "channels/ch_y1", name="路口一"),
        ask("POST", "channel-filing", step="reopen", channel_ids=["ch_l1"]),
        ask("PUT", "filing-settings", second_person=False),
        ask("POST", "codes", division="110112"),
        ask("POST", "devices", name="new", host="192.0.2.98"),
        ask("PATCH", "devices/de_1", max_dials=5),
        ask("DELETE", f"devices/{device['id']}"),
        ask(
            "POST", "devices/rotate-passwords", area_id="ar_liyuan", username="ops", password="n3w"
        ),
        ask("DELETE", f"inspections/{inspection['id']}"),
        ask("POST", "inspections", channel_ids=["ch_y2"]),
        ask("POST", f"sweeps/{sweeps[0]}/import", area="110112001"),
        ask("POST", f"sweeps/{sweeps[0]}/stop"),
        ask("POST", f"sweeps/{sweeps[0]}/go-on"),
        ask("DELETE", f"sweeps/{sweeps[1]}"),
        ask("POST", "sweeps", networks=["127.0.0.1/32"]),
        ask("POST", "grants", **given),
        ask("POST", "grants/batch", changes=[{"create": given}, {"revoke": other["id"]}]),
        ask("DELETE", f"grants/{grant['id']}"),
        ask("POST", f"loans/{loans[0]}/allow", minutes=5),
        ask("POST", f"loans/{loans[1]}/refuse", reason="该点位正在检修"),
        ask("POST", f"loans/{loans[2]}/end"),
        ask("POST", "roles", name="new", display_name="新"),
        ask("PUT", f"roles/{role['id']}", name="duty", display_name="值守"),
        ask("PUT", f"roles/{role['id']}/members/su_auditor"),
        ask("DELETE", f"roles/{role['id']}/members/{member['subject_id']}"),
        ask("DELETE", f"roles/{gone['id']}"),
        ask("PUT", "purposes/trial", zh="试验", en="Trial"),
        ask("DELETE", "purposes/drill"),
        ask("PUT", "quotas/areas/ar_village", max_views=5),
        ask("PUT", "quotas/subjects/su_lister", max_views=5),
        ask("DELETE", "quotas/areas/ar_village"),
        ask("DELETE", "quotas/subjects/su_lister"),
        ask("POST", "subjects", username="new", display_name="新", password="a-l0ng-passphrase"),
        ask(
            "PATCH",
            "subjects/su_lister",
            display_name="名",
            password="a-l0ng-passphrase",
            home_area_id="ar_liyuan",
        ),
        ask("DELETE", f"subjects/{somebody['id']}"),
        ask("POST", "subjects/su_lister/keys", name="more"),
        ask("DELETE", f"subjects/su_lister/keys/{key['id']}"),
        ask("DELETE", f"subjects/su_auditor/sign-ins/{sign_ins[0]['id']}"),
        ask("DELETE", "subjects/su_lister/sign-ins"),
        ask("DELETE", "subjects/su_lister/second-factor"),
        ask("PUT", "subjects/su_lister/identity", sub="lister"),
        ask("DELETE", "subjects/su_lister/identity"),
        ask("POST", "webhooks", url="https://192.0.2.2/hook", enabled=False),
        ask("PATCH", f"webhooks/{hook['id']}", enabled=False),
        Ask("POST", f"webhooks/{hook['id']}/dead/resend", {"json": {}}),
        ask("DELETE", f"webhooks/{hook['id']}"),
        Ask("POST", "audit/exports", {"params": {"area_id": "ar_liyuan"}, "json": why}),
        ask("POST", f"audit/exports/{exports[0]}/approve"),
        ask("POST", f"audit/exports/{exports[1]}/refuse", reason="不需要"),
        Ask("POST", "area-boundaries", BOUNDARY),
        ask("PUT", "export-settings", second_person=True),
        ask("DELETE", "channels/ch_off"),
    ]


async def own_changes(client: httpx.AsyncClient, name: str) -> list[Ask]:
    """What anybody may ask about themselves, who is signed in by `client`."""
    mine = f"{name}-pass"
    enrolled = (await client.post("/api/v1/me/second-factor", json={"password": mine})).json()
    totp = TOTP(base64.b32decode(enrolled["secret"]), DIGITS, SHA1(), STEP_S)
    key = (await client.post("/api/v1/keys", json={"name": "mine"})).json()
    async with httpx.AsyncClient(
        transport=client._transport, base_url=client.base_url
    ) as elsewhere:
        form = {"username": name, "password": mine}
        assert (await elsewhere.post("/api/v1/sign-in", json=form)).is_success
    rows = (await client.get("/api/v1/sign-ins")).json()["items"]
    other = next(row["id"] for row in rows if not row["current"])
    question = {"channel": "ch_l2", "actions": ["live"], "reason": "查看", "minutes": 5}
    return [
        ask("POST", "me/second-factor/confirm", code=totp.generate(int(time.time())).decode()),
        ask("POST", "me/second-factor/remove", password=mine),
        ask("POST", "me/second-factor", password=mine),
        ask("POST", "keys", name="more"),
        ask("DELETE", f"keys/{key['id']}"),
        ask("POST", "loans", **question),
        ask("DELETE", f"sign-ins/{other}"),
        ask("DELETE", "sign-ins"),
        ask("PUT", "me/password", current=mine, new="a-l0ng-passphrase"),
    ]
