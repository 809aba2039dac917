"""What an allow rests on, as audit rows keep it: ids, since names change and grants are revoked.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from camera_registry.domain import Grant

# A camera is granted to somebody once or twice; rows stay short where it is many times.
MAX_GRANTS: Final = 4


def grounds_of(grants: Iterable[Grant]) -> dict[str, Any]:
    """`grant_ids` of those that allow, at most MAX_GRANTS; `grants_more`, how many besides;
    `role_ids` of the roles they came by and `loan_ids` of the loans they are. No key is empty:
    nothing at all for the local operator, whom no grant allows."""
    by_id = {each.id: each for each in grants}  # a key's areas cut one grant into several
    told = list(by_id.values())[:MAX_GRANTS]
    roles = dict.fromkeys(each.role_id for each in told if each.role_id is not None)
    loans = dict.fromkeys(each.loan_id for each in told if each.loan_id is not None)
    found: dict[str, Any] = {
        "grant_ids": [each.id for each in told],
        "grants_more": len(by_id) - len(told),
        "role_ids": list(roles),
        "loan_ids": list(loans),
    }
    return {key: value for key, value in found.items() if value}
