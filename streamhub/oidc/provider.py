"""What is asked of the provider: its description, its keys, a code's tokens, claims.

Description and keys are kept for an hour; a key that is not among them is looked for once more, so
that keys may change at any time (OpenID Connect Core 1.0 section 10.1.1).
"""

from __future__ import annotations

import json
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx
from pydantic import BaseModel, ValidationError

from .errors import OidcRefused, bad_answer, unreachable
from .settings import OidcSettings

KEPT_S = 3600.0
# Whoever makes up key ids must not make us ask each time.
KEYS_ASKED_EVERY_S = 10.0
TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 1 << 20


class Description(BaseModel):
    """OpenID Connect Discovery 1.0 section 3, as far as it is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: list[str] = ["client_secret_basic"]
    authorization_response_iss_parameter_supported: bool = False


@dataclass(frozen=True, slots=True)
class Tokens:
    id_token: str
    access_token: str


class Provider:
    """One provider. `clock` is monotonic seconds."""

    def __init__(
        self, settings: OidcSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._http = httpx.AsyncClient(
            timeout=TIMEOUT_S, follow_redirects=False, verify=ssl.create_default_context()
        )
        self._description: tuple[float, Description] | None = None
        self._keys: tuple[float, list[dict[str, Any]]] | None = None

    async def close(self) -> None:
        await self._http.aclose()

    async def description(self) -> Description:
        """Raises OidcRefused."""
        if self._description is not None and self._clock() - self._description[0] < KEPT_S:
            return self._description[1]
        issuer = str(self._settings.issuer)
        url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        answer = await self._ask("GET", url)
        try:
            found = Description.model_validate(answer)
        except ValidationError:
            raise bad_answer("description_incomplete") from None
        # Discovery 1.0 section 4.3: else another provider could speak for this one.
        if found.issuer != issuer:
            raise bad_answer("description_of_another_issuer")
        self._description = (self._clock(), found)
        return found

    async def keys(self, key_id: str | None) -> list[dict[str, Any]]:
        """Its signing keys (RFC 7517); asked for anew when none has this id. Raises OidcRefused."""
        if self._keys is not None:
            age_s, keys = self._clock() - self._keys[0], self._keys[1]
            known = key_id is None or any(key.get("kid") == key_id for key in keys)
            if age_s < (KEPT_S if known else KEYS_ASKED_EVERY_S):
                return keys
        answer = await self._ask("GET", (await self.description()).jwks_uri)
        found = answer.get("keys")
        if not isinstance(found, list) or not all(isinstance(key, dict) for key in found):
            raise bad_answer("keys_malformed")
        self._keys = (self._clock(), found)
        return found

    async def exchange(self, code: str, verifier: str) -> Tokens:
        """The code's tokens (RFC 6749 section 4.1.3, RFC 7636). Raises OidcRefused."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._settings.redirect_uri,
            "code_verifier": verifier,
        }
        description = await self.description()
        secret, auth = self._settings.read_secret(), None
        if secret is None:
            form["client_id"] = self._settings.client_id
        elif "client_secret_basic" in description.token_endpoint_auth_methods_supported:
            auth = _basic(self._settings.client_id, secret.reveal())
        else:
            form |= {"client_id": self._settings.client_id, "client_secret": secret.reveal()}
        answer = await self._ask("POST", description.token_endpoint, data=form, headers=auth)
        id_token, access_token = answer.get("id_token"), answer.get("access_token")
        if not isinstance(id_token, str) or not isinstance(access_token, str):
            raise bad_answer("no_id_token")
        return Tokens(id_token, access_token)

    async def userinfo(self, access_token: str) -> dict[str, Any]:
        """Claims that the ID token does not carry; none where the provider has no such place.
        Raises OidcRefused."""
        url = (await self.description()).userinfo_endpoint
        if url is None:
            return {}
        return await self._ask("GET", url, headers={"Authorization": f"Bearer {access_token}"})

    async def sign_out_url(self) -> str | None:
        """Where the browser signs out there, too (RP-Initiated Logout 1.0)."""
        if not self._settings.sign_out_at_provider:
            return None
        try:
            url = (await self.description()).end_session_endpoint
        except OidcRefused:
            return None
        query = {
            "client_id": self._settings.client_id,
            "post_logout_redirect_uri": self._settings.signed_out_uri,
        }
        return None if url is None else with_query(url, query)

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        # What is sent holds the secret, what comes back tokens: neither is logged or repeated.
        try:
            async with self._http.stream(method, url, data=data, headers=headers) as answer:
                body = b""
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > MAX_ANSWER_BYTES:
                        raise bad_answer("answer_too_large")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise unreachable(type(error).__name__) from None
        if answer.status_code >= 500:
            raise unreachable(f"status_{answer.status_code}")
        if not answer.is_success:
            raise bad_answer(f"status_{answer.status_code}")
        try:
            found = json.loads(body)
        except ValueError:
            raise bad_answer("not_json") from None
        if not isinstance(found, dict):
            raise bad_answer("not_an_object")
        return found


def with_query(url: str, query: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"


def _basic(client_id: str, secret: str) -> dict[str, str]:
    # RFC 6749 section 2.3.1: both are form-encoded before.
    pair = ":".join(quote_plus(text) for text in (client_id, secret))
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
