"""The laws of the house, judged over a journal and the log of its paper broker."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from oms.errors import UsageError

if TYPE_CHECKING:
    from oms.config import LoadedConfig


def judged(loaded: LoadedConfig, *, dry_run: bool) -> dict[str, Any]:
    """How many laws there are, and a sentence for each place where one does not hold.

    Everything is read into memory: about 2 kB a fact.

    Raises:
        UsageError: the broker keeps no log that this program can read.
    """
    from sqlalchemy import select

    from oms.app import rules_of
    from oms.config import config_from_canonical
    from oms.gateways.paper.log import read_log
    from oms.journal import tables
    from oms.journal.loading import STORED, recorded
    from oms.journal.reader import open_reader
    from oms.places import places
    from oms.sim.evidence import Evidence, fold
    from oms.sim.laws import LAWS, check

    if loaded.config.broker.kind != "paper":
        raise UsageError("--laws needs the broker's own log, which only the paper broker keeps")
    where = places(loaded, dry_run=dry_run)
    with closing(open_reader(where.journal_url)) as reader, reader.asking("reading every fact") as connection:
        events, configs, cycles = tables.events, tables.configs, tables.cycles
        mine = select(*STORED).where(events.c.account == reader.account).order_by(events.c.seq)
        facts = [recorded(row) for row in connection.execute(mine)]
        used = select(cycles.c.config_hash).where(cycles.c.account == reader.account)
        under = select(configs.c.config_hash, configs.c.canonical).where(configs.c.config_hash.in_(used))
        kept = connection.execute(under).all()
        rules = {name: rules_of(config_from_canonical(text)) for name, text in kept}
        account = reader.account
    log = read_log(where.paper)
    evidence = Evidence(
        log=log, facts=facts, state=fold(facts, account), rules=rules_of(loaded.config), rules_by_config=rules
    )
    return {"laws": len(LAWS), "broken_laws": [str(violation) for violation in check(evidence)]}
