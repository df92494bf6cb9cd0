"""After an update at a vendor without an optimistic lock: look into its history for an edit that came between our read
and our write, and ask about it. The look is before the outcome is recorded: who dies between the two finds the change
in doubt, and the probe of doubts looks as well."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.canon.fields import Value, read
from connectors.canon.values import ABSENT
from connectors.kit.contract import KindFacts
from connectors.kit.errors import NotAllowed, Refused, Unsupported
from worker.engine.lost_edit import LostEdit, Passed, lost_edits, lost_question
from worker.engine.mapping import FieldRule
from worker.engine.plan import Change
from worker.engine.questions import Question
from worker.store import conflicts, mirror
from worker.store.database import Unit
from worker.usecases.office import OTHER, Desk


async def look_back(desk: Desk, passed: Sequence[Passed]) -> dict[str, tuple[LostEdit, ...]]:
    """Change id -> the edits that it passed over, of updates of one side and kind. One read of the fields that were
    written, where the vendor keeps their history. Raises ConnectorError if it could not be asked now; what it never
    tells (it has no history for us) is not found."""
    looked = [each for each in passed if _rules(desk, each.change)]
    if not looked or not _tells(desk.facts(looked[0].change.side, looked[0].change.kind)):
        return {}
    first = looked[0].change
    refs = [each.change.ref for each in looked if each.change.ref is not None]
    paths = sorted({field.path for each in looked for field in each.change.fields})
    try:
        told = await desk.connector(first.side).history(first.kind, refs, paths)
    except (NotAllowed, Refused, Unsupported):
        return {}
    region = desk.mapping.region
    found = {each.change.id: lost_edits(each, told.get(each.change.ref or "", {}), region) for each in looked}
    return {id_: edits for id_, edits in found.items() if edits}


def _tells(facts: KindFacts) -> bool:
    return facts.history > 0 and not facts.optimistic_lock


def _rules(desk: Desk, change: Change) -> dict[str, FieldRule]:
    """The mapping's rules of the fields that an update of a linked record wrote. What is worked out from the books
    belongs to no link: typing over it is nobody's edit."""
    if change.operation != "update" or change.link_id is None:
        return {}
    written = {field.rule for field in change.fields}
    return {rule.key: rule for rule in desk.mapping.rules(change.kind) if rule.key in written}


async def ask_about_lost(tx: Unit, desk: Desk, found: Sequence[tuple[Change, Sequence[LostEdit]]]) -> None:
    """One question for each edit that was lost."""
    asked: list[Question] = []
    for change, edits in found:
        rules = _rules(desk, change)
        for edit in edits:
            rule = rules.get(edit.field.rule)
            if rule is not None:
                other = await _other(tx, desk, change, rule, edit)
                asked.append(lost_question(change, rule, edit, other, desk.title(change.side)))
    await conflicts.ask(tx, desk.pair.id, asked)


async def _other(tx: Unit, desk: Desk, change: Change, rule: FieldRule, edit: LostEdit) -> Value:
    """What the other side holds: what our write was made from, or what is there where it stands for itself."""
    if edit.field.seen is not ABSENT:
        return edit.field.seen
    side = OTHER[change.side]
    records = await mirror.load(tx, desk.pair.connection(side), change.source_kind, [change.source_ref])
    record = records.get(change.source_ref)
    return read(record, rule.path(side)) if record is not None else None
