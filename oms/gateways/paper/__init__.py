"""A paper broker with a book of its own, in its own file, that knows nothing of the journal."""

from oms.gateways.paper.broker import PaperBroker

__all__ = ["PaperBroker"]
