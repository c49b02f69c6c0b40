"""The journal of many accounts.

Made from the tables of the release itself, which is right for as long as no release has shipped it: from then on what it
makes is frozen here, and every change is a migration of its own.
"""

import sqlalchemy as sa
from alembic import op

from oms.journal.postgres.ddl import statements

revision = "p0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    with connection.connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        for statement in statements(cursor.fetchone()[0]):
            cursor.execute(statement)  # as it is: a percent sign in it stands for itself
    connection.execute(sa.text("INSERT INTO meta (name, value) VALUES ('readable_by', 'p0001')"))
