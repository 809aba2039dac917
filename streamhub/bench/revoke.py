"""`revoke`: one grant is taken back while many watch by it. How long after the commit does the
last packet come to each viewer's kernel?"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import httpx

from .district import Service, Workshop
from .load import Load, watch
from .processes import BenchError

# Of the district's cameras: viewers of several streams, on all shards.
CHANNELS = 50
JOINS_PER_S = 100.0
# Packets that came this late would still be seen.
WATCHED_MS = 5_000
# A sub stream has a picture each 40 to 67 ms: who is silent for so long is not being served.
SILENT_MS = 1_000
USERNAME, PASSWORD = "bench-viewer", "the bench's own viewer"

Row = dict[str, Any]


def revoke_row(workshop: Workshop, viewers: int, profile: str) -> Row:
    """[`last_packet_ms` {p50, p99, max}]: milliseconds from the commit to each viewer's last
    packet; below 0 where none came any more. `still_playing`: viewers whose packets did not end."""
    revoked: dict[str, float] = {}
    with workshop.farm(), workshop.service() as service:
        channels = service.channels(min(CHANNELS, viewers))
        with _Admin(service) as admin:
            grant_id = admin.make_viewer()

            def on_phase(phase: str) -> None:
                if phase == "measuring":
                    revoked["asked"] = time.time()
                    admin.revoke(grant_id)
                    revoked["answered"] = time.time()

            load = Load(
                [service.whep(channel, profile) for channel in channels],
                viewers,
                rate=JOINS_PER_S,
                measure_ms=WATCHED_MS,
                kernel_times=True,
                rows=True,
            )
            seen = watch(
                load,
                workshop.cores,
                token=admin.token_of(USERNAME, PASSWORD),
                pid=service.pid,
                urls_file=workshop.scratch_file("urls"),
                on_phase=on_phase,
            )
            committed_ms = admin.committed_ms(grant_id)
    joined = [row for row in seen["rows"] if row["packets"] > 0]
    if len(joined) < viewers:
        raise BenchError(f"{viewers - len(joined)} of {viewers} viewers got no picture.")
    after = sorted(row["last_packet"] - committed_ms for row in joined)
    return {
        "viewers": viewers,
        "profile": profile,
        "last_packet_ms": {
            "p50": round(after[len(after) // 2], 1),
            "p99": round(after[min(len(after) - 1, len(after) * 99 // 100)], 1),
            "max": round(after[-1], 1),
        },
        "answered_ms": round((revoked["answered"] - revoked["asked"]) * 1000, 1),
        "still_playing": sum(late > WATCHED_MS - SILENT_MS for late in after),
        "load": {key: value for key, value in seen.items() if key != "rows"},
    }


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
