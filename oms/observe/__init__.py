"""Followers of the journal: what people are told, and what machines count."""
