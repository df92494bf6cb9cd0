"""What planning customers and items is given: the flow's rules, and what is known before it begins."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from connectors.canon.records import Kind
from connectors.kit.contract import Side
from worker.engine.drawing import Drawing
from worker.engine.mapping import CustomersFlow, FieldRule, ItemsFlow
from worker.engine.match import OpenIntent
from worker.engine.merge import flapping
from worker.engine.plan import Flow, marker
from worker.store import conflicts, dirty_set, plans, tallies
from worker.store.conflicts import Decision, Questions
from worker.store.database import Unit
from worker.store.dirty_set import Dirt
from worker.usecases.office import Desk


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the database before a plan is drawn, read once.

    dirt       the dirty set, with the stamps that were read
    decisions  what people settled, by (side, kind, ref)
    questions  what they were asked
    intents    creates on their way: what a pull brings may be theirs
    refused    what a vendor refused under these settings, and why
    """

    dirt: Dirt
    decisions: dict[tuple[Side, Kind, str], list[Decision]]
    questions: Questions
    intents: tuple[OpenIntent, ...]
    refused: dict[tuple[Side, Kind, str], str]


async def gather(tx: Unit, desk: Desk) -> Known:
    return Known(
        dirt=Dirt(await dirty_set.read(tx, desk.pair.id, desk.settings)),
        decisions=await conflicts.decided(tx, desk.pair.id),
        questions=await conflicts.questions(tx, desk.pair.id),
        intents=tuple(await _open_intents(tx, desk)),
        refused=await dirty_set.refused(tx, desk.pair.id, desk.settings),
    )


async def flapping_fields(tx: Unit, desk: Desk, kind: Kind) -> dict[tuple[Side, str, str], bool]:
    """(side, ref, rule) -> whether that field was written more than three times within the hour."""
    now = await tx.now()
    written = await tallies.writes_to_fields(tx, desk.pair.id, now - timedelta(hours=1))
    return {(side, ref, rule): flapping(times, now) for (side, k, ref, rule), times in written.items() if k is kind}


async def _open_intents(tx: Unit, desk: Desk) -> list[OpenIntent]:
    found = []
    for stored in await plans.open_intents(tx, desk.pair.id):
        change = stored.change
        if change.operation != "create" or change.marker is None or stored.call_until is None:
            continue
        facts = desk.facts(change.side, change.kind)
        found.append(
            OpenIntent(
                kind=change.kind,
                marker=change.marker,
                carries_marker=facts.marker is not None,
                since=stored.call_until - timedelta(seconds=desk.connector(change.side).facts.call_deadline_s + 60),
            )
        )
    return found


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """One kind's flow while it is planned. `named`: the mapping has it; without it nothing is matched or made."""

    desk: Desk
    known: Known
    flow: Flow
    kind: Kind
    named: bool
    rules: tuple[FieldRule, ...]
    evidence: tuple[str, ...]
    creates: dict[Side, str]
    removed: dict[Side, str]
    intents: tuple[OpenIntent, ...]

    def marker(self, side: Side, ref: str) -> str:
        return marker(self.desk.installation, self.desk.pair.id, self.kind, f"{side}:{ref}")

    def decided(self, side: Side, ref: str, verdict: str) -> list[Decision]:
        return [d for d in self.known.decisions.get((side, self.kind, ref), []) if d.verdict == verdict]

    def is_taken_back(self, side: Side, ref: str) -> bool:
        """Whether an undo left it: it is not made or matched again until a person says so."""
        return any(decision.rule == conflicts.TAKEN_BACK for decision in self.decided(side, ref, "not_needed"))

    def is_asked(self, drawing: Drawing, side: Side, ref: str) -> bool:
        """Whether a person is being asked about a record: in this plan, or since an earlier one."""
        if any((a.side, a.kind, a.ref) == (side, self.kind, ref) for a in drawing.asked):
            return True
        return self.known.questions.about(side, self.kind, ref)

    def asked_of(self, drawing: Drawing, books_ref: str) -> str | None:
        """The CRM record about which a question names this record of the books as a candidate."""
        here = (a for a in drawing.asked if a.side == "crm" and a.kind is self.kind)
        return next((a.ref for a in here if books_ref in a.named), None) or self.known.questions.candidate_of(
            self.kind, books_ref
        )


def customers_scope(desk: Desk, known: Known) -> Scope:
    flow = desk.mapping.customers
    return _scope(desk, known, "customers", Kind.CUSTOMER, flow or CustomersFlow(), named=flow is not None)


def items_scope(desk: Desk, known: Known) -> Scope:
    flow = desk.mapping.items
    return _scope(desk, known, "items", Kind.ITEM, flow or ItemsFlow(), named=flow is not None)


def _scope(desk: Desk, known: Known, flow: Flow, kind: Kind, said: CustomersFlow | ItemsFlow, *, named: bool) -> Scope:
    return Scope(
        desk=desk,
        known=known,
        flow=flow,
        kind=kind,
        named=named,
        rules=said.travelling,
        evidence=said.match,
        creates={"books": said.create_books, "crm": said.create_crm},
        removed={"books": said.removed_books, "crm": said.removed_crm},
        intents=tuple(intent for intent in known.intents if intent.kind is kind),
    )
