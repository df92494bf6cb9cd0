"""From one side's value to the other's, and back where there is a way back. Pure; what cannot be converted is a
value too (`Unconvertible`), never an exception.

Three layers, CRM to books: the value map's word, the named transform, the type (a property is text, the books'
field may be terms, a tax identity, an amount). Back: the same in reverse.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache

import msgspec

from connectors.canon.fields import FieldType, Value, folded, key, phone_e164
from connectors.canon.values import ABSENT, Address, Money, Price, TaxId, TaxIdentity, Terms
from connectors.kit.contract import Side
from worker.engine.check import tax_scheme, territories

T = FieldType


class Unconvertible(msgspec.Struct, frozen=True):
    """The value cannot travel, and why, in words."""

    reason: str


# --------------------------------------------------------------------------- named transforms


def _phone(text: str, args: tuple[str, ...]) -> str | Unconvertible:
    found = phone_e164(text, args[0] if args else None)
    return found if found is not None else Unconvertible(f'"{text}" is no phone number')


def _same(text: str, args: tuple[str, ...]) -> str | Unconvertible:
    return text


def _add_prefix(text: str, args: tuple[str, ...]) -> str | Unconvertible:
    return args[0] + text


def _drop_prefix(text: str, args: tuple[str, ...]) -> str | Unconvertible:
    if not text.startswith(args[0]):
        return Unconvertible(f'"{text}" does not begin with "{args[0]}"')
    return text[len(args[0]) :]


def _add_suffix(text: str, args: tuple[str, ...]) -> str | Unconvertible:
    return text + args[0]


def _drop_suffix(text: str, args: tuple[str, ...]) -> str | Unconvertible:
    if not text.endswith(args[0]):
        return Unconvertible(f'"{text}" does not end with "{args[0]}"')
    return text[: -len(args[0])]


@cache
def _country_codes() -> dict[str, str]:
    codes = {folded(name): code for code, name in territories().items()}
    return codes | {"usa": "US", "uk": "GB", "u.s.": "US", "u.s.a.": "US", "great britain": "GB", "holland": "NL"}


def _country_code(text: str, args: tuple[str, ...]) -> str | Unconvertible:
    if text.upper() in territories():
        return text.upper()
    code = _country_codes().get(folded(text))
    return code if code is not None else Unconvertible(f'"{text}" is no country')


def _country_name(text: str, args: tuple[str, ...]) -> str | Unconvertible:
    name = territories().get(text.upper())
    return name if name is not None else Unconvertible(f'"{text}" is no country code')


class _Named(msgspec.Struct, frozen=True):
    """How a transform goes to the books and back (None: no way back), and how many arguments it takes."""

    to_books: Callable[[str, tuple[str, ...]], str | Unconvertible]
    to_crm: Callable[[str, tuple[str, ...]], str | Unconvertible] | None
    least: int = 0
    most: int = 0


# `upper`, `lower`, `trim` and `phone` have a way back because texts and numbers are compared folded: what comes
# back means the same, if not in the same letters.
TRANSFORMS: dict[str, _Named] = {
    "phone": _Named(_phone, _same, most=1),
    "upper": _Named(lambda text, args: text.upper(), _same),
    "lower": _Named(lambda text, args: text.lower(), _same),
    "trim": _Named(lambda text, args: text.strip(), _same),
    "prefix": _Named(_add_prefix, _drop_prefix, least=1, most=1),
    "suffix": _Named(_add_suffix, _drop_suffix, least=1, most=1),
    "country": _Named(_country_code, _country_name),
    "first": _Named(lambda text, args: text[: int(args[0])], None, least=1, most=1),
    "digits": _Named(lambda text, args: "".join(c for c in text if c.isdigit()), None),
}


class Transform(msgspec.Struct, frozen=True):
    """A named transform of text: `phone(US)`, `prefix(AC-)`, `first(3)` ... It runs from the CRM to the books;
    back only if `invertible`."""

    name: str
    args: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.args)})" if self.args else self.name

    @property
    def invertible(self) -> bool:
        return TRANSFORMS[self.name].to_crm is not None

    def to_books(self, text: str) -> str | Unconvertible:
        return TRANSFORMS[self.name].to_books(text, self.args)

    def to_crm(self, text: str) -> str | Unconvertible:
        back = TRANSFORMS[self.name].to_crm
        return back(text, self.args) if back is not None else Unconvertible(f"{self} has no way back to the CRM")


_CALL = re.compile(r"(?P<name>[a-z_]+)(?:\((?P<args>.*)\))?", re.DOTALL)


def parse_transform(text: str) -> Transform:
    """`phone(US)` -> Transform("phone", ("US",)). Raises ValueError with the reason in words."""
    found = _CALL.fullmatch(text.strip())
    if found is None or found["name"] not in TRANSFORMS:
        raise ValueError(f'there is no transform "{text}"')
    name, inside = found["name"], found["args"]
    args = (inside,) if inside else ()
    _check_arguments(name, args)
    return Transform(name, args)


def _check_arguments(name: str, args: tuple[str, ...]) -> None:
    named = TRANSFORMS[name]
    if len(args) < named.least:
        raise ValueError(f"{name} needs an argument, like {name}({'3' if name == 'first' else 'AC-'})")
    if len(args) > named.most:
        raise ValueError(f"{name} takes no argument")
    if name == "first" and not (args[0].isdigit() and int(args[0]) > 0):
        raise ValueError(f'first needs a number of letters, not "{args[0]}"')
    if name == "phone" and args and args[0] not in territories():
        raise ValueError(f'"{args[0]}" is no country code, like phone(US)')


# --------------------------------------------------------------------------- value maps


class ValueMap(msgspec.Struct, frozen=True):
    """A table of values, CRM's word -> books' word. Compared folded, given as written. No word is guessed."""

    pairs: tuple[tuple[str, str], ...]

    @property
    def one_to_one(self) -> bool:
        """Whether each word of the books comes from one word of the CRM."""
        return not self.shared

    @property
    def shared(self) -> tuple[str, ...]:
        """Words of the books that several words of the CRM lead to."""
        books = [folded(word) for _, word in self.pairs]
        return tuple(dict.fromkeys(word for _, word in self.pairs if books.count(folded(word)) > 1))

    def to_books(self, text: str) -> str | Unconvertible:
        for crm, books in self.pairs:
            if folded(crm) == folded(text):
                return books
        return Unconvertible(f'"{text}" is not in the value map ({_listed([crm for crm, _ in self.pairs])})')

    def to_crm(self, text: str) -> str | Unconvertible:
        found = [crm for crm, books in self.pairs if folded(books) == folded(text)]
        if len(found) == 1:
            return found[0]
        if found:
            return Unconvertible(f'"{text}" stands for {_listed(found)}: the value map has no single way back')
        return Unconvertible(f'"{text}" is not in the value map ({_listed([books for _, books in self.pairs])})')


def _listed(words: list[str]) -> str:
    shown = ", ".join(words[:5])
    return f"{shown} and {len(words) - 5} more" if len(words) > 5 else shown


# --------------------------------------------------------------------------- types

_TEXTS = frozenset({T.TEXT, T.EMAIL, T.PHONE, T.CODE})
_NET = re.compile(
    r"(?:(?P<percent>\d+(?:\.\d+)?)\s*%?\s*[/ ]\s*(?P<within>\d+)\s*,?\s*)?net\s*(?P<net>\d+)", re.IGNORECASE
)
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_TYPE_WORDS = {
    T.FLAG: "yes or no",
    T.DAY: "a day (2026-11-23)",
    T.INSTANT: "a time (2026-11-23T09:00:00+00:00)",
    T.DECIMAL: "a number",
    T.MONEY: "an amount",
    T.PRICE: "a price",
    T.ADDRESS: "an address",
    T.REF: "a link between records",
}


def convertible(source: FieldType, target: FieldType) -> bool:
    """Whether values of one type can become the other: the same type, or text on one side. An address in one text
    cannot be taken apart again; a ref means nothing at the other system."""
    if T.REF in (source, target) or (target is T.ADDRESS and source is not T.ADDRESS):
        return False
    return source is target or source in _TEXTS or target in _TEXTS or {source, target} == {T.MONEY, T.DECIMAL}


def terms_from_text(text: str) -> Terms:
    """Terms by their name; "Net 30" and "2/10 net 30" also say their days, "Due on receipt" none."""
    if folded(text) in ("due on receipt", "immediately", "due upon receipt"):
        return Terms(name=text, net_days=0)
    found = _NET.fullmatch(text.strip())
    if found is None:
        return Terms(name=text)
    percent, within = found["percent"], found["within"]
    return Terms(
        name=text,
        net_days=int(found["net"]),
        discount_percent=Decimal(percent) if percent else None,
        discount_days=int(within) if within else None,
    )


def _tax_from_text(text: str, current: Value, region: str | None) -> Value | Unconvertible:
    if isinstance(current, TaxIdentity) and current.masked:
        return Unconvertible("the other side shows its tax id with stars in it, so it is left alone")
    held = current if isinstance(current, TaxIdentity) else TaxIdentity()
    scheme = tax_scheme(text, region)
    if scheme is None:
        scheme = held.ids[0].scheme if held.ids else None
    if scheme is None:
        return Unconvertible(
            f'which country "{text}" is a tax id of is not known; begin it with the country\'s letters'
        )
    others = tuple(one for one in held.ids if one.scheme != scheme)
    return msgspec.structs.replace(held, ids=(TaxId(scheme, text), *others))


def _money_from_text(text: str, current: Value) -> Value | Unconvertible:
    first, _, rest = text.partition(" ")
    currency, digits = (first, rest) if rest and first.isalpha() and len(first) == 3 else (None, text)
    if currency is None and isinstance(current, Money):
        currency = current.currency
    if currency is None:
        return Unconvertible(f'"{text}" names no currency')
    return Money(Decimal(digits.replace(",", "")), currency)


def _price_from_text(text: str, current: Value) -> Value:
    held = current if isinstance(current, Price) else Price(Decimal(0), None)
    return msgspec.structs.replace(held, amount=Decimal(text))


def _typed(target: FieldType, text: str, current: Value, region: str | None) -> Value | Unconvertible:
    match target:
        case T.FLAG:
            return _FLAGS[folded(text)]
        case T.DAY:
            return date.fromisoformat(text[:10])
        case T.INSTANT:
            return datetime.fromisoformat(text)
        case T.DECIMAL:
            return Decimal(text)
        case T.MONEY:
            return _money_from_text(text, current)
        case T.PRICE:
            return _price_from_text(text, current)
        case T.TAX_IDENTITY:
            return _tax_from_text(text, current, region)
        case T.TERMS:
            return terms_from_text(text)
        case T.ADDRESS | T.REF:
            return Unconvertible(f'"{text}" is not {_TYPE_WORDS[target]}')
        case _:
            return text


def from_text(target: FieldType, text: str, current: Value = None, region: str | None = None) -> Value | Unconvertible:
    """A typed value from a text. `current` is what the field holds now; its other parts (status of a tax identity,
    currency of a price) are kept."""
    try:
        return _typed(target, text.strip(), current, region)
    except (ValueError, KeyError, InvalidOperation):
        return Unconvertible(f'"{text}" is not {_TYPE_WORDS.get(target, target.value)}')


def _terms_text(value: Terms) -> str:
    if value.name is not None:
        return value.name
    return f"Net {value.net_days}" if value.net_days else "Due on receipt"


def _address_text(value: Address) -> str:
    parts = (*value.lines, value.city, value.region, value.postcode, value.country)
    return ", ".join(part for part in parts if part is not None and part.strip())


def to_text(value: Value) -> str | Unconvertible | None:
    """One text for a value that is there: what a plain property holds. None: it has nothing a text could say (a
    tax status without a number)."""
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal():
            return format(value, "f")
        case date():  # a datetime too
            return value.isoformat()
        case Money() | Price():
            return format(value.amount, "f")
        case TaxIdentity():
            return _tax_text(value)
        case Terms():
            return _terms_text(value)
        case Address():
            return _address_text(value)
        case _:
            return str(value)


def _tax_text(value: TaxIdentity) -> str | Unconvertible | None:
    if value.masked:
        return Unconvertible("the tax id was read with stars in it")
    return value.ids[0].value if value.ids else None


def _emptied(target: FieldType | None, current: Value) -> Value:
    """What an emptied text leaves of the other side's value: a tax identity loses its numbers, not its status."""
    if target is T.TAX_IDENTITY and isinstance(current, TaxIdentity) and not current.masked:
        left = msgspec.structs.replace(current, ids=())
        return None if is_empty(target, left) else left
    return None


def _own(value: Value) -> Value:
    """Without what only its own system understands: the id of its terms."""
    return msgspec.structs.replace(value, ref=None) if isinstance(value, Terms) else value


# --------------------------------------------------------------------------- a rule's conversion


def is_empty(kind: FieldType | None, value: Value) -> bool:
    """Known to be empty: None, blank text, an address of nothing. Not ABSENT, not zero, not False."""
    return value is not ABSENT and key(kind if kind is not None else T.TEXT, value) is None


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """All that stands between a CRM value and the books' value of one rule: value map, transform and types."""

    crm_type: FieldType | None
    books_type: FieldType | None
    transform: Transform | None = None
    values: ValueMap | None = None
    region: str | None = None

    @property
    def two_way(self) -> bool:
        """Whether every value that travels can travel back."""
        there_and_back = self.transform is None or self.transform.invertible
        return there_and_back and (self.values is None or self.values.one_to_one)

    @property
    def _plain(self) -> bool:
        return self.transform is None and self.values is None and self.crm_type is self.books_type

    def to_books(self, value: Value, current: Value = None) -> Value | Unconvertible:
        """The books' value for a CRM value; `current` is what the books hold, whose other parts are kept. Empty
        stays empty and ABSENT stays ABSENT, whatever the transform."""
        steps = [step.to_books for step in (self.values, self.transform) if step is not None]
        return self._convert(value, steps, (self.crm_type, self.books_type), current)

    def to_crm(self, value: Value, current: Value = None) -> Value | Unconvertible:
        """The CRM's value for a value of the books, as `to_books`."""
        steps = [step.to_crm for step in (self.transform, self.values) if step is not None]
        return self._convert(value, steps, (self.books_type, self.crm_type), current)

    def _convert(
        self,
        value: Value,
        steps: Sequence[Callable[[str], str | Unconvertible]],
        types: tuple[FieldType | None, FieldType | None],
        current: Value,
    ) -> Value | Unconvertible:
        source, target = types
        if value is ABSENT or (self._plain and not is_empty(source, value)):
            return _own(value)
        text = None if is_empty(source, value) else to_text(value)
        for step in steps:
            if text is None or isinstance(text, Unconvertible):
                break
            text = step(text)
        if isinstance(text, Unconvertible):
            return text
        return _emptied(target, current) if text is None else self._from_text(target, text, current)

    def _from_text(self, target: FieldType | None, text: str, current: Value) -> Value | Unconvertible:
        return from_text(target if target is not None else T.TEXT, text, current, self.region)

    def same(self, crm: Value, books: Value) -> bool:
        """Whether the two mean the same, by canonical key, through the conversion one way or the other: what has
        no way back is compared forwards, what is poorer on one side (a tax id as text) in the poorer form."""
        if ABSENT in (crm, books):
            return crm is books
        there, back = self.to_books(crm, books), self.to_crm(books, crm)
        return self._equal(self.books_type, there, books) or self._equal(self.crm_type, back, crm)

    def _equal(self, kind: FieldType | None, one: Value | Unconvertible, other: Value) -> bool:
        if isinstance(one, Unconvertible):
            return False
        kind = kind if kind is not None else T.TEXT
        return key(kind, one, self.region) == key(kind, other, self.region)

    def unchanged(self, side: Side, one: Value, other: Value) -> bool:
        """Whether two values of the same side are one by canonical key."""
        return self._equal(self.crm_type if side == "crm" else self.books_type, one, other)
