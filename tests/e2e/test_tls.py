"""The service on a certificate of its own: the page by https, and a new pair without a restart."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from streamhub.cli.demo import demo_password
from streamhub.cli.tls import LOOK_EACH_S
from support.certificates import make_certificate
from support.district import copy_of, running_service, wait_until


@pytest.mark.usefixtures("farm")
def test_page_and_api_by_https_and_a_new_pair_in_between(template: Path, tmp_path: Path) -> None:
    certificate, key = tmp_path / "hub.crt", tmp_path / "hub.key"
    make_certificate().write(certificate, key)
    environment = {
        "STREAMHUB_HTTP__TLS_CERTIFICATE": str(certificate),
        "STREAMHUB_HTTP__TLS_KEY": str(key),
    }
    with running_service(copy_of(template, tmp_path / "data"), environment) as service:
        with httpx.Client(base_url=service.url, verify=service.trust) as client:
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
        doctor = service.cli("doctor", check=False).stdout
        assert "the certificate is good for 89 days" in " ".join(doctor.split())

        with pytest.raises(httpx.TransportError):  # plain HTTP is not answered
            httpx.get(service.url.replace("https", "http"))

        make_certificate().write(certificate, key)

        def shown() -> bool:
            try:
                return httpx.get(f"{service.url}/healthz", verify=service.trust).is_success
            except httpx.ConnectError:  # the former one, which is trusted no more
                return False

        wait_until("the new certificate is shown", shown, LOOK_EACH_S + 30)
