"""Which existing invoice is that of a deal won before the cut-over. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

import msgspec

from connectors.canon.fields import folded
from connectors.canon.records import Invoice
from worker.engine.match_records import NO_MATCH, SHOWN, Candidate, Match

WINDOW = timedelta(days=30)
_REFERENCED = 98
_ALONE = 92
_DOUBT = 85
_OTHER_AMOUNT = 60


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What an invoice for a deal's position would look like. `customer` is the books' ref; `references` are texts
    that an invoice may carry (PO number, the deal's name or ref)."""

    customer: str
    currency: str | None = None
    net: Decimal | None = None
    gross: Decimal | None = None
    won_on: date | None = None
    references: tuple[str, ...] = ()


class InvoiceIndex:
    """Invoices of the books by customer; void ones are left out."""

    def __init__(self, invoices: Iterable[Invoice]) -> None:
        self._by_customer: dict[str, list[Invoice]] = defaultdict(list)
        self._numbers: dict[str, str] = {}
        for invoice in invoices:
            if isinstance(invoice.number, str) and invoice.number:
                self._numbers[invoice.ref] = invoice.number
            if isinstance(invoice.customer, str) and invoice.state != "void":
                self._by_customer[invoice.customer].append(invoice)

    def of(self, customer: str) -> Sequence[Invoice]:
        return self._by_customer.get(customer, ())

    def title(self, ref: str) -> str:
        """`invoice 1091`: by its number where it has one, else by the system's own id."""
        return f"invoice {self._numbers.get(ref, ref)}"


def _amount_reason(wanted: Wanted, invoice: Invoice) -> str | None:
    if wanted.currency is not None and isinstance(invoice.currency, str) and invoice.currency != wanted.currency:
        return None
    if wanted.net is not None and invoice.net == wanted.net:
        return "same net"
    if wanted.gross is not None and invoice.total == wanted.gross:
        return "same total"
    net_told = isinstance(invoice.net, Decimal)
    return "same total" if wanted.net is not None and not net_told and invoice.total == wanted.net else None


def _in_window(wanted: Wanted, invoice: Invoice) -> bool:
    if wanted.won_on is None or not isinstance(invoice.date, date):
        return False
    return abs(invoice.date - wanted.won_on) <= WINDOW


def _texts(invoice: Invoice) -> list[str]:
    told = [invoice.po_number, invoice.memo, invoice.internal_note]
    lines = invoice.lines if isinstance(invoice.lines, tuple) else ()
    return [folded(text) for text in (*told, *(line.text for line in lines)) if isinstance(text, str)]


def _referenced(wanted: Wanted, invoice: Invoice) -> bool:
    """A reference stands in the invoice: alone if it is short, as whole words in a text if it is long enough to
    tell. The invoice's number is no reference: it may equal a deal's by chance."""
    sought = [folded(text) for text in wanted.references if text.strip()]
    return any(one == text or (len(one) > 3 and _within(one, text)) for one in sought for text in _texts(invoice))


def _within(words: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text) is not None


def _judged(wanted: Wanted, invoice: Invoice) -> Candidate | None:
    amount, referenced = _amount_reason(wanted, invoice), _referenced(wanted, invoice)
    said = ["same customer"] + ([amount] if amount is not None else []) + (["same reference"] if referenced else [])
    if amount is not None and _in_window(wanted, invoice):
        days = abs((invoice.date - wanted.won_on).days) if isinstance(invoice.date, date) and wanted.won_on else 0
        said.append("same day" if days == 0 else f"{days} day{'s' if days != 1 else ''} apart")
        return Candidate(invoice.ref, _REFERENCED if referenced else _ALONE, tuple(said))
    if not referenced:
        return None
    said.append("other amount" if amount is None else "more than 30 days apart")
    return Candidate(invoice.ref, _OTHER_AMOUNT if amount is None else _DOUBT, tuple(said))


def match_invoice(wanted: Wanted, index: InvoiceIndex, taken: Collection[str] = ()) -> Match:
    """The existing invoice of a deal won before the cut-over: same customer, same net or gross, within 30 days.
    One: same. Several: the only one that carries a reference, else a person is asked. An invoice with the
    reference and another amount or day is asked about. `taken` invoices belong to other deals: not looked at."""
    found = [one for inv in index.of(wanted.customer) if inv.ref not in taken and (one := _judged(wanted, inv))]
    found.sort(key=lambda one: (-one.score, one.ref))
    best = [one for one in found if one.score == found[0].score]
    if len(best) == 1 and best[0].score >= _ALONE:
        return Match(verdict="same", ref=best[0].ref, score=best[0].score, reasons=best[0].reasons)
    if not found:
        return NO_MATCH
    return Match(verdict="ask", score=found[0].score, reasons=found[0].reasons, candidates=tuple(found[:SHOWN]))


def match_invoices(wanted: Mapping[str, Wanted], index: InvoiceIndex, taken: Collection[str] = ()) -> dict[str, Match]:
    """`match_invoice` for many positions, by their key. A reference beats an amount; positions that claim one
    invoice with equal right are all asked about."""
    first = {key: match_invoice(one, index, taken) for key, one in wanted.items()}
    referenced = _uncontested({key: one for key, one in first.items() if one.score == _REFERENCED})
    gone = {one.ref for one in referenced.values() if one.ref is not None} | set(taken)
    rest = {key: match_invoice(one, index, gone) for key, one in wanted.items() if key not in referenced}
    return {key: (referenced | _uncontested(rest))[key] for key in wanted}


def _uncontested(found: Mapping[str, Match]) -> dict[str, Match]:
    claims = Counter(one.ref for one in found.values())
    return {key: one if claims[one.ref] < 2 else _contested(one) for key, one in found.items()}


def _contested(one: Match) -> Match:
    if one.ref is None:
        return one
    reasons = (*one.reasons, "another deal fits it as well")
    return Match(verdict="ask", score=_DOUBT, reasons=reasons, candidates=(Candidate(one.ref, _DOUBT, reasons),))
