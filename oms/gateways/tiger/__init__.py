"""Tiger Brokers on their own SDK: US stocks, limit and market orders of the day."""

from oms.gateways.tiger.binding import binding
from oms.gateways.tiger.broker import TigerBroker
from oms.gateways.tiger.client import TigerClient
from oms.gateways.tiger.endpoint import Endpoint, endpoint_of
from oms.gateways.tiger.market import TigerMarket
from oms.gateways.tiger.probing import Finding, Probe, Proof
from oms.gateways.tiger.properties import AccountKind, Credentials, agree, fingerprint, read_credentials
from oms.gateways.tiger.push import PushState, TigerPush
from oms.gateways.tiger.quoting import Quoting
from oms.gateways.tiger.sdk import adapter

__all__ = [
    "AccountKind",
    "Credentials",
    "Endpoint",
    "Finding",
    "Probe",
    "Proof",
    "PushState",
    "Quoting",
    "TigerBroker",
    "TigerClient",
    "TigerMarket",
    "TigerPush",
    "adapter",
    "agree",
    "binding",
    "endpoint_of",
    "fingerprint",
    "read_credentials",
]
