"""`revoke`: one grant is taken back while many watch by it, alone or as one of many changes. How
long after the commit does the last packet come to each viewer?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import httpx

from .district import Service, Workshop
from .machine import cpu_ms
from .watching import DOORS, Crowd, environment_of, watch_by

# Packets that came this late would still be seen.
WATCHED_MS = 5_000
# A sub stream has a picture each 40 to 67 ms: who is silent for so long is not being served.
SILENT_MS = 1_000
WANTED_P99_MS = 500
WANTED_MAX_MS = 1_000
WANTED_ANSWERED_MS = 1_000
USERNAME, PASSWORD = "bench-viewer", "the bench's own viewer"

Row = dict[str, Any]


def revoke_row(
    workshop: Workshop, viewers: int, profile: str, *, by: str = "whep", changes: int = 1
) -> Row:
    """[`last_packet_ms` {p50, p99, max}]: milliseconds from the commit to each viewer's last
    packet; below 0 where none came any more. `still_playing`: viewers whose packets did not end.
    `changes`: of so many changes in one transaction the revocation is the last; `answered_ms`: from
    asking until the answer, which comes after the commit, `service_cpu_ms` the processor time of
    the service meanwhile."""
    with workshop.farm(), workshop.service(environment_of(by)) as service, _Admin(service) as admin:
        revocation = _Revocation(admin, changes, service.pid)
        crowd = Crowd(by, viewers, profile, admin.token_of(USERNAME, PASSWORD))
        seen = watch_by(crowd, workshop, service, revocation.go, WATCHED_MS)
        committed_ms = admin.committed_ms(revocation.grant_id)
    seen.require_all(viewers)
    return {
        "viewers": viewers * len(DOORS[by]),
        "profile": profile,
        "by": by,
        "changes": changes,
        **seen.spreads("last_packet_ms", committed_ms),
        "answered_ms": round(revocation.answered_ms, 1),
        "service_cpu_ms": revocation.service_cpu_ms,
        "still_playing": sum(at - committed_ms > WATCHED_MS - SILENT_MS for at in seen.all_ms()),
        "load": seen.load,
    }


def complaints(rows: Sequence[Row]) -> list[str]:
    """A sentence for each wanted figure that one of the rows misses."""
    found = []
    p99_ms = max(row["last_packet_ms"]["p99"] for row in rows)
    if p99_ms > WANTED_P99_MS:
        found.append(f"p99 of the last packet is {p99_ms:g} ms, wanted are {WANTED_P99_MS}.")
    max_ms = max(row["last_packet_ms"]["max"] for row in rows)
    if max_ms > WANTED_MAX_MS:
        found.append(
            f"A packet came {max_ms:g} ms after the right had ended, wanted are {WANTED_MAX_MS}."
        )
    answered_ms = max(row["answered_ms"] for row in rows)
    if answered_ms > WANTED_ANSWERED_MS:
        found.append(
            f"The changes were answered after {answered_ms:g} ms, wanted are {WANTED_ANSWERED_MS}."
        )
    return found


class _Revocation:
    """What is asked for in the middle of it: the viewers' grant, as the last of `changes`."""

    def __init__(self, admin: _Admin, changes: int, pid: int) -> None:
        self._admin = admin
        self._pid = pid
        self.grant_id = admin.make_viewer()
        self._others = admin.others(changes - 1)
        self.answered_ms = 0.0
        self.service_cpu_ms = 0  # of all its threads, until the answer: the views' packets, too

    def go(self) -> None:
        worked, began = cpu_ms(self._pid), time.perf_counter()
        if self._others:
            self._admin.change([*self._others, {"revoke": self.grant_id}])
        else:
            self._admin.revoke(self.grant_id)
        self.answered_ms = (time.perf_counter() - began) * 1000
        self.service_cpu_ms = cpu_ms(self._pid) - worked


class _Admin:
    """The district's administrator, who makes a viewer and takes its right away."""

    def __init__(self, service: Service) -> None:
        self._url = service.url
        self._http = httpx.Client(
            base_url=service.url,
            headers={"Authorization": f"Bearer {service.token}"},
            timeout=30,
        )

    def __enter__(self) -> _Admin:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def _call(self, method: str, path: str, **more: Any) -> Any:
        answer = self._http.request(method, path, **more)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def make_viewer(self) -> str:
        """A subject that may watch the whole district; the id of its grant."""
        subject = self._call(
            "POST",
            "/api/v1/subjects",
            json={
                "username": USERNAME,
                "display_name": USERNAME,
                "kind": "service",
                "password": PASSWORD,
            },
        )
        areas = self._call("GET", "/api/v1/areas")["items"]
        [root] = [area for area in areas if area["parent_id"] is None]
        grant = {"subject_id": subject["id"], "actions": ["list", "live"], "area_id": root["id"]}
        grant_id: str = self._call("POST", "/api/v1/grants", json=grant)["id"]
        return grant_id

    def others(self, count: int) -> list[Row]:
        """So many changes of other subjects' grants: half of them revoke what is made for it now,
        half grant, on areas and on single cameras."""
        if not count:
            return []
        subjects = self._call("GET", "/api/v1/subjects", params={"limit": 200})["items"]
        subjects = [each["id"] for each in subjects if each["username"] != USERNAME]
        areas = [area["id"] for area in self._call("GET", "/api/v1/areas")["items"]]
        cameras = self._call("GET", "/api/v1/channels", params={"limit": 200})["items"]

        def grant(number: int) -> Row:
            where = {"area_id": areas[number % len(areas)]}
            if number % 2:
                where = {"channel_id": cameras[number % len(cameras)]["id"]}
            holder = subjects[number % len(subjects)]
            return {"create": {"subject_id": holder, "actions": ["list", "live"], **where}}

        revoked = self.change([grant(number) for number in range(count // 2)])
        made = [grant(number) for number in range(count - count // 2)]
        return [*made, *({"revoke": each["id"]} for each in revoked)]

    def change(self, changes: list[Row]) -> list[Row]:
        """The grants, as they are then."""
        if not changes:
            return []
        body = {"changes": changes}
        items: list[Row] = self._call("POST", "/api/v1/grants/batch", json=body)["items"]
        return items

    def token_of(self, username: str, password: str) -> str:
        form = {"username": username, "password": password}
        answer = httpx.post(f"{self._url}/api/v1/token", data=form, timeout=10)
        answer.raise_for_status()
        token: str = answer.json()["access_token"]
        return token

    def revoke(self, grant_id: str) -> None:
        self._call("DELETE", f"/api/v1/grants/{grant_id}")

    def committed_ms(self, grant_id: str) -> float:
        """Unix milliseconds of the audit row of the revocation, which is made within the commit:
        no later than it."""
        rows = self._call("GET", "/api/v1/audit", params={"act": "grant_revoke", "limit": 10})
        [row] = [row for row in rows["items"] if row["detail"]["id"] == grant_id]
        return datetime.fromisoformat(row["at"]).timestamp() * 1000
