"""What planning comes to, gathered while it decides: changes to write, questions to ask, what agrees and what
waits. Pure; the use case stores it in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from connectors.canon.fields import FieldType, assemble, read, to_json
from connectors.canon.records import AnyRecord, Customer, Deal, Item, Kind, kind_of
from connectors.canon.values import ABSENT
from connectors.kit.contract import Side
from worker.engine.check import check
from worker.engine.field_names import field_name
from worker.engine.mapping import FieldRule
from worker.engine.merge import Agree, Ask, Base, Fill, Hold, Suspend, Take, Verdict
from worker.engine.own_value import Put, may_prefer
from worker.engine.plan import Change, FieldChange, Flow, Relied, relied_digest
from worker.engine.questions import Question
from worker.engine.transform import Unconvertible, is_empty

OTHER: dict[Side, Side] = {"crm": "books", "books": "crm"}


class Subject(msgspec.Struct, frozen=True):
    """A dirty record: which row of the dirty set a decision is about."""

    side: Side
    kind: Kind
    ref: str


class Waiting(msgspec.Struct, frozen=True):
    """A subject for which nothing can be done now, and why (see `Drawing.wait`)."""

    subject: Subject
    reason: str | None
    waits_for: str | None
    again: bool


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """For the audit trail: a link that was made by matching, a document found for a deal, or a link that went on
    with the survivor of a merge. `records` are the two, and `why` in words."""

    how: Literal["link.matched", "document.matched", "link.moved"]
    records: tuple[Subject, Subject]
    why: str


class Drawing:
    """The parts of a plan while it is drawn."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.asked: list[Question] = []
        self.differing: dict[tuple[Kind, str], list[Question]] = {}  # by rule: to be asked about as one
        self.fields: set[tuple[Kind, str, str]] = set()  # (kind, crm ref, rule): considered, though not as records
        self.considered: set[Subject] = set()
        self.busy: set[Subject] = set()
        self.bases: list[tuple[str, str, Base, str]] = []
        self.settled: list[Subject] = []
        self.waiting: list[Waiting] = []
        self.notes: list[str] = []
        self.joined: list[Joined] = []
        self.lifted: list[tuple[Kind, str, str, str]] = []  # (kind, crm ref, rule, verdict): carried out, or void

    def settle(self, subjects: Iterable[Subject]) -> None:
        """They agree, or a decision stands: they leave the dirty set."""
        self.settled.extend(subjects)

    def wait(
        self, subjects: Iterable[Subject], reason: str | None, waits_for: str | None = None, *, again: bool = False
    ) -> None:
        """They wait. `waits_for`: `customer:<crm ref>` or `item`, whose change is to wake them; `again`: every plan
        looks at them, for their time may come. `reason` None: nobody needs to hear of it."""
        self.waiting.extend(Waiting(subject, reason, waits_for, again) for subject in subjects)

    def consider(self, *subjects: Subject) -> None:
        """They are looked at whole: an open question about them that is not asked again has answered itself."""
        self.considered.update(subjects)

    def keep(self, subjects: Iterable[Subject]) -> None:
        """A planned change is theirs: they stay to be planned, for it may come to nothing."""
        self.busy.update(subjects)


def title_of(record: AnyRecord) -> str:
    """What people call a record."""
    match record:
        case Customer():
            names: tuple[Any, ...] = (record.legal_name, record.display_name)
        case Deal() | Item():
            names = (record.name,)
        case _:
            names = (getattr(record, "number", None),)
    return next((name for name in names if isinstance(name, str) and name), record.ref)


def field_change(rule: FieldRule, verdict: Take | Fill) -> FieldChange:
    """A merge verdict as one field of a change."""
    target = rule.path(verdict.target)
    types = {"crm": rule.crm_type or FieldType.TEXT, "books": rule.books_type or FieldType.TEXT}
    return FieldChange(
        path=target,
        rule=rule.key,
        type=types[verdict.target],
        before=verdict.before,
        after=verdict.value,
        seen=verdict.seen,
        seen_type=types[verdict.source],
        overwrites=verdict.overwrites if isinstance(verdict, Take) else ABSENT,
        empties=verdict.empties if isinstance(verdict, Take) else False,
        fills=isinstance(verdict, Fill),
    )


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """Two linked records to merge, and the rows of the dirty set that led here."""

    link_id: str
    crm: AnyRecord
    books: AnyRecord
    subjects: tuple[Subject, ...]

    def record(self, side: Side) -> AnyRecord:
        return self.crm if side == "crm" else self.books


def draw_link(
    drawing: Drawing,
    flow: Flow,
    linked: Linked,
    verdicts: Sequence[tuple[FieldRule, Verdict | Put]],
    new_id: Callable[[str], str],
    flapping: Mapping[tuple[Side, str, str], bool],
    bases: Mapping[str, Base],
) -> None:
    """Turn one link's verdicts into changes (one a side at most), questions and bases. `flapping`: fields,
    as (side, ref, rule), that were written more than three times within the hour; `bases` by rule."""
    drawn = _Drawn(flow=flow, linked=linked, kind=kind_of(linked.crm), flapping=flapping, bases=bases)
    drawing.consider(*linked.subjects)
    for rule, verdict in verdicts:
        _draw_verdict(drawing, drawn, rule, verdict)
    sides: tuple[Side, Side] = ("books", "crm")
    for side in sides:
        if drawn.fields[side]:
            drawing.changes.append(_update(drawn, side, new_id))
    if drawn.fields["crm"] or drawn.fields["books"]:
        drawing.keep(linked.subjects)
    if drawn.waits:
        drawing.wait(linked.subjects, "; ".join(drawn.waits), again=drawn.flaps)
    elif not (drawn.fields["crm"] or drawn.fields["books"]):
        drawing.settle(linked.subjects)


class _Drawn(msgspec.Struct, kw_only=True):
    """What one link's verdicts come to."""

    flow: Flow
    linked: Linked
    kind: Kind
    flapping: Mapping[tuple[Side, str, str], bool]
    bases: Mapping[str, Base]
    fields: dict[Side, list[FieldChange]] = msgspec.field(default_factory=lambda: {"crm": [], "books": []})
    why: dict[Side, list[str]] = msgspec.field(default_factory=lambda: {"crm": [], "books": []})
    waits: list[str] = []
    flaps: bool = False


def _draw_verdict(drawing: Drawing, drawn: _Drawn, rule: FieldRule, verdict: Verdict | Put) -> None:
    linked = drawn.linked
    match verdict:
        case Agree():
            if verdict.moved:
                drawing.bases.append((linked.link_id, rule.key, verdict.base, "agreed"))
        case Take() | Fill():
            _draw_take(drawn, rule, verdict)
        case Ask():
            question = field_question(linked.link_id, linked.crm, rule, verdict)
            if verdict.about == "unbased" and may_prefer(rule):
                drawing.differing.setdefault((drawn.kind, rule.key), []).append(question)
            else:
                drawing.asked.append(question)
            drawn.waits.append(f"{field_name(rule.path('books'))}: a person decides")
        case Hold():
            drawn.waits.append(f"{field_name(rule.path(verdict.side))}: {verdict.reason}")
        case Suspend():
            drawing.notes.append(f"{rule.key}: {verdict.reason}")
            if _edit_waits(drawn, rule, verdict.side):
                drawn.waits.append(f"{field_name(rule.path(OTHER[verdict.side]))}: {verdict.reason}")
        case Put():
            for side, field in verdict.changes.items():
                drawn.fields[side].append(field)
                drawn.why[side].append(f"{field.path}: a person's own value")


def _edit_waits(drawn: _Drawn, rule: FieldRule, unseen: Side) -> bool:
    """Whether the side that can be seen holds an edit for the one that cannot: it must not be forgotten."""
    side = OTHER[unseen]
    value = read(drawn.linked.record(side), rule.path(side))
    if value is ABSENT or not rule.writes(unseen):
        return False
    base = drawn.bases.get(rule.key)
    if base is None:
        return not is_empty(rule.crm_type if side == "crm" else rule.books_type, value)
    return not rule.conversion.unchanged(side, value, base.crm if side == "crm" else base.books)


def back_and_forth(path: str) -> str:
    """Why a field waits that is written, taken back and written again."""
    return f"{field_name(path)} changed back and forth more than three times this hour"


def _draw_take(drawn: _Drawn, rule: FieldRule, verdict: Take | Fill) -> None:
    target = verdict.target
    if drawn.flapping.get((target, drawn.linked.record(target).ref, rule.key), False):
        drawn.waits.append(back_and_forth(rule.path(target)))
        drawn.flaps = True
        return
    drawn.fields[target].append(field_change(rule, verdict))
    drawn.why[target].append(f"{rule.path(target)}: {verdict.why}")


def _update(drawn: _Drawn, side: Side, new_id: Callable[[str], str]) -> Change:
    linked = drawn.linked
    return Change(
        id=new_id("ch"),
        flow=drawn.flow,
        side=side,
        kind=drawn.kind,
        operation="update",
        source_kind=drawn.kind,
        source_ref=linked.record(OTHER[side]).ref,
        title=title_of(linked.record(side)),
        why="; ".join(drawn.why[side]),
        ref=linked.record(side).ref,
        link_id=linked.link_id,
        fields=tuple(drawn.fields[side]),
    )


def field_question(link_id: str, crm: AnyRecord, rule: FieldRule, verdict: Ask) -> Question:
    """One field of one link. `crm`: the CRM's record, which people know it by."""
    base = verdict.base
    return Question(
        what="field",
        kind=kind_of(crm),
        side="crm",
        ref=crm.ref,
        title=f"{title_of(crm)}, {rule.path('books')}",
        reason=verdict.reason,
        rule=rule.key,
        link_id=link_id,
        crm=to_json(verdict.crm),
        books=to_json(verdict.books),
        base={"crm": to_json(base.crm), "books": to_json(base.books)} if base is not None else None,
    )


def draw_create(
    flow: Flow,
    source: AnyRecord,
    source_side: Side,
    rules: Iterable[FieldRule],
    marker: str,
    why: str,
    new_id: Callable[[str], str],
    region: str | None = None,
) -> Change | str:
    """A change that makes `source`'s counterpart on the other side, or the reason why it cannot be made yet."""
    target = OTHER[source_side]
    kind = kind_of(source)
    fields: list[FieldChange] = []
    for rule in rules:
        found = _carried(rule, source, source_side, region)
        if isinstance(found, str):
            return found
        fields += [found] if found is not None else []
    values = {field.path: field.after for field in fields}
    name = "legal_name" if kind is Kind.CUSTOMER else "name"
    if not values.get(name):
        named = read(source, name)
        if not isinstance(named, str) or not named.strip():
            return "it has no name"
        values[name] = named
    more: dict[str, Any] = {"is_person": source.is_person} if isinstance(source, Customer) else {}
    return Change(
        id=new_id("ch"),
        flow=flow,
        side=target,
        kind=kind,
        operation="create",
        source_kind=kind,
        source_ref=source.ref,
        title=title_of(source),
        why=why,
        fields=tuple(fields),
        record=assemble(kind, values, **more),
        requires=(Relied(source_side, kind, source.ref, relied_digest(source)),),
        marker=marker,
    )


def _carried(rule: FieldRule, source: AnyRecord, source_side: Side, region: str | None) -> FieldChange | str | None:
    """A field of a record to be made, or why its value cannot travel; None: there is nothing to carry."""
    target = OTHER[source_side]
    if rule.stays_home or not rule.writes(target):
        return None
    path = rule.path(source_side)
    seen = read(source, path)
    if seen is ABSENT or seen is None:
        return None
    value = rule.conversion.to_books(seen) if target == "books" else rule.conversion.to_crm(seen)
    if isinstance(value, Unconvertible):
        return f"{field_name(path)}: {value.reason}"
    failed = check(rule.check, seen, region) if rule.check is not None else None
    if failed is not None:
        return f"{field_name(path)}: {failed}"
    types = {"crm": rule.crm_type or FieldType.TEXT, "books": rule.books_type or FieldType.TEXT}
    return FieldChange(
        path=rule.path(target),
        rule=rule.key,
        type=types[target],
        before=ABSENT,
        after=value,
        seen=seen,
        seen_type=types[source_side],
    )
