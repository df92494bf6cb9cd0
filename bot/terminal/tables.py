"""Views as tables and sentences for a terminal. Pure: a view goes in, text comes out.

The first line of each is enough by itself; money comes first, then people, then detail; dates are absolute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from tabulate import tabulate

from bot.duration import how_long
from bot.story import headline, standing, steps
from bot.terminal.words import clipped, count, field_name, kind_name, moment, money, plain_money, value

if TYPE_CHECKING:
    from worker.api.views import (
        ChainView,
        ChangeView,
        ConflictView,
        ConnectionView,
        ErasedView,
        FieldView,
        HistoryView,
        PairView,
        PlanView,
        ReportView,
        SettledView,
        StoryView,
        WaitingView,
    )

SHOWN = 20
NAMED = 5
CELL = 44
MONEY_KINDS = ("invoice", "credit_note", "payment")
_POSTS = {"invoice": "to post", "credit_note": "to post", "payment": "to record"}
_ACTS = {"update": "change", "void": "void", "delete": "delete", "archive": "make inactive:", "send": "send",
         "unlink": "unlink"}  # fmt: skip
DONE_WORDS = {
    "create": "posted", "update": "changed", "void": "voided", "delete": "deleted", "archive": "made inactive",
    "send": "sent", "unlink": "unlinked",
}  # fmt: skip


def table(rows: Sequence[Sequence[str]], headers: Sequence[str] = (), align: Sequence[str] = ()) -> str:
    """Plain columns. Numbers stay text: what looks like one may be a name."""
    if not rows:
        return ""
    return tabulate(
        rows,
        headers=headers,
        tablefmt="simple" if headers else "plain",
        disable_numparse=True,
        colalign=align or None,
    )


def indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())


# --------------------------------------------------------------------------- a plan


def pair_line(pair: PairView) -> str:
    """`Acme Sales (HubSpot) and Acme Inc. (QuickBooks)`."""
    return f"{pair.crm.name} ({pair.crm.title}) and {pair.books.name} ({pair.books.title})"


def essence(plan: PlanView, pair: PairView) -> str:
    """One line that is enough by itself: the money, the changes, what needs a person, what is held back."""
    if plan.refused is not None:
        return f"Nothing is planned: {plan.refused}."
    if plan.undoes is not None:
        return _backwards(plan, pair)
    parts = [*_documents(plan, pair), *_other_changes(plan)]
    if plan.conflicts:
        about = f" ({plan.asked_about:,} records)" if plan.asked_about > plan.conflicts else ""
        parts.append(f"{count(plan.conflicts, 'question')} {'needs' if plan.conflicts == 1 else 'need'} you{about}.")
    held_back = sum(plan.waiting.values())
    if held_back:
        parts.append(f"{held_back:,} held back.")
    if plan.held:
        parts.append(f"{count(plan.held, 'change')} on hold.")
    return " ".join(parts) if parts else "In step: nothing to change."


def _backwards(plan: PlanView, pair: PairView) -> str:
    """`Undo of run_1m84: 1 invoice to void in QuickBooks. 2 customer changes. 1 left as it is.`"""
    parts = [*_documents(plan, pair), *_other_changes(plan)]
    if plan.held:
        parts.append(f"{count(plan.held, 'change')} on hold.")
    if plan.left_out:
        parts.append(f"{plan.left_out:,} left as {'it is' if plan.left_out == 1 else 'they are'}.")
    return f"Undo of {plan.undoes}: {' '.join(parts) or 'nothing to take back.'}"


def _left(plan: PlanView) -> list[str]:
    """What an undo leaves as it is, and why."""
    rows = [[each.system, each.what, clipped(each.title, CELL), each.reason] for each in plan.left[:SHOWN]]
    more = f"\n({len(rows)} of {plan.left_out:,})" if plan.left_out > len(rows) else ""
    return [f"Left as it is:\n{indented(table(rows))}{more}"] if rows else []


def _documents(plan: PlanView, pair: PairView) -> list[str]:
    titles = {"crm": pair.crm.title, "books": pair.books.title}
    said = []
    for name, number in plan.counts.items():
        side, kind, operation = name.split(".")
        if kind not in MONEY_KINDS:
            continue
        verb = _POSTS[kind] if operation == "create" else f"to {_ACTS[operation].rstrip(':')}"
        where = f"{verb} in {titles[side]}."
        if kind == "payment" and operation == "create":  # of zero: the one payment that Tieout makes
            its = "its invoice" if number == 1 else "their invoices"
            said.append(f"{count(number, 'credit')} to bring to {its} in {titles[side]}.")
            continue
        posts = sum(n for each, n in plan.counts.items() if each.split(".")[1] == "invoice")
        sums = _sums(plan) if operation == "create" and kind != "credit_note" and posts == number else ""
        sums = _credited(plan) if kind == "credit_note" and operation == "create" else sums
        said.append(f"{count(number, kind_name(kind))}{sums} {where}")
    return said


def _credited(plan: PlanView) -> str:
    parts = [f"{money(net, currency)} net" for currency, net in sorted(plan.credited.items())]
    return f", {' and '.join(parts)}," if parts else ""


def _sums(plan: PlanView) -> str:
    parts = [
        f"{money(net, currency)} net (+ tax {plain_money(plan.tax.get(currency, Decimal(0)), currency)})"
        for currency, net in sorted(plan.net.items())
    ]
    return f", {' and '.join(parts)}," if parts else ""


def _other_changes(plan: PlanView) -> list[str]:
    numbers: dict[str, int] = {}
    for name, number in plan.counts.items():
        kind = name.split(".")[1]
        if kind not in MONEY_KINDS:
            numbers[kind] = numbers.get(kind, 0) + number
    return [f"{count(number, f'{kind_name(kind)} change')}." for kind, number in numbers.items()]


def preview(plan: PlanView, pair: PairView, *, everything: bool = False) -> str:
    """The essence, the changes (the first 20, money first), and why anything waits."""
    changes = sorted(plan.shown, key=_rank)
    shown = changes if everything else changes[:SHOWN]
    total = plan.changes + plan.held
    head = f"{pair_line(pair)}     {moment(plan.created_at, pair.time_zone)}"
    blocks = [f"{essence(plan, pair)}\n{head}"]
    if shown:
        blocks.append(indented(table([row for change in shown for row in _rows(change)])))
    if len(shown) < total:
        blocks[-1] += f"\n  ({len(shown)} of {total:,}; --all shows everything)"
    blocks += _why_waiting(plan, changes) if plan.undoes is None else [*_on_hold(plan, changes), *_left(plan)]
    lasts = how_long(plan)
    blocks += [lasts] if lasts is not None else []
    return "\n\n".join(blocks)


def _rank(change: ChangeView) -> tuple[bool, bool]:
    return change.state == "held", change.kind not in MONEY_KINDS


def what(change: ChangeView) -> str:
    """`invoice`, `new customer`, `void invoice`, or the field if only one changes."""
    kind = kind_name(change.kind)
    if change.operation == "create" and change.kind == "payment":
        return "apply credit"
    if change.operation == "create":
        return kind if change.kind in MONEY_KINDS else f"new {kind}"
    return kind if change.operation == "update" else f"{_ACTS[change.operation]} {kind}"


def _rows(change: ChangeView) -> list[list[str]]:
    reason = f"on hold: {change.reason}" if change.state == "held" and change.reason else change.why
    title = clipped(change.title, CELL)
    if change.operation == "update" and change.fields:
        return [
            [change.system, field_name(f.path), title, _arrow(f), _because(f, _of_field(f.path, reason))]
            for f in change.fields
        ]
    return [[change.system, what(change), title, _amount(change), reason]]


def _of_field(path: str, why: str) -> str:
    """A field's own part of a reason that says `phone: changed in the CRM; legal_name: ...`."""
    parts = [part.removeprefix(f"{path}: ") for part in why.split("; ") if part.startswith(f"{path}: ")]
    return "; ".join(parts) if parts else why


def _amount(change: ChangeView) -> str:
    return money(change.net, change.currency) if change.net is not None and change.currency is not None else ""


def _arrow(field: FieldView) -> str:
    return f"{clipped(value(field.before), CELL)} -> {clipped(value(field.after), CELL)}"


def _because(field: FieldView, reason: str) -> str:
    return f"{reason}; overwrites {clipped(value(field.overwrites), CELL)}" if field.overwrites is not None else reason


def _on_hold(plan: PlanView, changes: Sequence[ChangeView]) -> list[str]:
    guards = sorted({c.reason for c in changes if c.state == "held" and c.reason is not None})
    command = "tieout sync" if plan.undoes is None else f"tieout undo {plan.undoes}"
    lines = "\n".join(f"  {reason}" for reason in guards)
    return [f"On hold until a person confirms ({command} --confirm-held):\n{lines}"] if guards else []


def _why_waiting(plan: PlanView, changes: Sequence[ChangeView]) -> list[str]:
    blocks = _on_hold(plan, changes)
    if plan.waiting:
        rows = [[f"{number:,}", clipped(reason, 100)] for reason, number in _largest(plan.waiting)]
        blocks.append(f"Held back (tieout waiting lists them):\n{indented(table(rows, align=('right', 'left')))}")
    if plan.conflicts:
        blocks.append("Questions: tieout conflicts lists them.")
    return blocks


def _largest(reasons: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]


# --------------------------------------------------------------------------- what was done


def outcome(changes: Sequence[ChangeView]) -> str:
    """What was done, in the past tense; then what was not, and why."""
    by_state: dict[str, list[ChangeView]] = {}
    for change in changes:
        by_state.setdefault(change.state, []).append(change)
    blocks = [_done_line(by_state.get("done", []))]
    for state, words in _NOT_DONE.items():
        found = by_state.get(state, [])
        if found:
            blocks.append(f"{len(found):,} {words}\n{indented(_reasons(found))}")
    return "\n".join(blocks)


_NOT_DONE = {
    "rejected": "refused:",
    "stale": "moved meanwhile and left out; the next preview shows them again:",
    "held": "on hold:",
    "unknown": "in doubt: the answer was lost; it is looked up before anything is sent again:",
    "intended": "on their way when the run stopped; they are looked up before anything is sent again:",
    "planned": "still to do:",
    "discarded": "left out:",
}


def _done_line(done: Sequence[ChangeView]) -> str:
    if not done:
        return "Nothing was written."
    groups: dict[tuple[str, str, str], list[ChangeView]] = {}
    for change in sorted(done, key=_rank):
        groups.setdefault((change.kind, change.operation, change.system), []).append(change)
    return " ".join(_done_group(*key, group) for key, group in groups.items())


def _done_group(kind: str, operation: str, system: str, group: Sequence[ChangeView]) -> str:
    verb = "made" if operation == "create" and kind not in MONEY_KINDS else DONE_WORDS.get(operation, operation)
    return f"{count(len(group), kind_name(kind))}{_net(group)} {verb} in {system}."


def _net(group: Sequence[ChangeView]) -> str:
    sums: dict[str, Decimal] = {}
    for change in group:
        if change.net is not None and change.currency is not None:
            sums[change.currency] = sums.get(change.currency, Decimal(0)) + change.net
    said = " and ".join(money(net, currency) for currency, net in sorted(sums.items()))
    return f" ({said} net)" if said else ""


def _reasons(changes: Sequence[ChangeView]) -> str:
    rows = [
        [change.system, what(change), clipped(change.title, CELL), change.reason or ""]
        for change in sorted(changes, key=_rank)[:SHOWN]
    ]
    more = f"\n({SHOWN} of {len(changes):,}; --all shows everything)" if len(changes) > SHOWN else ""
    return table(rows) + more


# --------------------------------------------------------------------------- what needs a person


def conflicts(found: Sequence[ConflictView], pair: PairView) -> str:
    """Cards, each with the commands that answer it."""
    if not found:
        return "Nothing needs you."
    head = f"{count(len(found), 'question')} {'needs' if len(found) == 1 else 'need'} an answer."
    return "\n\n".join([head, *(card(conflict, pair) for conflict in found)])


def card(conflict: ConflictView, pair: PairView) -> str:
    """One question: what both sides say, when it came up, and its answers."""
    lines = [f"{conflict.number}  {conflict.title}: {conflict.reason}"]
    if conflict.what == "field":
        lines.append(indented(indented(table(_values(conflict)))))
    if conflict.what == "everywhere":
        return "\n".join([*lines, *_examples(conflict), *_answering(conflict, pair)])
    for number, candidate in enumerate(conflict.candidates, 1):
        score = f", {candidate.score}%" if candidate.score is not None else ""
        why = f": {', '.join(candidate.reasons)}" if candidate.reasons else ""
        lines.append(f"    {number}. {candidate.title} ({candidate.ref}{score}){why}")
    return "\n".join([*lines, *_answering(conflict, pair)])


def _answering(conflict: ConflictView, pair: PairView) -> list[str]:
    by_hand = f"    put it right in {conflict.books_title} by hand, so that one of them stands, and leave it then"
    return [
        *([by_hand] if conflict.what == "half" else []),
        f"    asked {moment(conflict.opened_at, pair.time_zone)}",
        f"    tieout conflicts settle {conflict.number} {' | '.join(answers(conflict))}",
    ]


def _examples(conflict: ConflictView) -> list[str]:
    """Some of the records that one question is about."""
    rows = [[each.title, value(each.crm), value(each.books)] for each in conflict.candidates]
    shown = indented(indented(table([["", conflict.crm_title, conflict.books_title], *rows])))
    left = conflict.records - len(rows)
    return [shown, f"    and {left:,} more"] if left else [shown]


def _values(conflict: ConflictView) -> list[list[str]]:
    rows = [[conflict.crm_title, value(conflict.crm)], [conflict.books_title, value(conflict.books)]]
    if isinstance(conflict.base, Mapping) and "crm" in conflict.base:
        rows.append(["agreed then", value(conflict.base["crm"])])
    return rows


def answers(conflict: ConflictView) -> list[str]:
    """The choices as a person types them: a side by its system's name."""
    names = side_names(conflict)
    return [names.get(choice, choice) for choice in conflict.choices]


def side_names(conflict: ConflictView) -> dict[str, str]:
    crm, books = (_typed(title) for title in (conflict.crm_title, conflict.books_title))
    return {} if crm == books else {"crm": crm, "books": books}


def _typed(title: str) -> str:
    return title.casefold().replace(" ", "-")


def choice_of(conflict: ConflictView, said: str) -> str:
    """The choice that somebody typed: `hubspot` and `crm` are the same. What fits none stays as it was said."""
    meant = {name: choice for choice, name in side_names(conflict).items()}
    return meant.get(said.casefold(), said.casefold())


def settled(view: SettledView, conflict: ConflictView, at: str, own: str | None = None) -> str:
    """What was decided, by whom, and what happens next. `own`: the value that a person gave instead."""
    if view.moved:
        return f"{view.title}: a value changed since the question was asked, so nothing was decided. Preview again."
    if not view.first:
        return f"{view.title}: {view.by} was first, and decided {_decision(view.decision, conflict)}."
    if conflict.what == "everywhere":
        return f"{view.title}: {_decision(view.decision, conflict)} by {view.by}, {at}. {_then(view.decision)}"
    if view.decision in ("reissue", "credit"):
        return f"{view.title}: {_decision(view.decision, conflict)} by {view.by}, {at}. The next preview shows it."
    said = f"{own} set" if view.decision == "value" and own is not None else _decision(view.decision, conflict)
    stands = conflict.lost_at is not None and view.decision in ("crm", "books") and view.decision != conflict.lost_at
    then = "It stands on both sides." if stands else "The next sync carries it out."
    return f"{view.title}: {said} by {view.by}, {at}. {then}"


def _then(decision: str) -> str:
    if decision in ("crm", "books"):
        return "The next preview shows what that changes."
    return "tieout conflicts lists them."


def _decision(decision: str, conflict: ConflictView) -> str:
    if decision in ("crm", "books") and conflict.what == "everywhere":
        return f"{conflict.crm_title if decision == 'crm' else conflict.books_title} kept everywhere"
    kept = {"crm": (conflict.crm_title, conflict.crm), "books": (conflict.books_title, conflict.books)}
    if decision in kept and conflict.what == "field":
        title, data = kept[decision]
        return f"{title}'s {value(data)} kept"
    return {
        "same": "the same",
        "different": "different",
        "create": "to be made",
        "not-needed": "not needed",
        "leave": "left as it is",
        "archive": "to be made inactive too",
        "reissue": "to be credited and re-issued",
        "credit": "to be credited",
        "one-by-one": "to be looked at one by one",
    }.get(decision, decision)


def waiting(found: Sequence[WaitingView], pair: PairView) -> str:
    """Records that are held back, by reason, with the place in a file where there is one."""
    if not found:
        return "Nothing is held back."
    titles = {"crm": pair.crm.title, "books": pair.books.title}
    groups: dict[str, list[WaitingView]] = {}
    for each in found:
        groups.setdefault(each.reason, []).append(each)
    blocks = [f"{count(len(found), 'record')} held back."]
    for reason, group in sorted(groups.items(), key=lambda item: -len(item[1])):
        rows = [[titles.get(w.side, w.side), kind_name(w.kind), w.ref, w.place or ""] for w in group]
        blocks.append(f"{len(group):,}  {reason}\n{indented(indented(table(rows)))}")
    return "\n\n".join(blocks)


def reconciliation(view: ReportView, *, everything: bool = False) -> str:
    """Whether the month ties, then the short table or every bridge."""
    trail = f"\n\nAudit trail: {view.trail}" if view.trail else ""
    return f"{view.headline}\n\n{indented(view.tables if everything else view.text)}{trail}"


# --------------------------------------------------------------------------- set up, history, audit

_STATES = {"live": "connected", "reconnect": "log in again"}


def connections(found: Sequence[ConnectionView]) -> str:
    """Every account, and whether its login is good."""
    if not found:
        return "No account is connected yet. Begin with: tieout connect SYSTEM"
    rows = [[c.title, c.name, c.account, " or ".join(c.sides), _STATES.get(c.state, c.state), c.id] for c in found]
    return table(rows, headers=("System", "Account", "Number", "Side", "State", "Id"))


def connected(view: ConnectionView) -> str:
    return f"Connected: {view.name} ({view.title} {view.account})."


def paired(view: PairView) -> str:
    """What is kept in step now, and from when."""
    return (
        f"{pair_line(view)} are a pair now: {view.name}, mapping version {view.mapping_version}.\n"
        f"Deals won before {view.cut_over} are never billed.\n"
        f"{_asked(view)}Nothing is written yet: tieout preview shows what would be."
    )


def _asked(view: PairView) -> str:
    if view.asked == 0:
        return ""
    return f"{count(view.asked, 'question')} about fields that differ: tieout conflicts\n"


_RUNS = {"done": "done", "failed": "failed", "waiting": "waits", "queued": "goes on later", "running": "is running"}


def history(found: Sequence[HistoryView], pair: PairView) -> str:
    """The last runs, the newest first."""
    if not found:
        return "Nothing has run yet."
    rows = [
        [
            moment(h.run.created_at, pair.time_zone),
            h.run.what,
            h.run.requested_by,
            _RUNS.get(h.run.state, h.run.state),
            _tally(h),
            h.run.id if h.run.outcome.get("done") else "",
            h.run.error or "",
        ]
        for h in found
    ]
    return table(rows, headers=("When", "What", "By", "State", "Changes", "Run", ""))


def _tally(entry: HistoryView) -> str:
    if entry.run.outcome:
        return ", ".join(f"{number:,} {state}" for state, number in sorted(entry.run.outcome.items()))
    return f"{entry.changes:,} planned" if entry.changes else ""


def chains(found: Sequence[ChainView]) -> str:
    """Whether each pair's audit trail holds."""
    if not found:
        return "There is no audit trail yet: no pair."
    lines = []
    for chain in found:
        if chain.reason is None:
            lines.append(
                f"{chain.pair}: {count(chain.entries, 'entry', 'entries')}, the chain holds. Head {chain.head}"
            )
        else:
            where = f"breaks at entry {chain.broken_at}" if chain.broken_at else "holds, but not what stands beside it"
            lines.append(f"{chain.pair}: the chain {where}: {chain.reason}")
    return "\n".join(lines)


def story(view: StoryView) -> str:
    """What is on record about one record, oldest first."""
    told = steps(view)
    stands = standing(view)
    lines = [headline(view.record), *([] if stands is None else [stands, f"tieout {view.again}-again lifts that."])]
    if not told:
        return "\n".join([*lines, "", "Nothing is on record about it: it was only read."])
    for step in told:
        lines += ["", f"{step.when}  {step.what}, {step.who(str)}", *(f"    {line}" for line in step.lines)]
    return "\n".join(lines)


def forgotten(who: str, erased: ErasedView) -> str:
    """What was erased of a person, and where they still stand."""
    lines = [
        f"{who}: {count(erased.values, 'value')} erased from the audit trail, {count(erased.rows, 'row')} elsewhere, "
        f"{count(erased.reports, 'report')} among them. The chain still holds."
    ]
    if erased.inactive:
        lines.append(f"Only put away, and kept by its system: {', '.join(erased.inactive)}. What it holds is theirs.")
    if erased.named_in:
        more = len(erased.named_in) - NAMED
        named = [*erased.named_in[:NAMED], *([f"and {more} more"] if more > 0 else [])]
        lines.append(f"Still named by what the systems show: {', '.join(named)}. Change it there.")
    if not erased.compact:
        lines.append("The database file was in use, and its free space may hold old text: stop Tieout and erase again.")
    lines.append("Messages in Slack, files that were exported and backups of the database are yours to delete.")
    return "\n".join(lines)
