"""The memory: every fact is appended once, and every question is answered from there."""
