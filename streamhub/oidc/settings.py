"""`[oidc]`: which provider, as whom, and what its claims stand for."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, model_validator

from camera_registry.errors import ValidationFailed
from camera_registry.secret import Secret
from camera_registry.validation import actions as check_actions
from camera_registry.validation import short_name


def _secret(value: object) -> Secret | None:
    if value is None or isinstance(value, Secret):
        return value
    if isinstance(value, str) and value:
        return Secret(value)
    raise ValueError("give it as text, or client_secret_file")


def _actions(value: list[str]) -> list[str]:
    try:
        return sorted(check_actions(value))
    except ValidationFailed as error:
        raise ValueError(error.sentence) from None


def _role(value: str) -> str:
    try:
        return short_name("role", "A role's name", value)  # ids are like that, too
    except ValidationFailed as error:
        raise ValueError(error.sentence) from None


class ClaimRole(BaseModel):
    """Who has `claim` with `value` is in the role `role`: its name or its id.

    Always a role that is written here: the provider says who is in it, not which there are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    claim: str
    value: str
    role: Annotated[str, AfterValidator(_role)]


class ClaimGrant(BaseModel):
    """Who has `claim` (with `value`) is granted `actions` on the area with the code `area`.

    Without `value`: whatever the claim has. Without `area`: the claim's values are area codes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    claim: str
    value: str | None = None
    actions: Annotated[list[str], AfterValidator(_actions)]
    area: str | None = None


class OidcSettings(BaseModel):
    """Off without an issuer."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    issuer: str | None = None
    label: str = "OpenID"
    client_id: str = ""
    client_secret: Annotated[Secret | None, PlainValidator(_secret)] = None
    client_secret_file: Path | None = None
    # Where browsers reach this service: the provider sends them back there.
    public_url: str = ""
    scopes: list[str] = ["openid", "profile"]
    username_claim: str = "preferred_username"
    name_claim: str = "name"
    # Who is not known here is made a subject; else an administrator links them first.
    create_subjects: bool = False
    # Without any of either, grants and roles are given here, by hand.
    grants: list[ClaimGrant] = []
    roles: list[ClaimRole] = []
    # Signing out here asks the provider to sign out, too.
    sign_out_at_provider: bool = True
    # By how much the provider's clock may differ.
    clock_skew_s: int = Field(default=60, ge=0, le=600)

    @model_validator(mode="after")
    def _whole(self) -> OidcSettings:
        if self.issuer is None:
            return self
        for name in ("issuer", "public_url"):
            if not _is_safe(getattr(self, name)):
                raise ValueError(f"{name} must be an https:// address (http:// on loopback only)")
        if not self.client_id:
            raise ValueError("client_id is missing")
        if "openid" not in self.scopes:
            raise ValueError("scopes must have openid")
        return self

    @property
    def redirect_uri(self) -> str:
        return f"{self.public_url.rstrip('/')}/api/v1/oidc/callback"

    @property
    def signed_out_uri(self) -> str:
        return f"{self.public_url.rstrip('/')}/"

    def read_secret(self) -> Secret | None:
        """Raises OSError."""
        if self.client_secret_file is not None:
            return Secret(self.client_secret_file.read_text().strip())
        return self.client_secret


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    if parts.scheme != "http" or parts.hostname is None:
        return False
    try:
        return ip_address(parts.hostname).is_loopback
    except ValueError:
        return parts.hostname == "localhost"
