"""Signing in by an OpenID provider (OpenID Connect Core 1.0, authorisation code with PKCE).

Belongs here: what is asked of the provider, what its answers must say, what its claims stand for.
Not here: routes (`api/oidc.py`), sign-ins and their cookies (`access`), what is stored
(`camera_registry`). Signatures are PyJWT's and cryptography's. Only `api` and `app` call this.
"""
