"""The journal on PostgreSQL: many accounts in one database, each with its own chain, lease and mailbox."""
