"""Figures of speed: the production engine and journal beside a world that costs nothing."""
