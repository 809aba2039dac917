"""What a sweep is told to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final

from camera_registry.errors import ValidationFailed
from gateways.onvif import CredentialSet, SweepInvalid, SweepPlan

USUAL_PORTS: Final = (80, 8000, 2020, 8899)
MAX_NETWORKS: Final = 64
# Each device is let try three at most (`gateways.onvif.credentials`); more are for other devices.
MAX_CREDENTIAL_SETS: Final = 16


@dataclass(frozen=True, slots=True)
class SweepOrder:
    """`networks`: CIDRs. `interfaces`: our IPv4 addresses to probe from by multicast.
    `try_again`: passwords that devices refused before this sweep do not count."""

    networks: tuple[str, ...]
    ports: tuple[int, ...] = USUAL_PORTS
    interfaces: tuple[str, ...] = ()
    try_again: bool = False

    def check(self, credentials: Sequence[CredentialSet]) -> None:
        """Raises ValidationFailed."""
        if not self.networks and not self.interfaces:
            raise ValidationFailed(
                "networks",
                "nothing_to_sweep",
                "Name a network like 10.1.2.0/24, or an interface to probe from.",
            )
        if len(self.networks) > MAX_NETWORKS or len(self.interfaces) > MAX_NETWORKS:
            raise ValidationFailed(
                "networks", "too_many", f"Name at most {MAX_NETWORKS} networks and interfaces."
            )
        if len(credentials) > MAX_CREDENTIAL_SETS:
            raise ValidationFailed(
                "credentials", "too_many", f"Give at most {MAX_CREDENTIAL_SETS} user names."
            )
        names = [each.name for each in credentials]
        if len(set(names)) < len(names):
            raise ValidationFailed(
                "credentials", "name_twice", "Two of the user names are called the same."
            )
        for interface in self.interfaces:
            try:
                IPv4Address(interface)
            except ValueError:
                raise ValidationFailed(
                    "interfaces", "not_an_address", "Name an interface by its IPv4 address."
                ) from None
        self.plan()

    def plan(self) -> SweepPlan | None:
        """None when only interfaces are probed. Raises ValidationFailed."""
        if not self.networks:
            return None
        try:
            return SweepPlan(self.networks, self.ports)
        except SweepInvalid as error:
            raise ValidationFailed("networks", error.code, str(error)) from None

    def as_json(self) -> dict[str, Any]:
        return {
            "networks": list(self.networks),
            "ports": list(self.ports),
            "interfaces": list(self.interfaces),
            "try_again": self.try_again,
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> SweepOrder:
        networks, ports, interfaces = data["networks"], data["ports"], data["interfaces"]
        try_again = data.get("try_again", False)  # those of earlier versions had none
        return cls(tuple(networks), tuple(ports), tuple(interfaces), try_again)
