"""A value of a person's own, settled on for a field in conflict: written to both sides. Pure.

Such a decision stands until each side has had its write. It is void for a side that somebody edited after it was
made: then the field is merged as any other, and asked about again if it must be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from connectors.canon.fields import FieldType, Value, from_json, to_json
from connectors.canon.values import ABSENT, Address, Money, Price, Terms
from connectors.kit.contract import Side
from worker.engine.check import check
from worker.engine.mapping_model import FieldRule
from worker.engine.plan import FieldChange
from worker.engine.transform import Unconvertible

T = FieldType
SIDES: tuple[Side, Side] = ("crm", "books")


class OwnValue(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided: the value as each side is to hold it, what each side showed at that moment, and the sides
    that have had their write. Values as `to_json` writes them."""

    crm: Any
    books: Any
    shown_crm: Any
    shown_books: Any
    done: tuple[Side, ...] = ()

    def wanted(self, rule: FieldRule, side: Side) -> Value:
        return from_json(_type(rule, side), self.crm if side == "crm" else self.books)

    def shown(self, rule: FieldRule, side: Side) -> Value:
        return from_json(_type(rule, side), self.shown_crm if side == "crm" else self.shown_books)


def _type(rule: FieldRule, side: Side) -> FieldType:
    return (rule.crm_type if side == "crm" else rule.books_type) or T.TEXT


def takes_own_value(rule: FieldRule) -> bool:
    """Whether a person can give a value of their own: only where the field travels both ways, and can be typed."""
    return rule.direction == "two-way" and not rule.stays_home and _type(rule, "crm") in TYPED


TYPED = (T.TEXT, T.EMAIL, T.PHONE, T.CODE, T.DECIMAL, T.DAY, T.MONEY, T.PRICE, T.TERMS, T.ADDRESS)


def own_value(rule: FieldRule, text: str, crm: Value, books: Value, region: str | None) -> OwnValue | str:
    """What a person typed, as each side is to hold it; or why it cannot be taken, in words. An address is typed as
    JSON with its parts."""
    if not takes_own_value(rule):
        return "this field cannot be edited here: change it in one of the two systems, then keep that one"
    try:
        value = _typed(_type(rule, "crm"), text.strip(), crm)
    except (ValueError, InvalidOperation, msgspec.ValidationError):
        return f'"{text}" is no {_type(rule, "crm").value.replace("_", " ")}: {_LIKE.get(_type(rule, "crm"), "")}'
    refused = check(rule.check, value, region) if rule.check is not None else None
    if refused is not None:
        return refused
    there = rule.conversion.to_books(value, books)
    if isinstance(there, Unconvertible):
        return there.reason
    return OwnValue(crm=to_json(value), books=to_json(there), shown_crm=to_json(crm), shown_books=to_json(books))


def put_back(rule: FieldRule, side: Side, lost: Value, now: dict[Side, Value], region: str | None) -> OwnValue | str:
    """A value that was lost at a side, to stand there again and, where the field travels, on the other side too; or
    why it cannot, in words. `now`: what each side holds."""
    other: Side = "books" if side == "crm" else "crm"
    there: Value | Unconvertible = now[other]
    if rule.writes(other):
        refused = check(rule.check, lost, region) if rule.check is not None else None
        if refused is not None:
            return refused
        convert = rule.conversion.to_books if side == "crm" else rule.conversion.to_crm
        there = convert(lost, now[other])
    if isinstance(there, Unconvertible):
        return there.reason
    wanted = {side: to_json(lost), other: to_json(there)}
    return OwnValue(
        crm=wanted["crm"],
        books=wanted["books"],
        shown_crm=to_json(now["crm"]),
        shown_books=to_json(now["books"]),
        done=() if rule.writes(other) else (other,),
    )


_LIKE = {
    T.DECIMAL: "write it like 12.50",
    T.MONEY: "write it like 12.50 USD",
    T.PRICE: "write it like 12.50 USD",
    T.DAY: "write it like 2026-11-23",
    T.TERMS: "write it like net 30",
}
_AMOUNT = re.compile(r"(?:(?P<before>[A-Z]{3}) ?)?(?P<amount>-?[\d,]+(?:\.\d+)?)(?: ?(?P<after>[A-Z]{3}))?")
_NET = re.compile(r"(?:net )?(?P<days>\d{1,3})(?: days)?", re.IGNORECASE)


def _typed(kind: FieldType, text: str, current: Value) -> Value:
    if not text:
        return None
    match kind:
        case T.DECIMAL:
            return Decimal(text.replace(",", ""))
        case T.DAY:
            return date.fromisoformat(text)
        case T.MONEY | T.PRICE:
            return _amount(kind, text, current)
        case T.TERMS:
            found = _NET.fullmatch(text)
            if found is None:
                raise ValueError(text)
            return Terms(name=f"Net {int(found['days'])}", net_days=int(found["days"]))
        case T.ADDRESS:
            return msgspec.json.decode(text, type=Address)
        case _:
            return text


def _amount(kind: FieldType, text: str, current: Value) -> Value:
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise ValueError(text)
    known = current.currency if isinstance(current, Money | Price) else None
    currency = found["before"] or found["after"] or known
    if currency is None:
        raise ValueError(text)
    amount = Decimal(found["amount"].replace(",", ""))
    if kind is T.MONEY:
        return Money(amount, currency)
    return Price(amount, currency, current.includes_tax if isinstance(current, Price) else False)


def still_to_write(rule: FieldRule, said: OwnValue, crm: Value, books: Value) -> tuple[Side, ...] | None:
    """The sides that still have to be written; none: the decision is carried out. None: it is void, since a side
    holds what was neither shown nor wanted."""
    now: dict[Side, Value] = {"crm": crm, "books": books}
    left = [side for side in SIDES if side not in said.done]
    left = [side for side in left if not rule.conversion.unchanged(side, now[side], said.wanted(rule, side))]
    for side in left:
        if now[side] is ABSENT or not rule.conversion.unchanged(side, now[side], said.shown(rule, side)):
            return None
    return tuple(left)


def own_changes(
    rule: FieldRule, said: OwnValue, now: dict[Side, Value], sides: Iterable[Side]
) -> dict[Side, FieldChange]:
    """One field change for each side to be written. `both`: each stands on its own, whatever the other side holds."""
    return {
        side: FieldChange(
            path=rule.path(side),
            rule=rule.key,
            type=_type(rule, side),
            before=now[side],
            after=said.wanted(rule, side),
            overwrites=now[side],
            both=True,
        )
        for side in sides
    }


NEVER_ALWAYS = frozenset(
    ("legal_name", "display_name", "tax_identity", "currency", "bill_to", "parent", "payment_terms", "credit_limit",
     "on_hold", "receivable_account", "default_tax_code", "emails.billing", "emails.statements", "income_account",
     "tax_class", "hsn_sac", "sku")
)  # fmt: skip


def may_prefer(rule: FieldRule) -> bool:
    """Whether a rule "always prefer this side" may be offered: not for money, tax, identity or billing e-mail
    (accounting.md, "Who may do what")."""
    types = {rule.crm_type, rule.books_type}
    paths = {rule.crm, rule.books}
    return not types & {T.MONEY, T.PRICE, T.DECIMAL, T.TAX_IDENTITY, T.TERMS} and not paths & NEVER_ALWAYS


class Put(msgspec.Struct, frozen=True):
    """A verdict beside those of the merge: write these, each to its side."""

    changes: dict[Side, FieldChange]
