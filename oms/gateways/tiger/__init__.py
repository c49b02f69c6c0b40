"""Tiger Brokers on their own SDK: US stocks, limit and market orders of the day."""

from oms.gateways.tiger.broker import TigerBroker
from oms.gateways.tiger.client import TigerClient
from oms.gateways.tiger.properties import AccountKind, Credentials, agree, read_credentials

__all__ = ["AccountKind", "Credentials", "TigerBroker", "TigerClient", "agree", "read_credentials"]
