"""Does a pair's audit trail hold, by itself and by what was said of it elsewhere?"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from worker.store import audit, reports
from worker.store.audit import Break, Posted
from worker.store.database import Unit

REPORT_MADE = "report.made"
REPORT_ERASED = "report.erased"  # a person's values were taken out of it: what it is from then on


def digest_of(body: str) -> str:
    """What the trail keeps of a stored report."""
    return hashlib.sha256(body.encode()).hexdigest()


async def verify_trail(tx: Unit, pair_id: str, posted: Sequence[Posted] = ()) -> Break | None:
    """Walk the chain; compare it with the heads that stored reports know and with those in `posted`, and the stored
    reports with what the chain knows of them."""
    broken = await audit.verify(tx, pair_id, [*await reports.heads(tx, pair_id), *posted])
    return broken if broken is not None else await _reports(tx, pair_id)


async def _reports(tx: Unit, pair_id: str) -> Break | None:
    stored = await reports.bodies(tx, pair_id)
    erased = {
        told.entry.subject: told.entry.detail.get("body") for told in await audit.of_action(tx, pair_id, REPORT_ERASED)
    }
    for told in await audit.of_action(tx, pair_id, REPORT_MADE):
        body = stored.pop(told.entry.subject, None)
        digest = erased.get(told.entry.subject, told.entry.detail.get("body"))
        what = f"the report of {told.entry.detail.get('period')}, version {told.entry.detail.get('version')}"
        if body is None:
            return Break(told.seq, f"{what}, is gone")
        if digest is not None and digest != digest_of(body):
            return Break(told.seq, f"{what}, was changed after it was made")
    if stored:
        return Break(0, f"a report ({min(stored)}) is not on record")
    return None
