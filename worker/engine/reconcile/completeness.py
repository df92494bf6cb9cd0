"""That nothing was left out: counts and sums beside the vendor's, number series, each deal and document placed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

from connectors.canon.records import CreditNote, Invoice, Kind, Payment
from connectors.canon.values import Money
from worker.engine.billing import NotBillable
from worker.engine.reconcile.gross import count_of, unconverted
from worker.engine.reconcile.index import ZERO, Index, number
from worker.engine.reconcile.ledger import Excluded
from worker.engine.reconcile.report import AgedReport, Check, Completeness, Placed, Series
from worker.engine.reconcile.won_invoiced import WonInvoiced
from worker.engine.settlement import balance, day, is_live, known, text

Numbered: TypeAlias = Invoice | CreditNote
SHOWN = 20  # names in a check's detail; the rest is in the records
SPARSE = 20  # a "series" with this many times more room than documents does not count on


# --------------------------------------------------------------------------- number series

_TAIL = re.compile(r"^(.*?)(\d+)$")


def _tail(document: Numbered) -> tuple[str, int, int] | None:
    """Prefix, number and width of the digits; None for a number that does not end in digits."""
    found = _TAIL.match((text(document.number) or "").strip())
    if found is None:
        return None
    prefix = text(document.series) or found.group(1)
    return prefix, int(found.group(2)), len(found.group(2))


class _Numbers(msgspec.Struct):
    """One series while it is collected."""

    here: list[int]
    everywhere: set[int]
    width: int = 0
    voided: int = 0


def _collected(documents: Iterable[Numbered], index: Index) -> dict[str, _Numbers]:
    found: dict[str, _Numbers] = {}
    for document in documents:
        tail = _tail(document)
        if tail is None or document.state in ("draft", "pending_approval"):
            continue
        prefix, value, width = tail
        numbers = found.setdefault(prefix, _Numbers(here=[], everywhere=set()))
        numbers.everywhere.add(value)
        if index.period.holds(day(document.date)):
            numbers.here.append(value)
            numbers.width = max(numbers.width, width)
            numbers.voided += document.state == "void"
    return found


def _series(kind: Literal["invoice", "credit_note"], prefix: str, numbers: _Numbers, taken: Collection[int]) -> Series:
    low, high, held = min(numbers.here), max(numbers.here), Counter(numbers.here)
    checked = high - low < SPARSE * len(held)
    missing = [n for n in range(low, high + 1) if n not in held] if checked else []

    def written(value: int) -> str:
        return f"{prefix}{value:0{numbers.width}d}"

    return Series(
        kind=kind,
        name=prefix,
        first=written(low),
        last=written(high),
        found=len(held),
        of=high - low + 1 if checked else len(held),
        voided=numbers.voided,
        gaps=tuple(written(n) for n in missing if n not in taken),
        repeats=tuple(written(n) for n, times in sorted(held.items()) if times > 1),
        elsewhere=sum(1 for n in missing if n in taken),
        checked=checked,
    )


def series(index: Index) -> tuple[Series, ...]:
    """The number series of the period's invoices and credit notes, voided ones included. Books that number both in
    one series (QuickBooks) leave no gap where the other kind has the number."""
    kinds: tuple[tuple[Literal["invoice", "credit_note"], dict[str, _Numbers]], ...] = (
        ("invoice", _collected(index.ledger.invoices, index)),
        ("credit_note", _collected(index.ledger.credit_notes, index)),
    )

    def taken(prefix: str) -> set[int]:
        return {n for _, found in kinds if prefix in found for n in found[prefix].everywhere}

    return tuple(
        _series(kind, prefix, numbers, taken(prefix))
        for kind, found in kinds
        for prefix, numbers in sorted(found.items())
        if numbers.here
    )


# --------------------------------------------------------------------------- counts and sums


def _home_total(index: Index, record: Invoice | CreditNote | Payment) -> Decimal:
    if isinstance(record, Payment):
        amount = record.amount.amount if isinstance(record.amount, Money) else ZERO
        return index.in_home(amount, index.payment_rate(record) or ZERO)
    if isinstance(record.home_total, Decimal):
        return record.home_total
    return index.in_home(known(record.total), index.rate(record) or ZERO)


def _lives(record: Invoice | CreditNote | Payment) -> bool:
    return record.state == "posted"


def _against_vendor(
    index: Index, kind: Kind, name: str, records: Sequence[Invoice | CreditNote | Payment]
) -> list[Check]:
    """Number, voided and sum of one kind in the period, beside the vendor's."""
    dated = [record for record in records if index.period.holds(day(record.date))]
    live = [record for record in dated if _lives(record)]
    voided = sum(1 for record in dated if record.state == "void")
    told = count_of(index, kind)
    checks = [
        Check(
            what=f"{name} read",
            found=f"{len(live)}, {voided} void",
            wanted=f"{told.number}, {told.voided} void" if told is not None else None,
        )
    ]
    if told is not None and told.total is not None:
        read = sum((_home_total(index, record) for record in live), ZERO)
        checks.append(Check(what=f"{name}, total", found=f"{read:,.2f}", wanted=f"{told.total.amount:,.2f}"))
    return checks


def _deal_count(index: Index) -> Check:
    """Won deals against the CRM's own count, where it gives one."""
    won = [e for e in index.ledger.deals if e.deal.status == "won" and index.period.holds(e.won_on)]
    figures = index.ledger.crm_figures
    told = next((c for c in figures.counts if c.kind is Kind.DEAL), None) if figures is not None else None
    return Check(what="won deals read", found=str(len(won)), wanted=str(told.number) if told is not None else None)


def _balances(index: Index) -> Check:
    """Balances rebuilt from all allocations, against what the books say is open today."""
    told = [i for i in index.ledger.invoices if is_live(i) and isinstance(i.balance, Decimal)]
    off = [i for i in told if balance(i, index.settlements) != i.balance]
    detail = tuple(f"{number(i)}: {balance(i, index.settlements):,} rebuilt, {i.balance:,} said" for i in off[:SHOWN])
    return Check(
        what="balances that the books confirm",
        found=str(len(told) - len(off)),
        wanted=str(len(told)) if told else None,
        detail=detail,
    )


def _aged(ageing: AgedReport) -> Check:
    wanted = f"{ageing.aged_total:,.2f}" if ageing.aged_total is not None else None
    return Check(what="aged total less unapplied", found=f"{ageing.net:,.2f}", wanted=wanted)


# --------------------------------------------------------------------------- everything in one line


def _once(what: str, placed: Sequence[Placed], wanted: Iterable[tuple[str, str]]) -> Check:
    """Each wanted (ref, label) is placed exactly once."""
    times, asked = Counter(p.ref for p in placed), Counter(ref for ref, _ in wanted)
    labels = dict(wanted)
    off = sorted(ref for ref in asked.keys() | times.keys() if times[ref] != 1 or asked[ref] != 1)
    return Check(
        what=what,
        found=str(len(asked.keys() - set(off))),
        wanted=str(len(asked)),
        detail=tuple(labels.get(ref, ref) for ref in off[:SHOWN]),
    )


def _placed(index: Index, found: WonInvoiced) -> list[Check]:
    won = [
        (e.deal.ref, text(e.deal.name) or e.deal.ref)
        for e in index.ledger.deals
        if (e.deal.status == "won" or e.reversed) and index.period.holds(e.won_on)
    ]
    posted = [(i.ref, number(i)) for i in index.posted]
    return [
        _once("won deals in exactly one line", found.deals, won),
        _once("posted invoices in exactly one line", found.documents, posted),
        _loose_links(index),
    ]


def _loose_links(index: Index) -> Check:
    """Links whose deal or document the mirror does not hold."""
    notes = {note.ref for note in index.ledger.credit_notes}
    known_refs = index.invoices.keys() | notes
    loose = [
        link.position if link.position not in index.positions else link.ref
        for link in index.ledger.links
        if link.position not in index.positions or link.ref not in known_refs
    ]
    return Check(what="links to what was not read", found=str(len(loose)), wanted="0", detail=tuple(loose[:SHOWN]))


# --------------------------------------------------------------------------- what was left out


def _deal_populations(index: Index) -> Iterable[tuple[str, str, int]]:
    deals = index.ledger.deals
    yield "open deals", "not won", sum(1 for e in deals if e.deal.status == "open" and not e.reversed)
    yield "lost deals", "lost", sum(1 for e in deals if e.deal.status == "lost" and not e.reversed)
    won = [e for e in deals if e.deal.status == "won" or e.reversed]
    yield "won deals", "no date of the win", sum(1 for e in won if e.won_on is None)
    before = [e for e in won if e.won_on is not None and e.won_on < index.period.start]
    old = sum(1 for e in before if _is_history(e.billing))
    yield "won deals", "won before the cut-over", old
    yield "won deals", "won before the period", len(before) - old
    later = sum(1 for e in won if e.won_on is not None and e.won_on > index.period.end)
    yield "won deals", "won after the period", later


def _is_history(billing: object) -> bool:
    return isinstance(billing, NotBillable) and billing.reason == "before_cut_over"


def _document_populations(index: Index) -> Iterable[tuple[str, str, int]]:
    invoices = index.ledger.invoices
    dated = [on for i in invoices if is_live(i) and (on := day(i.date)) is not None]
    drafts = sum(1 for i in invoices if i.state in ("draft", "pending_approval"))
    yield "invoices", "drafts, not posted", drafts
    yield "invoices", "void", sum(1 for i in invoices if i.state == "void" and index.period.holds(day(i.date)))
    yield "invoices", "dated before the period", sum(1 for on in dated if on < index.period.start)
    yield "invoices", "dated after the period", sum(1 for on in dated if on > index.period.end)
    yield "invoices", "no date", sum(1 for i in invoices if is_live(i)) - len(dated)


def excluded(index: Index, found: WonInvoiced) -> tuple[Excluded, ...]:
    """Every population that no bridge of this period holds, counted, with its reason."""
    rows = [
        Excluded(what=what, count=count, reason=reason)
        for what, reason, count in (*_deal_populations(index), *_document_populations(index))
        if count
    ]
    for currency, (deals, net) in unconverted(found.starts).items():
        reason = f"{currency} {net:,} net, in the bridge of {currency} only: the books give no rate"
        rows.append(Excluded(what="won deals", count=deals, reason=reason))
    return (*rows, *index.ledger.unread)


def completeness(index: Index, found: WonInvoiced, ageing: AgedReport) -> Completeness:
    """All checks of one report."""
    checks = [
        *_against_vendor(index, Kind.INVOICE, "invoices", index.ledger.invoices),
        *_against_vendor(index, Kind.CREDIT_NOTE, "credit notes", index.ledger.credit_notes),
        *_against_vendor(index, Kind.PAYMENT, "payments", index.ledger.payments),
        _aged(ageing),
        _balances(index),
        _deal_count(index),
        *_placed(index, found),
    ]
    return Completeness(
        checks=tuple(checks),
        series=series(index),
        deals=found.deals,
        documents=found.documents,
        excluded=excluded(index, found),
    )
