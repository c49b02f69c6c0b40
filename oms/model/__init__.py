"""Nouns and rules of the trade: no input, no output, no clock, no SQL."""
