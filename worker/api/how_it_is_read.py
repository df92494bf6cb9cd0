"""What somebody should know about how a pair's two sides are read: webhooks that do not come, changes that no feed
announced."""

from __future__ import annotations

from connectors.kit.contract import Side
from worker.store import runs, webhooks
from worker.store.connections import Pair
from worker.store.database import Unit
from worker.usecases.office import SIDES
from worker.usecases.reverify import TOLD_FOR, VERIFY, findings


async def how_it_is_read(tx: Unit, pair: Pair, titles: dict[Side, str]) -> list[str]:
    """Sentences; none while everything is as it should be."""
    said = []
    for side in SIDES:
        known = await webhooks.subscription(tx, pair.connection(side))
        if known is not None and known.state == "unhealthy":
            said.append(
                f"{titles[side]}'s webhooks do not come: {known.unannounced} reads found changes that none announced. "
                "Changes are still found, later; check the address and the secret in its settings."
            )
    last = await runs.last_done(tx, pair.id, VERIFY, await tx.now() - TOLD_FOR)
    if last is not None:
        said += [f"{finding}." for finding in findings(last.result, titles)]
    return said
