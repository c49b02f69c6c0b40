"""The shapes of the answers, for the API's own description; the answers themselves are made by ``oms.questions``."""
