"""How long an open plan would take, by what both systems allow."""

from __future__ import annotations

from datetime import timedelta

from connectors.kit.errors import ConnectorError
from worker.api import views
from worker.engine.duration import DAY_S, Allowed, takes
from worker.store import connections, plans, runs
from worker.store.connections import Pair
from worker.store.plans import PlanRow
from worker.usecases.office import SIDES, Office, is_paced


async def how_long(office: Office, pair: Pair, plan: PlanRow, titles: dict[str, str]) -> views.TakesView | None:
    """None: nothing waits to be sent, or no limit makes it wait. People apply in the realtime lane, for which nothing
    of a limit is kept back."""
    if plan.state != "open" or plan.summary.changes == 0:
        return None
    async with office.db.read() as tx:
        counts = await plans.still_to_send(tx, plan.id)
    found = takes(counts, {side: await _allowed(office, pair.connection(side)) for side in SIDES})
    limit = found.limit
    if limit is None:
        return None
    return views.TakesView(
        seconds=round(found.seconds),
        calls=found.calls,
        system=titles[limit.side],
        at_most=limit.calls,
        per_s=round(limit.per_s),
        batches=limit.batches,
        used=limit.used,
    )


async def _allowed(office: Office, connection_id: str) -> Allowed:
    """At a sandbox without limits, everything at once. Calls of the last day are counted where there is a limit of a
    day."""
    async with office.db.read() as tx:
        known = await connections.get_connection(tx, connection_id)
    facts = office.registry[known.system].facts
    kinds = facts.kinds
    try:
        connector = await office.connector(connection_id)
        facts = connector.facts
        kinds = connector.kinds_for(known.catalogue) if known.catalogue is not None else facts.kinds
    except ConnectorError:  # what applies it says so; until then what the system declares is true enough
        pass
    if not is_paced(known.settings):
        return Allowed(kinds=kinds)
    used = 0
    if any(per_s >= DAY_S for _, per_s in facts.rates):
        async with office.db.read() as tx:
            used = await runs.calls_made(tx, connection_id, await tx.now() - timedelta(days=1))
    return Allowed(kinds=kinds, rates=facts.rates, batch_rate=facts.batch_rate, used_today=used)
