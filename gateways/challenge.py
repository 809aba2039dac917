"""Challenges and their answers, as RTSP and HTTP share them: RFC 7616, RFC 2617."""

from __future__ import annotations

import hashlib
import re
import secrets
from base64 import b64encode

_CHALLENGE_FIELD = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^,\s]*))')


def best_challenge(values: list[str]) -> dict[str, str] | None:
    """The strongest challenge that we can answer: digest SHA-256, digest MD5, basic."""
    ranked: list[tuple[int, dict[str, str]]] = []
    for value in values:
        scheme, _, rest = value.partition(" ")
        fields = {
            name.lower(): quoted or bare for name, quoted, bare in _CHALLENGE_FIELD.findall(rest)
        }
        fields["scheme"] = scheme.lower()
        algorithm = fields.get("algorithm", "MD5").upper()
        if fields["scheme"] == "digest" and algorithm in ("MD5", "SHA-256"):
            ranked.append((2 if algorithm == "SHA-256" else 1, fields))
        elif fields["scheme"] == "basic":
            ranked.append((0, fields))
    return max(ranked, key=lambda pair: pair[0])[1] if ranked else None


def authorization(
    challenge: dict[str, str],
    method: str,
    uri: str,
    username: str,
    password: str,
    nonce_uses: int = 1,
) -> str:
    """The value of `Authorization` for a challenge (RFC 7616 section 3.4, RFC 2617 3.2.2)."""
    if challenge["scheme"] == "basic":
        return "Basic " + b64encode(f"{username}:{password}".encode()).decode()
    sha256 = challenge.get("algorithm", "MD5").upper() == "SHA-256"

    def digest(*parts: str) -> str:
        data = ":".join(parts).encode()
        # MD5 is what cameras ask for; it protects nothing here but the dialogue itself.
        return (
            hashlib.sha256(data) if sha256 else hashlib.md5(data, usedforsecurity=False)
        ).hexdigest()

    realm, nonce = challenge.get("realm", ""), challenge.get("nonce", "")
    ha1, ha2 = digest(username, realm, password), digest(method, uri)
    fields = {"username": username, "realm": realm, "nonce": nonce, "uri": uri}
    extra = ""
    if "auth" in [q.strip() for q in challenge.get("qop", "").split(",")]:
        count, cnonce = f"{nonce_uses:08x}", secrets.token_hex(8)
        fields["response"] = digest(ha1, nonce, count, cnonce, "auth", ha2)
        extra = f', qop=auth, nc={count}, cnonce="{cnonce}"'
    else:
        fields["response"] = digest(ha1, nonce, ha2)
    if "opaque" in challenge:
        fields["opaque"] = challenge["opaque"]
    if "algorithm" in challenge:
        extra += f", algorithm={challenge['algorithm']}"
    return "Digest " + ", ".join(f'{k}="{v}"' for k, v in fields.items()) + extra
