"""The API below ``/api``: the terminal's read commands as JSON, the stream of facts, and the few commands of operators."""
