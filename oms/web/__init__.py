"""The HTTP API and the dashboard: reads the journal without writing, and leaves operators' commands in the mailbox."""
