"""What an ID token must say (OpenID Connect Core 1.0 section 3.1.3.7). The signature, the times,
the issuer and the audience are PyJWT's to check."""

from __future__ import annotations

import hmac
from typing import Any, Final

import jwt

from .errors import bad_answer
from .provider import Provider
from .settings import OidcSettings

# By the provider's public keys alone: never `none`, never a secret that both know.
ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)


async def verified(
    provider: Provider, settings: OidcSettings, token: str, *, nonce: str
) -> dict[str, Any]:
    """Its claims. Raises OidcRefused."""
    try:
        head = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        raise bad_answer("id_token_malformed") from None
    algorithm, key_id = head.get("alg"), head.get("kid")
    if algorithm not in ALGORITHMS:
        raise bad_answer("algorithm_refused")
    key = _key(await provider.keys(key_id), key_id, str(algorithm))
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[str(algorithm)],
            audience=settings.client_id,
            issuer=settings.issuer,
            leeway=settings.clock_skew_s,
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )
    except jwt.InvalidTokenError as error:
        raise bad_answer(_why(error)) from None
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    party = claims.get("azp")
    if (len(audiences) > 1 and party is None) or party not in (None, settings.client_id):
        raise bad_answer("issued_to_another")
    given = claims.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
        raise bad_answer("nonce")
    if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
        raise bad_answer("sub_malformed")
    return claims


def _key(keys: list[dict[str, Any]], key_id: object, algorithm: str) -> jwt.PyJWK:
    fitting = [
        key
        for key in keys
        if key.get("use", "sig") == "sig"
        and key.get("kty") != "oct"
        and (key_id is None or key.get("kid") == key_id)
    ]
    for key in fitting:
        try:
            return jwt.PyJWK(key, algorithm=algorithm)
        except jwt.PyJWTError:  # of another kind than the algorithm
            continue
    raise bad_answer("unknown_key")


_WHY: Final = (
    (jwt.ExpiredSignatureError, "expired"),
    (jwt.ImmatureSignatureError, "not_yet_valid"),
    (jwt.InvalidAudienceError, "audience"),
    (jwt.InvalidIssuerError, "issuer"),
    (jwt.InvalidSignatureError, "signature"),
    (jwt.MissingRequiredClaimError, "claim_missing"),
)


def _why(error: jwt.InvalidTokenError) -> str:
    return next((why for kind, why in _WHY if isinstance(error, kind)), "id_token_malformed")
