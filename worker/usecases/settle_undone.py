"""What a done undo leaves behind, so that the next plan does not do again what was taken back."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.canon.records import CreditNote, Kind
from worker.engine.plan import Change
from worker.store import billing, conflicts, links
from worker.store.billing import DocumentRow, DocumentStateWord
from worker.store.conflicts import TAKEN_BACK, Decision
from worker.store.database import Unit
from worker.usecases.office import OTHER, Desk

_ENDED: dict[str, DocumentStateWord] = {"void": "void", "delete": "deleted"}


async def settle_undone(tx: Unit, desk: Desk, done: Sequence[tuple[Change, str]], actor: str) -> None:
    """Changes that took something back, with the ref that they are about. An ended document settles its position; an
    unlinked record and its source are not made or matched again. Only a person lifts either. A field that was put back
    needs nothing more: its base says that the two agree to differ."""
    for change, ref in done:
        if change.operation in ("archive", "unlink"):
            await _part(tx, desk, change, ref, actor)
    await _end_documents(tx, desk, [change for change, _ in done if change.is_money], actor)


async def _part(tx: Unit, desk: Desk, change: Change, ref: str, actor: str) -> None:
    """The two are no counterparts any more, and neither is made or matched again by itself."""
    member = (change.side, change.kind, ref)
    link = (await links.find_links(tx, desk.pair.id, [member])).get(member)
    if link is not None:
        await links.unlink(tx, [link.id])
    there, here = (change.side, ref), (OTHER[change.side], change.source_ref)
    said = [
        Decision(side=s, kind=change.kind, ref=own, verdict="not_needed", rule=TAKEN_BACK, detail=other)
        for (s, own), (_, other) in ((there, here), (here, there))
    ]
    await conflicts.decide_all(tx, desk.pair.id, said, actor)


async def _end_documents(tx: Unit, desk: Desk, done: Sequence[Change], actor: str) -> None:
    """The position is settled, unless the document was a part of something that failed: then it is as it was."""
    closes: set[str] = set()
    fates: dict[str, tuple[DocumentStateWord, str]] = {}
    for change in done:
        if change.kind is Kind.INVOICE and change.ref is not None:
            ref, fates[change.ref] = change.ref, (_ENDED[change.operation], f"taken back by {actor}")
        elif isinstance(change.record, CreditNote) and isinstance(change.record.corrects, tuple):
            ref = change.record.corrects[0]
            fates[ref] = ("credited", f"taken back by {actor} with a credit note")
        else:
            continue
        if change.compensation is not None:
            closes.add(ref)
    known = await billing.documents_by_ref(tx, desk.pair.id, [(Kind.INVOICE, ref) for ref in fates])
    for (_, ref), document in known.items():
        if ref in closes:
            await billing.take_back(tx, document, fates[ref][0])
        else:
            await _settle(tx, document, *fates[ref])


async def _settle(tx: Unit, document: DocumentRow, state: DocumentStateWord, reason: str) -> None:
    await billing.end_document(tx, document, state, reason)
    await billing.set_position(tx, document.position_id, "settled", reason)
