"""Structured logs: JSON for machines or a console for people; secrets are struck out.

One info line per lifecycle transition. Loggers of libraries go through the same processors.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from camera_registry.secret import MASK

from .settings import LogSettings

_SECRET_KEY = re.compile(
    r"pass(word|wd|phrase)?$|secret|token$|cookie|authorization|ice_pwd|api_key", re.IGNORECASE
)
# Userinfo in a URL, API keys, tickets for the RTSP door (also behind an escaped `=`), and what
# follows Bearer or Basic: they turn up in other people's messages.
_SECRET_TEXT = re.compile(
    r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^/\s@]+@"
    r"|(?P<key>\bshk_)[A-Za-z0-9_-]{8,}"
    r"|(?P<ticket>rt1\.live\.)[A-Za-z0-9._-]{8,}"
    r"|(?P<auth>\b(?:Bearer|Basic|Digest)\s+)[A-Za-z0-9._~+/=-]{8,}[^\r\n]*",
    re.IGNORECASE,
)
MAX_DEPTH = 4


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The processor: masks by key and inside text."""
    return {key: _clean(key, value, 0) for key, value in event.items()}


def redact_text(text: str) -> str:
    """Strikes out credentials inside a text."""
    return _SECRET_TEXT.sub(_struck, text)


def configure(settings: LogSettings) -> None:
    """Set up logging for this process; logs go to stderr."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor]
    if settings.format == "json":
        last = [
            # Without the locals: they hold passwords and offers.
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            redact,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    else:
        last = [
            structlog.processors.format_exc_info,
            redact,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level.upper())
    # Our own access log has route templates; theirs has whole addresses.
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)
    # It tells the extensions of itself that it loads, at a first start.
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _clean(key: str, value: Any, depth: int) -> Any:
    if _SECRET_KEY.search(key) and value is not None:
        return MASK
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping) and depth < MAX_DEPTH:
        return {str(k): _clean(str(k), v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple) and depth < MAX_DEPTH:
        return [_clean("", each, depth + 1) for each in value]
    return value


def _struck(match: re.Match[str]) -> str:
    if match["scheme"]:
        return f"{match['scheme']}{MASK}@"
    return f"{match['auth'] or match['key'] or match['ticket']}{MASK}"
