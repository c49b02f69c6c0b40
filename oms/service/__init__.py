"""The engine as a service of the operating system: what starts it, watches it, and must not start it again."""
