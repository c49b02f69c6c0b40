"""Yahoo Finance through ``yfinance``: daily bars for the screen, and prices for the paper broker.

Yahoo answers late, wrongly, with refusals or not at all, and yfinance hides most of it (measured with yfinance 1.7). Here
each call runs on a thread that nobody waits for beyond a deadline, each symbol's outcome is kept, and what is missing is
said instead of guessed.
"""

from oms.gateways.yahoo.history import YahooHistory
from oms.gateways.yahoo.market import YahooMarket

__all__ = ["YahooHistory", "YahooMarket"]
