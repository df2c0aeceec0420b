"""What Alembic runs: the migrations of one history on the connection that it is given."""

from __future__ import annotations

from alembic import context

from registry.models import Base

config = context.config
connection = config.attributes["connection"]
history = config.attributes["history"]

context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    # Bako's own migration table is called `migrations`; ours must never meet it.
    version_table=f"balance_cache_{history}_version",
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
connection.commit()
