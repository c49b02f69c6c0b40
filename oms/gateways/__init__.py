"""The outside world: one module for each system that is spoken to."""
