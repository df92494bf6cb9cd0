"""Three-way merge of one field on a base per side, and of a record's fields. Pure.

A side changed a field if its value's canonical key differs from that of *its own* base. So a vendor's trimming is
no edit, and our own writes coming back differ from nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

import msgspec

from connectors.canon.fields import GROUPS, FieldType, Value, key, read
from connectors.canon.records import AnyRecord, Kind, kind_of
from connectors.canon.values import ABSENT, TaxIdentity
from connectors.kit.contract import Side
from worker.engine.check import check
from worker.engine.mapping_model import Authority, FieldRule
from worker.engine.own_value import may_prefer
from worker.engine.transform import Unconvertible, is_empty

SIDES: tuple[Side, Side] = ("crm", "books")


class Base(msgspec.Struct, frozen=True):
    """What was seen at each side when the two last agreed (or agreed to differ). No Base (None): unbased.

    `kept`: they did not agree, a person saw both values and chose this side's, which is still to be written."""

    crm: Value
    books: Value
    kept: Side | None = None


class Agree(msgspec.Struct, frozen=True, kw_only=True, tag="agree"):
    """Nothing to write. `base` is to be stored if `moved`. `differs`: the sides differ and may (a one-way rule
    whose target has the authority, or an undo); `why` then says so."""

    base: Base
    moved: bool
    differs: bool = False
    why: str = ""


class Take(msgspec.Struct, frozen=True, kw_only=True, tag="take"):
    """Write `value` to `target`. `seen` is the source's value as read (its new base, once written); `before` the
    target's. `overwrites`: the target's own edit that the authority lets go, else ABSENT. `empties`: a filled
    value is emptied, which a guard counts."""

    source: Side
    target: Side
    value: Value
    seen: Value
    before: Value
    why: str
    overwrites: Value = ABSENT
    empties: bool = False


class Fill(msgspec.Struct, frozen=True, kw_only=True, tag="fill"):
    """As Take, into an empty field that never had a base."""

    source: Side
    target: Side
    value: Value
    seen: Value
    before: Value
    why: str


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """A person decides. `about` conflict: both sides changed (or a one-way target did); unbased: they differ and
    never agreed, asked once for the field and not for each record."""

    about: Literal["conflict", "unbased"]
    reason: str
    crm: Value
    books: Value
    base: Base | None


class Hold(msgspec.Struct, frozen=True, kw_only=True, tag="hold"):
    """An edit that cannot travel until somebody mends it: `side` holds the value, `reason` in words."""

    side: Side
    reason: str
    crm: Value
    books: Value


class Suspend(msgspec.Struct, frozen=True, kw_only=True, tag="suspend"):
    """The field is not to be seen at `side` (gone, hidden, masked): nothing is concluded from it."""

    side: Side
    reason: str


Verdict: TypeAlias = Agree | Take | Fill | Ask | Hold | Suspend


_OTHER: dict[Side, Side] = {"crm": "books", "books": "crm"}
_SAID: dict[Side, str] = {"crm": "the CRM", "books": "the books"}


class _Field(msgspec.Struct, frozen=True):
    """One field at work: its rule, what each side holds, and who wins."""

    rule: FieldRule
    crm: Value
    books: Value
    authority: Authority

    def at(self, side: Side) -> Value:
        return self.crm if side == "crm" else self.books

    def empty(self, side: Side) -> bool:
        """Nothing there that the other side could hold: a tax status without a number is no tax id."""
        if is_empty(self.type(side), self.at(side)):
            return True
        conversion = self.rule.conversion
        return (conversion.to_books(self.crm) if side == "crm" else conversion.to_crm(self.books)) is None

    def type(self, side: Side) -> FieldType | None:
        return self.rule.crm_type if side == "crm" else self.rule.books_type

    def changed(self, side: Side, base: Base) -> bool:
        was = base.crm if side == "crm" else base.books
        return not self.rule.conversion.unchanged(side, self.at(side), was)

    @property
    def now(self) -> Base:
        return Base(self.crm, self.books)

    @property
    def same(self) -> bool:
        return self.rule.conversion.same(self.crm, self.books)

    def converted(self, source: Side) -> Value | Unconvertible:
        """The source's value as the other side would hold it, checked."""
        refused = self._refused(source)
        if refused is not None:
            return Unconvertible(refused)
        conversion = self.rule.conversion
        if source == "crm":
            return conversion.to_books(self.crm, self.books)
        return conversion.to_crm(self.books, self.crm)

    def _refused(self, source: Side) -> str | None:
        if self.rule.check is None:
            return None
        return check(self.rule.check, self.at(source), self.rule.conversion.region)


def merge(rule: FieldRule, crm: Value, books: Value, base: Base | None, *, posted: bool = False) -> Verdict:
    """What becomes of one field. `posted`: the customer has a posted document (it shifts some authorities). A rule
    that stays home raises ValueError: it has nothing to merge with."""
    field = _field(rule, crm, books, posted)
    unseen = _unseen(field)
    if unseen is not None:
        return unseen
    if base is None:
        return _unbased(field)
    edited: list[Side] = [side for side in SIDES if side == base.kept or field.changed(side, base)]
    if not edited:
        return Agree(base=base, moved=False, differs=not field.same)
    if field.same:
        return Agree(base=field.now, moved=True)
    return _both_edited(field, base) if len(edited) == 2 else _one_edited(field, edited[0], base)


def decide(rule: FieldRule, crm: Value, books: Value, keep: Side) -> Verdict:
    """What becomes of a field once a person said whose value stands: written to the other side where the rule
    allows it, else the two agree to differ."""
    field = _field(rule, crm, books, posted=False)
    unseen = _unseen(field)
    if unseen is not None:
        return unseen
    if field.same:
        return Agree(base=field.now, moved=True)
    return _take(field, keep, f"{_SAID[keep]} kept by a person", overwrites=True)


def _field(rule: FieldRule, crm: Value, books: Value, posted: bool) -> _Field:
    if rule.stays_home:
        raise ValueError(f"{rule.key} stays home: there is nothing to merge it with")
    return _Field(rule, crm, books, rule.authority_for(posted=posted))


def _unseen(field: _Field) -> Suspend | None:
    for side in SIDES:
        value = field.at(side)
        path = field.rule.path(side)
        if value is ABSENT:
            return Suspend(side=side, reason=f"{path} is not to be seen in {_SAID[side]}")
        if isinstance(value, TaxIdentity) and value.masked:
            return Suspend(side=side, reason=f"{path} shows only stars in {_SAID[side]}")
    return None


def _unbased(field: _Field) -> Verdict:
    """First link, new rule, changed conversion: equal -> adopt; one side empty -> fill it if the direction allows;
    then whom the mapping prefers by name; else one question for the field."""
    if field.same:
        return Agree(base=field.now, moved=True, why="equal when first compared")
    for source in SIDES:
        target = _OTHER[source]
        if field.empty(target) and not field.empty(source) and field.rule.writes(target):
            return _fill(field, source)
    if field.rule.derived:
        return _take(field, "books", "what the books say, written for the first time", overwrites=True)
    preferred = _preferred(field)
    if preferred is not None:
        why = f"never compared before; the mapping prefers {_SAID[preferred]}"
        return _take(field, preferred, why, overwrites=True)
    return Ask(
        about="unbased",
        reason="the two differ, and were never compared before",
        crm=field.crm,
        books=field.books,
        base=None,
    )


def _preferred(field: _Field) -> Side | None:
    """The side that the mapping names for this field, if that may decide before the two were ever compared: not by a
    default, not for money, tax and identity (the link itself may be wrong), and never to empty the other side."""
    authority = field.authority
    if authority == "ask" or not field.rule.said or not may_prefer(field.rule) or field.empty(authority):
        return None
    return authority


def _fill(field: _Field, source: Side) -> Fill | Hold:
    value = field.converted(source)
    if isinstance(value, Unconvertible):
        return Hold(side=source, reason=value.reason, crm=field.crm, books=field.books)
    target = _OTHER[source]
    return Fill(
        source=source,
        target=target,
        value=value,
        seen=field.at(source),
        before=field.at(target),
        why=f"empty in {_SAID[target]}",
    )


def _one_edited(field: _Field, source: Side, base: Base) -> Verdict:
    """The edit travels if the rule lets it. An edit on the receiving side of a one-way rule does not: it is taken
    back where the sending side has the authority, stays where its own side has, and is asked about otherwise."""
    target = _OTHER[source]
    if source == base.kept:
        return _take(field, source, f"{_SAID[source]} kept by a person", overwrites=True)
    if field.rule.writes(target):
        return _take(field, source, f"changed in {_SAID[source]}")
    if field.authority == source:
        return _differ(field, f"changed in {_SAID[source]}, which decides; it does not travel to {_SAID[target]}")
    if field.authority == target:
        return _take(field, target, f"changed in {_SAID[source]}, but {_SAID[target]} decides", overwrites=True)
    return _ask(field, base, f"changed in {_SAID[source]}, from where this field does not travel")


def _both_edited(field: _Field, base: Base) -> Verdict:
    if field.authority == "ask":
        return _ask(field, base, "both sides changed since they agreed")
    return _take(field, field.authority, f"both sides changed, {_SAID[field.authority]} decides", overwrites=True)


def _ask(field: _Field, base: Base, reason: str) -> Ask:
    if base.kept is not None:
        reason, agreed = f"changed after {_SAID[base.kept]} had been kept by a person", None
    else:
        agreed = base
    return Ask(about="conflict", reason=reason, crm=field.crm, books=field.books, base=agreed)


def _differ(field: _Field, why: str) -> Agree:
    return Agree(base=field.now, moved=True, differs=True, why=why)


def _take(field: _Field, source: Side, why: str, *, overwrites: bool = False) -> Verdict:
    target = _OTHER[source]
    if not field.rule.writes(target):
        return _differ(field, f"{why}; it does not travel to {_SAID[target]}")
    value = field.converted(source)
    if isinstance(value, Unconvertible):
        return Hold(side=source, reason=value.reason, crm=field.crm, books=field.books)
    return Take(
        source=source,
        target=target,
        value=value,
        seen=field.at(source),
        before=field.at(target),
        why=why,
        overwrites=field.at(target) if overwrites else ABSENT,
        empties=field.empty(source) and not field.empty(target),
    )


# --------------------------------------------------------------------------- a record

Decided: TypeAlias = list[tuple[FieldRule, Verdict]]


def merge_values(
    kind: Kind,
    rules: Sequence[FieldRule],
    crm: Mapping[str, Value],
    books: Mapping[str, Value],
    bases: Mapping[str, Base],
    *,
    posted: bool = False,
) -> Decided:
    """`merge_record` for values by path: what a settlement brings to a deal is no record. A path that is missing
    is ABSENT. `kind` says which paths form groups."""

    def one(rule: FieldRule) -> Verdict:
        here, there = crm.get(rule.path("crm"), ABSENT), books.get(rule.path("books"), ABSENT)
        return merge(rule, here, there, bases.get(rule.key), posted=posted)

    decided: Decided = [(rule, one(rule)) for rule in rules if not rule.stays_home]
    for members in GROUPS.get(kind, {}).values():
        decided = _together(members, decided, posted)
    return decided


def merge_record(
    rules: Sequence[FieldRule],
    crm: AnyRecord,
    books: AnyRecord,
    bases: Mapping[str, Base],
    *,
    posted: bool = False,
) -> Decided:
    """`merge` for each rule that travels, in order; `bases` by rule key. Fields of one group go together."""
    travelling = [rule for rule in rules if not rule.stays_home]
    here = {rule.path("crm"): read(crm, rule.path("crm")) for rule in travelling}
    there = {rule.path("books"): read(books, rule.path("books")) for rule in travelling}
    return merge_values(kind_of(books), travelling, here, there, bases, posted=posted)


def _together(members: tuple[str, ...], decided: Decided, posted: bool) -> Decided:
    """Verdicts of one group brought into line: edits from both sides are a conflict of the whole group."""
    group = {rule.key for rule, _ in decided if rule.books in members}
    verdicts = [verdict for rule, verdict in decided if rule.key in group]
    if len(group) < 2 or not _torn(verdicts):
        return decided
    authorities = {rule.authority_for(posted=posted) for rule, _ in decided if rule.key in group}
    winner = authorities.pop() if len(authorities) == 1 else "ask"
    return [(rule, _aligned(rule, verdict, winner) if rule.key in group else verdict) for rule, verdict in decided]


def _torn(verdicts: Sequence[Verdict]) -> bool:
    moving = [verdict for verdict in verdicts if isinstance(verdict, Take | Fill)]
    waiting = any(isinstance(verdict, Ask | Hold | Suspend) for verdict in verdicts)
    return len({verdict.source for verdict in moving}) > 1 or (waiting and len(moving) > 0)


def _aligned(rule: FieldRule, verdict: Verdict, winner: Authority) -> Verdict:
    if not isinstance(verdict, Take | Fill):
        return verdict
    crm, books = (verdict.seen, verdict.before) if verdict.source == "crm" else (verdict.before, verdict.seen)
    if winner != "ask":
        return decide(rule, crm, books, winner)
    reason = "fields that belong together changed on both sides, or part of them waits"
    return Ask(about="conflict", reason=reason, crm=crm, books=books, base=None)


# --------------------------------------------------------------------------- after a write


def late_rewrite(
    kind: FieldType,
    written: Value,
    seen: Value,
    *,
    written_at: datetime,
    seen_at: datetime,
    settles_s: float,
    region: str | None = None,
) -> bool:
    """Whether `seen` is the vendor settling what we wrote, not a person's edit: within `settles_s` of the write
    and, by canonical key, what we had written. Then the base moves and nothing is written."""
    settled_by = written_at + timedelta(seconds=settles_s)
    return written_at <= seen_at <= settled_by and key(kind, written, region) == key(kind, seen, region)


def flapping(written_at: Sequence[datetime], now: datetime, *, limit: int = 3) -> bool:
    """Whether more than `limit` of our writes to one (ref, field) fell into the last hour: it is held then."""
    return sum(now - timedelta(hours=1) < at <= now for at in written_at) > limit
