"""Nothing listens beyond this machine unless it is told to."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from support.district import free_port, running_service
from support.listening import Listening, listening_of

HERE, HERE6, ANYWHERE = (ip_address(each) for each in ("127.0.0.1", "::1", "0.0.0.0"))


def test_a_service_as_it_comes_listens_on_loopback_alone(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        [pid] = service.pids
        # These and no more: a door that is new is named here, or not open by itself.
        assert listening_of(pid) == {
            Listening("tcp", HERE, service.port),
            Listening("udp", HERE, service.udp_port),
            Listening("tcp", HERE, service.udp_port),
        }


def test_what_it_is_told_to_listen_on_is_seen(tmp_path: Path) -> None:
    """The other test rests on that: addresses beyond loopback, IPv6 and further doors."""
    rtsp_port = free_port()
    told = {
        "STREAMHUB_MEDIA__UDP_HOST": "0.0.0.0",
        "STREAMHUB_MEDIA__ADVERTISE": '["127.0.0.2"]',
        "STREAMHUB_RTSP__LISTEN": f"[::1]:{rtsp_port}",
    }
    with running_service(tmp_path, told) as service:
        [pid] = service.pids
        assert listening_of(pid) == {
            Listening("tcp", HERE, service.port),
            Listening("udp", ANYWHERE, service.udp_port),
            Listening("tcp", ANYWHERE, service.udp_port),
            Listening("tcp", HERE6, rtsp_port),
        }
