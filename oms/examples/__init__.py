"""Strategies to begin from: each is one plain function that ``selection.strategy`` can name."""
