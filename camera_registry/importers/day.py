"""The cameras' own day: an installation date is not in the future there."""

from datetime import timedelta, timezone

SHANGHAI = timezone(timedelta(hours=8))
