"""Alembic's entry point: runs the migrations inside the transaction that the store gives."""

from __future__ import annotations

from alembic import context

from lastwords.store.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
