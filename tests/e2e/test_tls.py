"""The service on a certificate of its own: the page by https, and a new pair without a restart."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography import x509

from streamhub.cli.demo import demo_password
from streamhub.cli.tls import LOOK_EACH_S
from support.certificates import make_certificate
from support.district import copy_of, running_service, wait_until
from support.patience import PATIENCE_S


def serial_at(place: tuple[str, int]) -> int:
    shown = ssl.get_server_certificate(place, timeout=30)
    return x509.load_pem_x509_certificate(shown.encode()).serial_number


@pytest.mark.usefixtures("farm")
def test_page_and_api_by_https_and_a_new_pair_in_between(template: Path, tmp_path: Path) -> None:
    certificate, key = tmp_path / "hub.crt", tmp_path / "hub.key"
    make_certificate().write(certificate, key)
    environment = {
        "STREAMHUB_HTTP__TLS_CERTIFICATE": str(certificate),
        "STREAMHUB_HTTP__TLS_KEY": str(key),
        "STREAMHUB_RTSP__TLS_LISTEN": "127.0.0.1:0",
    }
    with running_service(copy_of(template, tmp_path / "data"), environment) as service:
        with httpx.Client(base_url=service.url, verify=service.trust, timeout=PATIENCE_S) as client:
            page = client.get("/")
            assert page.status_code == 200
            assert page.headers["strict-transport-security"].startswith("max-age=")
            signed_in = client.post(
                "/api/v1/sign-in",
                json={"username": "yongshun", "password": demo_password("yongshun")},
                headers={"origin": service.url},
            )
            assert signed_in.is_success, signed_in.text
            assert "Secure" in signed_in.headers["set-cookie"]
            channel = client.get("/api/v1/channels", params={"limit": 1}).json()["items"][0]
            ticket = client.post(
                f"/api/v1/channels/{channel['id']}/rtsp-tickets",
                json={"profiles": ["sub"]},
                headers={"origin": service.url},
            )
            [stream] = ticket.json()["streams"]
            rtsps = urlsplit(stream["address"])
            assert (rtsps.scheme, stream["encrypted"]) == ("rtsps", True)
        command = ["ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", stream["url"]]
        command += ["-frames:v", "20", "-f", "null", "-"]
        played = subprocess.run(command, capture_output=True, timeout=60, check=False)
        assert played.returncode == 0, played.stderr.decode()
        doctor = service.cli("doctor", check=False).stdout
        assert "the certificate is good for 89 days" in " ".join(doctor.split())

        with pytest.raises(httpx.TransportError):  # plain HTTP is not answered
            httpx.get(service.url.replace("https", "http"))

        renewed = make_certificate()
        renewed.write(certificate, key)

        def shown() -> bool:
            try:
                return httpx.get(f"{service.url}/healthz", verify=service.trust).is_success
            except httpx.TransportError:  # the former one, trusted no more; or it was late
                return False

        wait_until("the new certificate is shown", shown, LOOK_EACH_S + PATIENCE_S)
        at_the_door = (str(rtsps.hostname), rtsps.port or 0)
        wait_until("by RTSP too", lambda: serial_at(at_the_door) == renewed.serial, 30)
