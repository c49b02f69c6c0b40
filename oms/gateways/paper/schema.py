"""The tables of the paper broker's book; money and shares are micro-units, times are microseconds since 1970."""

from __future__ import annotations

VERSION = 2
"""Kept in ``PRAGMA user_version``; 0 is a file that holds no book yet."""

TABLES = """
CREATE TABLE account (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    cash  INTEGER NOT NULL,             -- sale proceeds included from the moment of the fill
    day   TEXT,                         -- trading day the book was last advanced to, ISO 8601
    currency TEXT NOT NULL DEFAULT 'USD' -- in which it trades: of cash, prices and fees
);

CREATE TABLE balances (                 -- money in other currencies, which pays for nothing here
    currency TEXT PRIMARY KEY,
    cash     INTEGER NOT NULL
);

CREATE TABLE numbers (                  -- order numbers handed out; an order uses its number up
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    reserved_at INTEGER NOT NULL
);

CREATE TABLE positions (
    symbol   TEXT PRIMARY KEY,
    qty      INTEGER NOT NULL,          -- never 0: a closed position has no row
    avg_cost INTEGER                    -- NULL until a quote is seen: the opening positions' cost is nobody's memory
);

CREATE TABLE orders (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    order_no    TEXT UNIQUE,            -- the promise that a repeated number is refused; NULL for other programs' orders
    user_mark   TEXT,
    symbol      TEXT NOT NULL,
    side        TEXT NOT NULL CHECK (side IN ('BUY', 'SELL')),
    ord_type    TEXT NOT NULL CHECK (ord_type IN ('LIMIT', 'MARKET')),
    order_qty   INTEGER NOT NULL CHECK (order_qty > 0),
    price       INTEGER CHECK ((price IS NULL) = (ord_type = 'MARKET')),
    cap         INTEGER CHECK (cap IS NOT NULL OR side = 'SELL'),  -- a buy locks cash for, and trades up to, this price
    day         TEXT NOT NULL,          -- trading day it is good for
    made_at     INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('NEW', 'FILLED', 'CANCELED', 'EXPIRED')),
    cum_qty     INTEGER NOT NULL DEFAULT 0 CHECK (cum_qty BETWEEN 0 AND order_qty),
    notional    INTEGER NOT NULL DEFAULT 0,
    fees        INTEGER NOT NULL DEFAULT 0,
    rest_due_at INTEGER                 -- after a first part: when the rest may trade
);
CREATE INDEX orders_made ON orders (made_at);
CREATE INDEX orders_open ON orders (seq) WHERE state = 'NEW';

CREATE TABLE order_states (             -- what reads may show of an order, and from when on
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    order_seq INTEGER NOT NULL REFERENCES orders,
    at        INTEGER NOT NULL,
    state     TEXT NOT NULL,
    cum_qty   INTEGER NOT NULL,
    notional  INTEGER NOT NULL,
    fees      INTEGER NOT NULL,
    text      TEXT NOT NULL
);
CREATE INDEX order_states_of ON order_states (order_seq, id);

CREATE TABLE executions (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    order_seq INTEGER NOT NULL REFERENCES orders,
    state_id  INTEGER NOT NULL REFERENCES order_states,   -- the state it led to: both become visible together
    at        INTEGER NOT NULL,
    qty       INTEGER NOT NULL CHECK (qty > 0),
    price     INTEGER NOT NULL,
    fee       INTEGER NOT NULL
);
CREATE INDEX executions_of ON executions (order_seq);

CREATE TABLE proceeds (                 -- of sales, less their fees
    seq          INTEGER PRIMARY KEY REFERENCES executions,
    amount       INTEGER NOT NULL,
    available_at INTEGER NOT NULL,      -- from then on it may pay for a buy
    shown_at     INTEGER NOT NULL,      -- from then on buying power shows it
    settles      TEXT                   -- day on which it counts as settled; NULL: as soon as it is available
);
CREATE INDEX proceeds_available ON proceeds (available_at);
CREATE INDEX proceeds_shown ON proceeds (shown_at);
CREATE INDEX proceeds_settles ON proceeds (settles) WHERE settles IS NOT NULL;

CREATE TABLE log (                      -- the judge: what this broker received and did, in order
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    at        INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    order_no  TEXT,
    order_id  TEXT,
    exec_id   TEXT,
    user_mark TEXT,
    symbol    TEXT,
    side      TEXT,
    ord_type  TEXT,
    qty       INTEGER,
    price     INTEGER,
    fee       INTEGER,
    text      TEXT NOT NULL,
    day       TEXT,
    cash      INTEGER NOT NULL,         -- this and the next two: before the deed
    available INTEGER NOT NULL,
    locked    INTEGER NOT NULL
);
CREATE TRIGGER log_keeps_rows BEFORE DELETE ON log
BEGIN SELECT RAISE(ABORT, 'the broker''s log is append-only'); END;
CREATE TRIGGER log_keeps_words BEFORE UPDATE ON log
BEGIN SELECT RAISE(ABORT, 'the broker''s log is append-only'); END;
CREATE TRIGGER log_keeps_places BEFORE INSERT ON log WHEN NEW.id IN (SELECT id FROM log)
BEGIN SELECT RAISE(ABORT, 'the broker''s log is append-only'); END;
"""

FROM_1 = """
ALTER TABLE account ADD COLUMN currency TEXT NOT NULL DEFAULT 'USD';
CREATE TABLE balances (currency TEXT PRIMARY KEY, cash INTEGER NOT NULL);
ALTER TABLE proceeds ADD COLUMN settles TEXT;
CREATE INDEX proceeds_settles ON proceeds (settles) WHERE settles IS NOT NULL;
"""
"""What a book of version 1 lacks."""
