"""Backup and restore of the engine's configuration: one plain archive with a checked manifest, and all or nothing back."""
