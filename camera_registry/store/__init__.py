"""The store: the only importer of SQLAlchemy and Alembic.

Belongs here: tables, migrations, SQL, the unit of work, the audit chain, the changes rows.
Does not belong here: validation, rights, sentences for people.
Who may call: `camera_registry` itself and, by the `contract`, `streamhub.access`; `open_store`
is called by the composition root and the CLI alone, `postgres.examine` by its doctor.
"""

from .contract import ChannelQuery, ReadTx, Store, WriteTx
from .contract_audit import AuditQuery
from .sql_store import SqlStore, open_store

__all__ = [
    "AuditQuery",
    "ChannelQuery",
    "ReadTx",
    "SqlStore",
    "Store",
    "WriteTx",
    "open_store",
]
