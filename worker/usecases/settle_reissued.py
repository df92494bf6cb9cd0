"""What a credit note leaves behind that a person's answer asked for; what becomes of an answer that came to nothing."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.canon.records import CreditNote, Kind
from worker.engine.plan import Change
from worker.engine.reissue import ANSWERS, is_answer
from worker.store import billing, conflicts, dirty_set, plans
from worker.store.billing import DocumentRow
from worker.store.database import Unit
from worker.store.dirty_set import Listener, Parked
from worker.usecases.office import Desk


async def settle_reissued(tx: Unit, desk: Desk, done: Sequence[Change], actor: str) -> None:
    """The old document is credited. The position stands for what was issued in its place, or is settled without one;
    the answer is carried out."""
    notes = {_corrected(c): c for c in done if c.kind is Kind.CREDIT_NOTE and is_answer(c)}
    if not notes:
        return
    documents = await billing.documents_by_ref(tx, desk.pair.id, [(Kind.INVOICE, ref) for ref in notes])
    positions = await billing.position_by_id(tx, [d.position_id for d in documents.values()])
    needed = await plans.read_some(tx, [need for note in notes.values() for need in note.needs])
    for (_, ref), document in documents.items():
        new = next((needed[n].change for n in notes[ref].needs if needed[n].change.kind is Kind.INVOICE), None)
        await _replace(tx, document, new, actor)
        await _lift(tx, desk, positions[document.position_id])


def _corrected(note: Change) -> str:
    record = note.record
    return record.corrects[0] if isinstance(record, CreditNote) and isinstance(record.corrects, tuple) else ""


async def _replace(tx: Unit, document: DocumentRow, new: Change | None, actor: str) -> None:
    if new is None or new.net is None:
        await billing.end_document(tx, document, "credited", f"credited by {actor}")
        await billing.set_position(tx, document.position_id, "settled", f"credited by {actor}")
    else:
        await billing.reissue(tx, document, new.generation or 0, new.net.amount, new.net.currency)


async def _lift(tx: Unit, desk: Desk, position: billing.PositionRow) -> None:
    for rule in (f"document:{position.seq}", "reversed"):
        for verdict in ANSWERS:
            await conflicts.lift(tx, desk.pair.id, ("crm", Kind.DEAL, position.deal), rule, verdict)


async def ask_again(tx: Unit, desk: Desk, plan_id: str) -> None:
    """A plan is over: answers of which something was refused, or of which nobody knows what became, are void, and a
    person is asked again. What only moved meanwhile is planned again as it was answered."""
    ended = await plans.read_changes(tx, plan_id, ["rejected", "held"], flow="invoices")
    failed = [s for s in ended if is_answer(s.change) and (s.state == "rejected" or s.attempt > 0)]
    for deal, stored in {s.change.source_ref: s for s in failed}.items():
        if await conflicts.lift_verdicts(tx, desk.pair.id, ("crm", Kind.DEAL, deal), ANSWERS):
            await dirty_set.mark(tx, [Listener(desk.pair.id, "crm")], [(Kind.DEAL, deal)])
        elif stored.state == "held":  # a rule said so, and would say it again
            waits = Parked(side="crm", kind=Kind.DEAL, ref=deal, reason=stored.reason, refused=True)
            await dirty_set.park(tx, desk.pair.id, [waits], desk.settings)
