"""Many accounts on PostgreSQL, traded by any number of workers on a task queue in the same database."""
