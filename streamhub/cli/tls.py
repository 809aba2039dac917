"""TLS of the web API: certificate and key from files, taken anew when the files change.

Belongs here: contexts and when they are replaced. Who listens is `serve`'s business.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509

from streamhub.settings import HttpSettings

LOOK_EACH_S: Final = 10.0
# Tools that renew certificates do so a month ahead: later than this somebody has to look.
EXPIRES_SOON_DAYS: Final = 14

_log = structlog.get_logger("streamhub.tls")


class TlsFilesUnusable(Exception):
    """Certificate or key can't be used; the message says which, and what to do."""


def context_of(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's context, TLS 1.2 or newer. Raises `TlsFilesUnusable`."""
    for path in (certificate, key):
        try:
            path.open("rb").close()
        except OSError as error:
            raise TlsFilesUnusable(
                f"{path} can't be read ({error.strerror}); correct http.tls_certificate and "
                "http.tls_key, or let the service's user read the file"
            ) from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Without a password of its own OpenSSL would ask the terminal for one.
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:  # of TLS, or a file is gone again
        raise TlsFilesUnusable(
            f"{certificate} and {key} are no certificate with its key ({_why(error)}); both are "
            "PEM, the certificate with its chain in one file, the key without a passphrase"
        ) from None
    return context


def _no_password() -> str:
    raise ValueError("the key has a passphrase")


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else str(error)


def expires_at(certificate: Path) -> datetime:
    """When the first certificate of the file ends. Raises OSError, ValueError."""
    return x509.load_pem_x509_certificates(certificate.read_bytes())[0].not_valid_after_utc


class ReloadingTls:
    """The context to listen with: each handshake gets the newest one that the files gave."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises `TlsFilesUnusable`."""
        self._files = (certificate, key)
        self._seen = self._look()
        self._warned_of: datetime | None = None
        self.context = self._newest = context_of(certificate, key)
        self.context.sni_callback = self._hand_over
        self._followers: list[Callable[[bytes, bytes], None]] = []

    @classmethod
    def of(cls, http: HttpSettings) -> ReloadingTls | None:
        """None without TLS. Raises `TlsFilesUnusable`."""
        if http.tls_certificate is None or http.tls_key is None:
            return None
        return cls(http.tls_certificate, http.tls_key)

    def _hand_over(self, handshake: ssl.SSLObject, _name: str | None, _: ssl.SSLContext) -> None:
        # A live context is never loaded into: half of a pair would fail every handshake.
        handshake.context = self._newest

    def _look(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_mark(path) for path in self._files)

    def take_changes(self) -> bool:
        """Whether the files had changed and are in use now. A pair that does not fit (one file is
        written before the other) is said once and looked at again when it changes."""
        seen = self._look()
        if seen == self._seen:
            return False
        self._seen = seen
        certificate, key = self._files
        try:
            self._newest = context_of(certificate, key)
        except TlsFilesUnusable as error:
            _log.error("tls_files_refused", reason=str(error), next="the former stay in use")
            return False
        _log.info("tls_files_taken", certificate=str(certificate))
        return True

    def on_change(self, follower: Callable[[bytes, bytes], None]) -> None:
        """Who else listens with them: told on the loop, with certificate and key (PEM)."""
        self._followers.append(follower)

    async def follow(self) -> None:
        """Look at the files from time to time, until cancelled. The service goes on whatever a look
        finds: with the former ones."""
        while True:
            try:
                pair = await asyncio.to_thread(self._look_again)
                if pair is not None:
                    for tell in self._followers:
                        tell(*pair)
            except Exception:
                _log.exception("tls_files_not_looked_at", next="the former stay in use")
            await asyncio.sleep(LOOK_EACH_S)

    def _look_again(self) -> tuple[bytes, bytes] | None:
        """The pair, if it is new."""
        taken = self.take_changes()
        self._warn_of_end()
        certificate, key = self._files
        try:
            return (certificate.read_bytes(), key.read_bytes()) if taken else None
        except OSError as error:  # replaced again in this moment: that is seen at the next look
            _log.warning("tls_files_gone", reason=str(error))
            return None

    def _warn_of_end(self) -> None:
        try:
            ends = expires_at(self._files[0])
        except (OSError, ValueError):
            return
        days = (ends - datetime.now(UTC)).days
        if days < EXPIRES_SOON_DAYS and ends != self._warned_of:
            self._warned_of = ends
            _log.warning("tls_certificate_expires", days=days, at=ends.isoformat())


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
