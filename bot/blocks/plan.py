"""A plan: the preview, its buttons, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec
from slack_sdk.models.blocks import InteractiveElement

from bot import ids
from bot.blocks.parts import (
    Json,
    Say,
    actions,
    button,
    clipped,
    context,
    money,
    people,
    person,
    plural,
    quiet,
    said,
    section,
    shown,
    table,
    when,
)
from bot.duration import how_long
from bot.gate import Gate, mentions
from bot.metadata import Buttons
from worker.api import field_name
from worker.api.views import ChangeView, PairView, PlanView, RunView

SHOWN = 8  # rows in the message; post_messages attaches all of them from the ninth on
MONEY_KINDS = ("invoice", "credit_note", "payment")
REASONS = 3
LEFT = 8


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a rendering needs beside its view: the pair, who may do what, and the sealer of buttons."""

    pair: PairView
    gate: Gate
    buttons: Buttons


# --------------------------------------------------------------------------- in words


def _kind(kind: str) -> str:
    return kind.replace("_", " ")


def counted(plan: PlanView) -> dict[tuple[str, str, str], int]:
    """(side, kind, operation) -> how many."""
    found = {}
    for name, number in plan.counts.items():
        side, kind, operation = name.split(".")
        found[side, kind, operation] = number
    return found


def money_changes(plan: PlanView) -> int:
    return sum(n for (_, kind, _), n in counted(plan).items() if kind in MONEY_KINDS)


def summary(plan: PlanView, look: Look) -> str:
    """The first line, which is enough on a phone: money first, then people, then the rest."""
    if plan.undoes is not None:
        return _backwards(plan)
    parts = [_documents(plan, look), _others(plan)]
    if plan.conflicts:
        about = f" ({plan.asked_about:,} records)" if plan.asked_about > plan.conflicts else ""
        parts.append(f"{plan.conflicts} {'need' if plan.conflicts > 1 else 'needs'} you{about}.")
    if plan.held:
        parts.append(f"{plan.held} held back.")
    return " ".join(part for part in parts if part) or "Nothing to write."


_BACK = {"create": "to post", "update": "to put back", "archive": "to make inactive"}


def _backwards(plan: PlanView) -> str:
    """`1 invoice to void. 2 customers to put back. 1 left as it is.`"""
    both: Counter[tuple[str, str]] = Counter()
    for (_, kind, operation), number in sorted(counted(plan).items(), key=lambda c: c[0][1] not in MONEY_KINDS):
        both[kind, operation] += number
    parts = [
        f"{plural(number, _kind(kind))} {_BACK.get(operation, f'to {operation}')}."
        for (kind, operation), number in both.items()
    ]
    if plan.held:
        parts.append(f"{plan.held} held back.")
    if plan.left_out:
        parts.append(f"{plan.left_out} left as {'it is' if plan.left_out == 1 else 'they are'}.")
    return " ".join(parts) or "Nothing to take back."


def _documents(plan: PlanView, look: Look) -> str:
    found: Counter[str] = Counter()
    for (_, kind, _), number in counted(plan).items():
        if kind in MONEY_KINDS:
            found[kind] += number
    if not found:
        return ""
    credited, brought = found.pop("credit_note", 0), found.pop("payment", 0)
    what = ", ".join(plural(number, _kind(kind)) for kind, number in found.items())
    books = look.pair.books.title
    posted = f"{what}, {money(plan.net)} net (+ tax {money(plan.tax) or '0.00'}), to post in {books}." if found else ""
    notes = f"{plural(credited, 'credit note')}, {money(plan.credited)} net, to post in {books}." if credited else ""
    applied = f"{plural(brought, 'credit')} to bring to {_its(brought)} in {books}." if brought else ""
    return " ".join(part for part in (posted, notes, applied) if part)


def _its(number: int) -> str:
    return "its invoice" if number == 1 else "their invoices"


def _others(plan: PlanView) -> str:
    made: Counter[str] = Counter()
    for (_, kind, operation), number in counted(plan).items():
        if kind not in MONEY_KINDS:
            made[f"new {_kind(kind)}" if operation == "create" else f"{_kind(kind)} change"] += number
    return ", ".join(plural(number, what) for what, number in made.items()) + ("." if made else "")


def what_it_does(change: ChangeView) -> str:
    """`new customer`, `invoice`, `phone, notes`."""
    if change.operation == "create":
        if change.kind == "payment":  # of zero: the one payment that Tieout makes
            return "apply credit"
        return _kind(change.kind) if change.kind in MONEY_KINDS else f"new {_kind(change.kind)}"
    if change.operation == "update":
        return ", ".join(field_name(field.path) for field in change.fields)
    if change.operation == "archive":
        return f"make {_kind(change.kind)} inactive"
    return f"{change.operation} {_kind(change.kind)}"


def how_it_changes(change: ChangeView) -> str:
    """The amount of a document, before -> after of a field; then why."""
    if change.net is not None and change.currency is not None:
        return f"{money({change.currency: change.net})}; {change.why}"
    if change.operation == "update":
        return "; ".join(
            f"{shown(f.before)} -> {shown(f.after)}" + (_lost(f.overwrites) if f.overwrites != _ABSENT else "")
            for f in change.fields
        )
    return change.why


_ABSENT = {"absent": True}


def _lost(value: object) -> str:
    return f" (an edit is overwritten: {shown(value)})" if value is not None else ""


def _rows(changes: Sequence[ChangeView]) -> list[list[str]]:
    head = [["Where", "What", "Record", "Change"]]
    return head + [
        [change.system, what_it_does(change), clipped(change.title, 80), clipped(how_it_changes(change), 300)]
        for change in changes
    ]


# --------------------------------------------------------------------------- the preview


def heading(look: Look, at: datetime) -> str:
    pair = look.pair
    return (
        f"{quiet(pair.crm.name)} ({pair.crm.title}) and {quiet(pair.books.name)} ({pair.books.title})   "
        f"{when(at, pair.time_zone)}"
    )


def preview(plan: PlanView, run: RunView, look: Look) -> Say:
    """An open plan with its buttons, or the same one without them once it is over."""
    line = summary(plan, look)
    blocks: list[Json | None]
    if plan.refused is not None:
        blocks = [_refused(plan), context(heading(look, plan.created_at)), _really_empty(plan, run, look)]
        return said(f"{_name(plan)}: nothing was planned. {plan.refused}", blocks)
    blocks = [section(f"*{_name(plan)}*   {quiet(line)}"), context(heading(look, plan.created_at))]
    free = [change for change in plan.shown if change.state != "held"][:SHOWN]
    if free:
        blocks.append(table(_rows(free)))
    if plan.changes > len(free) > 0:
        blocks.append(context(f"{len(free)} of {plan.changes}; all of them are in the thread."))
    rest = _waiting(plan) if plan.undoes is None else _left(plan)
    lasts = how_long(plan)
    blocks += [_held(plan), rest, *([context(quiet(lasts))] if lasts is not None else [])]
    blocks += [*_foot(plan, look), _details(plan, run)]
    return said(f"{_name(plan)}: {line}", blocks)


def _name(plan: PlanView) -> str:
    return "Preview" if plan.undoes is None else "Undo"


def _left(plan: PlanView) -> Json | None:
    """What an undo leaves as it is, and why."""
    if not plan.left:
        return None
    lines = [
        f"• {quiet(clipped(each.title, 60))}, {quiet(each.what)}: {quiet(each.reason)}" for each in plan.left[:LEFT]
    ]
    more = plan.left_out - len(lines)
    return section("*Left as it is*\n" + "\n".join(lines) + (f"\nand {more} more" if more > 0 else ""))


def _refused(plan: PlanView) -> Json:
    return section(f"*Nothing was planned.* {quiet(plan.refused or '')}")


def _really_empty(plan: PlanView, run: RunView, look: Look) -> Json | None:
    """A person may know better: then the preview is made anew, and its removals are guarded as ever."""
    if not plan.emptied:
        return None
    return actions([button("It really is", ids.EMPTIED, look.buttons.seal(ids.EMPTIED, look.pair.id, run.id))])


def _held(plan: PlanView) -> Json | None:
    if not plan.held:
        return None
    listed = "".join(f"\n• {quiet(reason)}" for reason in list(plan.held_reasons)[:REASONS] if reason)
    more = len(plan.held_reasons) - REASONS
    rest = f"\nand {plural(more, 'other reason')}" if more > 0 else ""
    return section(f"*{plural(plan.held, 'change')} held back*{listed}{rest}")


def _waiting(plan: PlanView) -> Json | None:
    if not plan.waiting:
        return None
    found = Counter(plan.waiting).most_common(REASONS)
    listed = "\n".join(f"• {plural(number, 'record')}: {quiet(reason)}" for reason, number in found)
    more = len(plan.waiting) - len(found)
    return section(f"*Waiting*\n{listed}" + (f"\nand {plural(more, 'other reason')}" if more else ""))


def _foot(plan: PlanView, look: Look) -> list[Json | None]:
    """Who has to agree, and the buttons; what became of it instead, once it is over."""
    if plan.state != "open":
        return [context(over(plan))]
    if not plan.changes and not plan.confirmable:
        return []
    return [context(_needs(plan, look)), actions(_plan_buttons(plan, look.buttons))]


def _needs(plan: PlanView, look: Look) -> str:
    allowed = look.gate.who("apply_over_limit" if plan.limit is not None else "apply")
    if not allowed:
        return "Nobody may apply yet: set TIEOUT_APPROVERS."
    over_what = f" (over {plan.limit})" if plan.limit is not None else ""
    agreed = f" Agreed: {', '.join(person(by) for by in plan.agreed)}." if plan.agreed else ""
    return f"Needs {plan.approvers_needed} of {mentions(allowed)}{over_what}.{agreed}"


def _plan_buttons(plan: PlanView, buttons: Buttons) -> list[InteractiveElement]:
    def value(verb: str) -> str:
        return buttons.seal(verb, plan.id, plan.fingerprint, plan.expires_at)

    found = [button(f"Apply {plan.changes}", ids.APPLY, value(ids.APPLY), "primary")] if plan.changes else []
    rest = plan.changes - money_changes(plan)
    if 0 < rest < plan.changes:
        text = f"Apply the {rest} without money"
        found.append(button(text, ids.APPLY_WITHOUT_MONEY, value(ids.APPLY_WITHOUT_MONEY)))
    if plan.confirmable:
        text = f"Apply all {plan.changes + plan.confirmable}, also what is held"
        found.append(button(text, ids.APPLY_HELD, value(ids.APPLY_HELD)))
    if len(plan.counts) > 1:
        found.append(button("Choose...", ids.CHOOSE, value(ids.CHOOSE)))
    return [*found, button("Discard", ids.DISCARD, value(ids.DISCARD))]


def over(plan: PlanView) -> str:
    """What became of a plan that cannot be applied any more."""
    by = f" by {people(plan.approved_by)}" if plan.approved_by is not None else ""
    return {
        "superseded": "Replaced by a newer preview.",
        "expired": "Too old to be applied: a preview is good for a day. /tieout preview makes a new one.",
        "discarded": "Discarded. What it would have changed comes again with the next preview."
        if plan.undoes is None
        else "Discarded. Nothing was taken back.",
        "applying": f"Being applied{by}.",
        "applied": f"Applied{by}.",
    }.get(plan.state, plan.state)


def _details(plan: PlanView, run: RunView) -> Json:
    calls = sum(run.calls.values())
    return context(f"Mapping version {plan.mapping_version}; {plural(calls, 'call')} to both systems; plan {plan.id}")


def replaced(plan: PlanView, look: Look) -> Say:
    """A preview that was shown and is not the plan any more."""
    line = summary(plan, look) if plan.refused is None else f"Nothing was planned. {plan.refused}"
    name = _name(plan)
    blocks = [section(f"*{name}*   {quiet(line)}"), context(heading(look, plan.created_at)), context(over(plan))]
    return said(f"{name}: {line} {over(plan)}", blocks)


# --------------------------------------------------------------------------- outcome


def outcome(plan: PlanView, run: RunView, trouble: Sequence[ChangeView], look: Look) -> Say:
    """What an apply did, in the past tense; what went wrong grouped by cause."""
    done = run.outcome.get("done", 0)
    line = _done(plan, done, run, look)
    head = "Applied" if plan.undoes is None else "Undone"
    blocks: list[Json | None] = [section(f"*{head}*   {quiet(line)}"), context(_by(plan, run, look))]
    blocks += [section(quiet(" ".join(plan.notes)))] if plan.notes else []
    blocks += [context("`/tieout audit NAME` has *Bill again* and *Make again* for it.")] if plan.settles else []
    blocks += [section(text) for text in causes(trouble)]
    blocks += [_left(plan), actions(_after(plan, run, done, look))]
    return said(f"{head}: {' '.join((line, *plan.notes))}", blocks)


def _after(plan: PlanView, run: RunView, done: int, look: Look) -> list[InteractiveElement]:
    found = [button("Show changes", ids.SHOW, look.buttons.seal(ids.SHOW, plan.id, run.id))]
    if done:
        found.append(button("Undo", ids.UNDO, look.buttons.seal(ids.UNDO, look.pair.id, run.id)))
    return found


def _done(plan: PlanView, done: int, run: RunView, look: Look) -> str:
    posted = money_changes(plan) if plan.undoes is None else 0
    words = [f"{plural(done, 'change')} made"]
    if posted and done == plan.changes:
        words[0] += f", {plural(posted, 'document')} posted in {look.pair.books.title}, {money(plan.net)} net"
        words[0] += f", {money(plan.credited)} net credited" if plan.credited else ""
    named = {
        "rejected": "refused",
        "stale": "moved meanwhile and left out",
        "held": "held back",
        "discarded": "not chosen" if run.what == "apply" else "left for a person",
        "unknown": "in doubt, being looked up",
    }
    words += [f"{run.outcome[name]} {word}" for name, word in named.items() if run.outcome.get(name)]
    return f"{'; '.join(words)}."


def _by(plan: PlanView, run: RunView, look: Look) -> str:
    at = run.finished_at if run.finished_at is not None else run.created_at
    return f"by {people(plan.approved_by or run.requested_by)}, {when(at, look.pair.time_zone)}"


def causes(trouble: Sequence[ChangeView]) -> list[str]:
    """What did not go through, the commonest cause first: what happened, to which, what is next."""
    grouped: dict[tuple[str, str], list[ChangeView]] = {}
    for change in trouble:
        grouped.setdefault((change.state, change.reason or ""), []).append(change)
    found = []
    for (state, reason), changes in sorted(grouped.items(), key=lambda each: -len(each[1]))[:5]:
        which = ", ".join(quiet(clipped(change.title, 40)) for change in changes[:3])
        more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
        found.append(f"*{plural(len(changes), 'change')} {_STATE[state]}*: {which}{more}\n{quiet(reason)}")
    return found


_STATE = {"rejected": "refused", "stale": "moved meanwhile", "held": "held back", "unknown": "in doubt"}
TROUBLE = tuple(_STATE)


def amounts(changes: Sequence[ChangeView]) -> dict[str, Decimal]:
    """Net by currency."""
    sums: dict[str, Decimal] = {}
    for change in changes:
        if change.net is not None and change.currency is not None:
            sums[change.currency] = sums.get(change.currency, Decimal(0)) + change.net
    return sums
