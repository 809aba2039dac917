"""Signing in by the provider, from leaving for it to coming back.

What a browser must bring back (state, nonce, PKCE's verifier) lies sealed in a cookie of its own
for ten minutes: nothing is kept here that a flood of beginnings could push out.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from camera_registry.credentials import Identity, SignInMethod
from camera_registry.domain import AuditEntry, Subject
from camera_registry.drafts import SubjectDraft
from camera_registry.errors import Conflict, SealBroken, ValidationFailed
from camera_registry.identity_cases import Identities
from camera_registry.store.contract import Store
from camera_registry.vault import Vault
from streamhub.access.rate_limit import OF_ADDRESS, SignInLimiter
from streamhub.access.sign_in import OpenedSignIn, SignIns

from .claims import named, values_of, wanted
from .errors import OidcRefused, bad_answer
from .id_token import verified
from .provider import Provider, with_query
from .settings import OidcSettings

FLOW_S = 600
RANDOM_BYTES = 32
SEALED_AS = "oidc flow"

_log = structlog.get_logger("streamhub.oidc")


@dataclass(frozen=True, slots=True)
class Departure:
    """Where the browser goes, and what it must bring back."""

    url: str
    cookie: str


class OidcSignIn:
    """The use cases; `settings.issuer` is set."""

    def __init__(
        self,
        settings: OidcSettings,
        provider: Provider,
        *,
        sign_ins: SignIns,
        identities: Identities,
        store: Store,
        vault: Vault,
        limiter: SignInLimiter,
        now: Callable[[], datetime],
    ) -> None:
        self.settings = settings
        self.provider = provider
        self._sign_ins = sign_ins
        self._identities = identities
        self._store = store
        self._vault = vault
        self._limiter = limiter
        self._now = now

    async def begin(self) -> Departure:
        """Raises OidcRefused when the provider does not answer."""
        description = await self.provider.description()
        state, nonce, verifier = (secrets.token_urlsafe(RANDOM_BYTES) for _ in range(3))
        challenge = hashlib.sha256(verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self.settings.redirect_uri,
            "scope": " ".join(self.settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        until = self._now().timestamp() + FLOW_S
        flow = {"state": state, "nonce": nonce, "verifier": verifier, "until": until}
        sealed = self._vault.seal_bytes(SEALED_AS, json.dumps(flow).encode())
        cookie = base64.urlsafe_b64encode(sealed).decode()
        return Departure(with_query(description.authorization_endpoint, query), cookie)

    async def finish(
        self, query: Mapping[str, str], cookie: str | None, remote: str, agent: str | None
    ) -> OpenedSignIn:
        """The browser is back. Raises OidcRefused, which is written down, or TooManyAttempts."""
        # Each may cost a request to the provider.
        self._limiter.buckets.attempt((OF_ADDRESS, remote))
        try:
            opened = await self._finish(query, cookie, remote, agent)
        except OidcRefused as refused:
            _log.warning("oidc_refused", code=refused.code, why=refused.why)
            entry = AuditEntry(
                act="sign_in",
                outcome="refused",
                remote=remote,
                detail={"method": "oidc", "reason": refused.code, "why": refused.why},
            )
            await self._store.append_audit(entry)
            raise
        self._limiter.buckets.give_back((OF_ADDRESS, remote))
        return opened

    async def _finish(
        self, query: Mapping[str, str], cookie: str | None, remote: str, agent: str | None
    ) -> OpenedSignIn:
        flow = self._flow(cookie)
        state = query.get("state", "")
        if flow is None or not hmac.compare_digest(state.encode(), flow["state"].encode()):
            raise OidcRefused(
                "oidc_state", "This sign-in was not begun here, or too long ago; begin again."
            )
        await self._check_issuer(query.get("iss"))
        if "code" not in query:
            raise OidcRefused(
                "oidc_denied",
                "The sign-in service did not let you in.",
                why=query.get("error", "no_code")[:64],
            )
        tokens = await self.provider.exchange(query["code"], flow["verifier"])
        claims = await verified(self.provider, self.settings, tokens.id_token, nonce=flow["nonce"])
        if named(self.settings) - claims.keys():
            more = await self.provider.userinfo(tokens.access_token)
            # Core 1.0 section 5.3.2: else it may be somebody else's.
            if more and more.get("sub") != claims["sub"]:
                raise bad_answer("userinfo_of_another")
            claims = {**more, **claims}
        subject = await self._subject(claims, remote)
        return await self._sign_ins.open_for(subject, remote, agent=agent, method=SignInMethod.OIDC)

    async def _check_issuer(self, given: str | None) -> None:
        """RFC 9207: an answer of another provider is not sent to this one."""
        description = await self.provider.description()
        needed = description.authorization_response_iss_parameter_supported
        if given != self.settings.issuer and (needed or given is not None):
            raise bad_answer("answer_of_another_issuer")

    async def _subject(self, claims: Mapping[str, Any], remote: str) -> Subject:
        identity = Identity(str(self.settings.issuer), claims["sub"])
        try:
            subject = await self._identities.arrive(
                identity,
                wanted(self.settings, claims),
                draft=self._draft(claims),
                remote=remote,
            )
        except Conflict:
            raise OidcRefused(
                "oidc_username_taken",
                "There is another account of your name here; ask an administrator to link it.",
            ) from None
        except ValidationFailed as error:
            raise OidcRefused(
                "oidc_bad_claims",
                "The sign-in service gave no usable name for you; tell the administrator.",
                why=error.code,
            ) from None
        if subject is None:
            raise OidcRefused(
                "oidc_unknown", "You are not known here; ask an administrator to add you."
            )
        if not subject.enabled:
            raise OidcRefused("oidc_disabled", "Your account is disabled; ask an administrator.")
        return subject

    def _draft(self, claims: Mapping[str, Any]) -> SubjectDraft | None:
        if not self.settings.create_subjects:
            return None
        [username, *_] = values_of(claims, self.settings.username_claim) or [""]
        [name, *_] = values_of(claims, self.settings.name_claim) or [username]
        return SubjectDraft(username, name[:80])

    def _flow(self, cookie: str | None) -> dict[str, str] | None:
        try:
            sealed = base64.urlsafe_b64decode((cookie or "").encode())
            flow: dict[str, Any] = json.loads(self._vault.open_bytes(SEALED_AS, sealed))
        except (ValueError, SealBroken):
            return None
        return flow if flow["until"] > self._now().timestamp() else None
