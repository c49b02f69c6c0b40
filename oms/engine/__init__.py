"""Deeds: what one trading cycle does, from the choice of symbols to the last fill."""
