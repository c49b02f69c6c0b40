"""How Alembic reaches the journal: over the connection that the program hands in, within its transaction."""

from alembic import context

from oms.journal import packed
from oms.journal.connection import writer_engine
from oms.journal.tables import PACKED, metadata


def _include(obj, name, kind, reflected, compare_to):
    del obj, reflected, compare_to
    return not (kind == "table" and (name == "alembic_version" or name in PACKED))


def run(connection) -> None:
    """Run the migrations; the caller holds the transaction and commits it."""
    context.configure(
        connection=connection,
        target_metadata=[metadata, packed.metadata],
        include_object=_include,
        compare_type=True,
        # SQLite can undo every change of a schema, so no crash can leave half of one.
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with writer_engine(context.config.get_main_option("sqlalchemy.url")).connect() as own:
        run(own)
