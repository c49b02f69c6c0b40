"""What a person asks of the memory afterwards: why, what was true then, and is it still whole."""
