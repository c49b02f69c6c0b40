"""oms: a durable order manager for unattended equity trading."""

__version__ = "0.1.0"
