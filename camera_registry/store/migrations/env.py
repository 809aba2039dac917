"""Alembic's entry: takes the connection that `store.migrate` put into the configuration."""

from alembic import context

from camera_registry.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    transaction_per_migration=False,
    render_as_batch=True,  # SQLite alters a table by making it anew
)
context.run_migrations()
