"""The promises, each checked from outside: on what the two systems hold, what was shown, what was typed, and what is
on record. Each check gives the reason why a promise broke, or None. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from bot.demo.hands import Edit, Won
from bot.demo.snapshots import ADDRESS, Deed, Snapshot, deeds, made_as
from worker.api.views import ChainView, ChangeView

Broken = str | None


class Guarded(msgspec.Struct, frozen=True, kw_only=True):
    """What became of something terrible: what the preview said of it, and how the other side looked."""

    held: int
    refused: str | None
    changes: int
    before: Snapshot
    after: Snapshot


# --------------------------------------------------------------------------- 1 to 9


def no_duplicate(before: Snapshot, won: Sequence[Won], crm: Snapshot, books: Snapshot) -> Broken:
    """A billing position has one document, a customer one counterpart: no marker stands twice, no customer has more
    invoices of a net than won deals of that amount, no name stands twice on a side."""
    ours = [i for i in books.of("invoice").values() if i["marker"] is not None]
    marks = _twice(i["marker"] for i in ours)
    if marks:
        return f"{len(marks)} markers stand in more than one invoice"
    names = {ref: str(record["legal_name"]).casefold() for ref, record in books.of("customer").items()}
    made = Counter((names[i["customer"]], i["net"]) for i in ours)
    stood = Counter((names[i["customer"]], i["net"]) for i in before.of("invoice").values() if not i["void"])
    deals = Counter((w.customer.casefold(), w.amount) for w in won)
    twice = [each for each in made if made[each] + stood[each] > deals[each]]
    if twice:
        return f"billed more often than sold: {_some(twice)}"
    for seen in (crm, books):
        found = _twice(made_as("customer", record).casefold() for record in seen.of("customer").values())
        if found:
            return f"customers stand twice in the {seen.side}: {_some(found)}"
    return None


def no_lost_edit(edits: Sequence[Edit], crm: Snapshot, books: Snapshot, on_record: Iterable[str]) -> Broken:
    """What a person typed still stands where it was typed; what had to give way is on record."""
    recorded = "\n".join(on_record)
    for edit in edits:
        seen = crm if edit.side == "crm" else books
        stands = seen.records.get((edit.kind, edit.ref), {}).get(edit.path)
        kept = edit.gives_way and _mentions(recorded, edit.value)
        if not _same(stands, edit.value) and not kept:
            return f"{edit.said}: {edit.value!r} is not there{' nor on record' if edit.gives_way else ''}"
    return None


def what_you_saw(planned: Sequence[ChangeView], happened: Counter[Deed], crm: Snapshot, books: Snapshot) -> Broken:
    """The changes that the plan showed were made, and no others."""
    shown = Counter(_as_deed(change) for change in planned)
    if shown != happened:
        missing, extra = shown - happened, happened - shown
        return f"shown and not done: {_some(missing)}; done and not shown: {_some(extra)}"
    for change in planned:
        seen = crm if change.side == "crm" else books
        held = seen.records.get((change.kind, change.ref or ""), {})
        for field in change.fields if change.operation == "update" else ():
            if field.path in held and field.path != ADDRESS and not _same(held[field.path], field.after):
                return f"{change.title}, {field.path}: {field.after!r} was shown, {held[field.path]!r} is there"
    return None


def settles(changes: int, writes: int, conflicts: int) -> Broken:
    """With nothing new and nothing open, a run plans nothing and writes nothing."""
    if changes or writes or conflicts:
        return f"the last run planned {changes} changes, made {writes} writes and had {conflicts} open questions"
    return None


def no_echo(came_back: int, changes: int, conflicts: int) -> Broken:
    """Our own writes come back with the next read and cause nothing."""
    if not came_back:
        return "none of our own writes came back, so nothing was shown"
    if changes or conflicts:
        return f"{came_back} of our writes came back and caused {changes} changes and {conflicts} questions"
    return None


def money_exact(planned: Sequence[ChangeView], won: Sequence[Won], books: Snapshot) -> Broken:
    """An invoice's net is its deal's, its total what was forecast, and the sums agree, to the cent."""
    names = {ref: str(record["legal_name"]) for ref, record in books.of("customer").items()}
    ours = [i for i in books.of("invoice").values() if i["marker"] is not None]
    nets = Counter((names[i["customer"]].casefold(), i["net"]) for i in ours)
    deals = Counter((w.customer.casefold(), w.amount) for w in won)
    if nets - deals:
        return f"no won deal has the net of: {_some(nets - deals)}"
    forecast = [c.total for c in planned if c.kind == "invoice" and c.operation == "create" and c.total is not None]
    if Counter(i["total"] for i in ours) != Counter(forecast):
        return "the totals in the books are not those that were forecast"
    return None


def guarded(case: Guarded) -> Broken:
    """What changes an unusual share, or leaves a side nearly empty, is not written."""
    if case.refused is None and not case.held:
        return f"a plan of {case.changes} changes was neither refused nor held"
    written = deeds(case.before, case.after)
    return f"it was written all the same: {_some(written)}" if written else None


def nothing_before(cut_over: date, books: Snapshot) -> Broken:
    """Nothing won before the cut-over is billed."""
    early = [i for i in books.of("invoice").values() if i["marker"] is not None and i["date"] < cut_over]
    return f"{len(early)} invoices are dated before the cut-over of {cut_over}" if early else None


def on_record(chains: Sequence[ChainView], done: int, recorded: int) -> Broken:
    """Every write stands in the trail, and the chain of hashes holds. `recorded`: changes that the trail names."""
    for chain in chains:
        if chain.broken_at is not None:
            return f"the trail of {chain.pair} is broken at {chain.broken_at}: {chain.reason}"
    return f"{done} changes were made, {recorded} are on record" if recorded < done else None


def secrets_stay_in(secrets: Sequence[str], places: Mapping[str, str | bytes]) -> Broken:
    """No token stands in a message, a log, the database or the figures."""
    for name, text in places.items():
        data = text.encode() if isinstance(text, str) else text
        found = [secret for secret in secrets if secret.encode() in data]
        if found:
            return f"{len(found)} secrets stand in {name}"
    return None


# --------------------------------------------------------------------------- inside


def _as_deed(change: ChangeView) -> Deed:
    if change.operation == "create":
        name = f"{change.total:.2f}" if change.kind == "invoice" and change.total is not None else change.title
        return change.side, change.kind, "create", name
    return change.side, change.kind, change.operation, change.ref or ""


def _twice(values: Iterable[Any]) -> list[Any]:
    return [value for value, number in Counter(values).items() if number > 1]


def _some(found: Iterable[Any]) -> str:
    listed = [str(each) for each in found]
    return (", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")) or "none"


_PHONE = re.compile(r"[+()\d\s-]{10,}")


def _plain(value: Any) -> str:
    """A value without what a vendor may write otherwise: case and spaces; of a phone only its last ten digits, which
    are the whole number in the made-up company's country."""
    text = " ".join(str(value).casefold().split())
    return re.sub(r"\D", "", text)[-10:] if _PHONE.fullmatch(text) else text


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is None and other is None
    if isinstance(one, Decimal) or isinstance(other, Decimal):
        return Decimal(str(one)) == Decimal(str(other))
    return _plain(one) == _plain(other)


def _mentions(recorded: str, value: Any) -> bool:
    parts = value if isinstance(value, tuple) else (value,)
    return all(str(part) in recorded or _plain(part) in recorded for part in parts)
