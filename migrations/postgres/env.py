"""How Alembic reaches a journal on PostgreSQL: over the connection that the program hands in, a transaction a migration."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=None,
    transactional_ddl=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
