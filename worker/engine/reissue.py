"""Credit and re-issue: what a person answered about a posted document that its deal does not agree with any more, as
changes. A posted document is never edited: it is credited in full, and another one takes its place. Pure.

The two stand and fall together. The new document comes first, for it can be voided again if the old one cannot be
credited; a credit note could not be taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

from connectors.canon.records import Deal, Invoice, Kind
from connectors.canon.values import Money
from worker.engine.drawing import title_of
from worker.engine.plan import Change, Relied, relied_digest
from worker.engine.undo import brought, credit_note

# To be credited and made anew, or credited alone: answers to a question about a document.
Answer: TypeAlias = Literal["reissue", "credit"]
ANSWERS: tuple[Answer, ...] = ("reissue", "credit")


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """A position's document as it stands. `refs`: its live documents, of which `invoice` is the oldest, or None if it
    cannot be read; `net` is what the position was billed for; `applied` says whether the books bring a credit note to
    its invoice when it is made, and `by_payment` whether a payment of zero does so where they do not."""

    refs: tuple[str, ...]
    invoice: Invoice | None
    net: Money
    applied: bool = True
    by_payment: bool = False

    @property
    def called(self) -> str:
        """`invoice 1042`."""
        return f"invoice {number_of(self.invoice) if self.invoice is not None else self.refs[0]}"


def number_of(invoice: Invoice) -> str:
    """What people call it."""
    return invoice.number if isinstance(invoice.number, str) and invoice.number else invoice.ref


def why_not(posted: Posted) -> str | None:
    """Why it cannot be credited; None: it can. What others applied to it is never taken off."""
    invoice = posted.invoice
    if invoice is None:
        return f"{posted.called} cannot be read"
    if len(posted.refs) > 1:
        return f"{len(posted.refs)} documents stand for it: void one first"
    if invoice.state != "posted":
        return f"{posted.called} is not posted"
    if isinstance(invoice.balance, Decimal) and invoice.balance != invoice.total:
        return f"part of {posted.called} is settled: take that off first"
    return None


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """What a credit note is made with: the deal (None: it is gone) and its ref, the day it is dated, its marker, and
    that of the payment that brings it to its document (`applying`)."""

    deal: Deal | None
    deal_ref: str
    day: date
    marker: str
    new_id: Callable[[str], str]
    applying: str = ""


def credited(posted: Posted, how: Credit, why: str) -> Change:
    """A credit note for all of a document, if both stand as they were read."""
    invoice = posted.invoice
    if invoice is None:
        raise ValueError(f"{posted.called} cannot be read")
    on = "" if posted.applied or posted.by_payment else "; apply it to the invoice by hand"
    return Change(
        id=how.new_id("ch"),
        flow="invoices",
        side="books",
        kind=Kind.CREDIT_NOTE,
        operation="create",
        source_kind=Kind.DEAL,
        source_ref=how.deal_ref,
        title=f"credit for {posted.called}"
        if how.deal is None
        else f"{title_of(how.deal)}: credit for {posted.called}",
        why=f"{why}; dated {how.day}{on}",
        record=credit_note(invoice, how.day),
        requires=(*_deal(how), Relied("books", Kind.INVOICE, invoice.ref, relied_digest(invoice))),
        marker=how.marker,
        net=_net(invoice, posted.net),
        total=invoice.total if isinstance(invoice.total, Decimal) else None,
    )


def applied(note: Change, posted: Posted, how: Credit) -> list[Change]:
    """What brings a credit note to its document, where the books do not do so by themselves."""
    if posted.invoice is None or not posted.by_payment:
        return []
    return brought(note, posted.invoice, how.applying, how.new_id("ch"))


def _deal(how: Credit) -> Sequence[Relied]:
    return () if how.deal is None else (Relied("crm", Kind.DEAL, how.deal.ref, relied_digest(how.deal)),)


def _net(invoice: Invoice, billed: Money) -> Money:
    """What is really posted; what was billed, where the books do not tell."""
    return Money(invoice.net, billed.currency) if isinstance(invoice.net, Decimal) else billed


def reissued(new: Change, note: Change, posted: Posted) -> tuple[Change, Change]:
    """The two as a group: the new document, voided again if the old one is not credited, then the credit note. Both
    rely on the old document, so that one that moved keeps both from being sent."""
    relied = tuple(each for each in note.requires if each.side == "books")
    first = msgspec.structs.replace(
        new,
        title=f"{new.title}: instead of {posted.called}",
        group_id=new.id,
        group_seq=1,
        compensation="void",
        requires=(*new.requires, *relied),
    )
    group = f"re{first.id}"
    return (
        msgspec.structs.replace(first, group_id=group),
        msgspec.structs.replace(note, group_id=group, group_seq=2, needs=(*note.needs, new.id)),
    )


def is_answer(change: Change) -> bool:
    """Whether a change carries out such an answer."""
    if change.undoes is not None or change.source_kind is not Kind.DEAL or change.operation != "create":
        return False
    return change.kind is Kind.CREDIT_NOTE or (change.kind is Kind.INVOICE and change.group_id not in ("", change.id))
