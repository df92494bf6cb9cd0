"""The field rules of a mapping: one line of YAML -> FieldRule, and what accounting says where it is silent. Pure.

Silent about authority: the default below (crm for names, books for money and tax), else the sending side of a
one-way rule, else `ask`. Silent about direction: what the books decide by nature (terms, credit limit, balances)
travels to the CRM only, whatever the flow says; everything else follows the flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec

from connectors.canon.fields import ALIASES, FIELDS, FieldType, canonical_path
from connectors.canon.records import Kind
from connectors.kit.contract import Side
from worker.engine.check import CheckName
from worker.engine.mapping_model import SETTLEMENT, Authority, Direction, FieldRule
from worker.engine.transform import TRANSFORMS, Conversion, Transform, ValueMap, convertible, parse_transform
from worker.engine.yaml_lines import Section, did_you_mean

DIRECTIONS = ("two-way", "crm-to-books", "books-to-crm")
AUTHORITIES = ("crm", "books", "ask")
T = FieldType

# Who decides if the mapping does not say.
_AUTHORITY: dict[Kind, dict[str, Authority]] = {
    Kind.CUSTOMER: {
        "legal_name": "crm",
        "emails.general": "crm",
        "emails.billing": "books",  # invoice redirection is a fraud path
        "emails.statements": "books",
        "addresses.billing": "books",
        "addresses.shipping": "crm",
        "addresses.registered": "books",
        "tax_identity": "books",
        "currency": "books",
        "payment_terms": "books",
        "credit_limit": "books",
        "on_hold": "books",
        "language": "books",
        "receivable_account": "books",
        "default_tax_code": "books",
        "owner": "crm",
        "balance": "books",
        "overdue": "books",
        "unapplied": "books",
    },
    Kind.ITEM: {"description": "ask", "income_account": "books", "hsn_sac": "books", "active": "books"},
}
# Fields whose authority shifts once a customer has a posted document, if the mapping names none.
_AFTER_POSTING: dict[str, Authority] = {"legal_name": "ask"}
# What travels from the books to the CRM unless the rule itself says otherwise, and what never travels back.
_OUT_OF_BOOKS = frozenset({"payment_terms", "credit_limit", "on_hold", "language"})
_ONLY_OUT_OF_BOOKS = frozenset({"balance", "overdue", "unapplied"})
_NEVER: dict[Kind, dict[str, str]] = {
    Kind.CUSTOMER: {
        "display_name": "it is the books' own, unique name, and never travels: map legal_name",
        "parent": "it is a link between records, kept by matching, and no field to map",
        "bill_to": "it is a link between records, kept by matching, and no field to map",
    },
    Kind.ITEM: {"cost": "what things cost never leaves the books"},
}
_CHECKS: dict[str, frozenset[FieldType]] = {
    "email": frozenset({T.EMAIL, T.TEXT}),
    "phone": frozenset({T.PHONE, T.TEXT}),
    "address": frozenset({T.ADDRESS}),
    "tax_id": frozenset({T.TAX_IDENTITY, T.TEXT}),
    "currency": frozenset({T.CODE, T.TEXT}),
}


class RuleBook(msgspec.Struct, frozen=True):
    """What the rules of one flow are read against: the kinds of both sides (`books` None: a settlement), the
    flow's direction, and the region of phone numbers."""

    crm: Kind
    books: Kind | None
    direction: Direction
    region: str | None

    def paths(self, side: Side) -> dict[str, FieldType]:
        if side == "books" and self.books is None:
            return SETTLEMENT
        return FIELDS[self.crm if side == "crm" else self.books or self.crm]

    def canonical(self, side: Side, path: str) -> str:
        kind = self.crm if side == "crm" else self.books
        return path if kind is None else canonical_path(kind, path)

    def type(self, side: Side, path: str) -> FieldType | None:
        return T.TEXT if self._own_field(side, path) else self.paths(side).get(path)

    def _own_field(self, side: Side, path: str) -> bool:
        kind = self.crm if side == "crm" else self.books
        return kind is not None and path.startswith("properties.") and len(path) > len("properties.")

    def names(self, side: Side) -> list[str]:
        kind = self.crm if side == "crm" else self.books
        return [*self.paths(side), *(ALIASES.get(kind, {}) if kind is not None else {})]


def read_rules(flow: Section, book: RuleBook) -> tuple[FieldRule, ...]:
    """The rules under `fields`. Two rules that write one field are a problem."""
    rules = []
    for section in flow.sections("fields"):
        rule = _read_rule(section, book)
        section.finish()
        if rule is not None:
            rules.append(rule)
            _check_alone(section, rule, rules[:-1])
    return tuple(rules)


def _read_rule(section: Section, book: RuleBook) -> FieldRule | None:
    crm, books = _path(section, "crm", book), _path(section, "books", book)
    told = [name for name in ("authority", "direction", "transform", "values", "check") if name in section]
    if section.sound and crm is None and books is None:
        section.problems.add(section.node, section.path, "a rule names a field of crm, of books, or of both")
    draft = _Draft(section=section, book=book, crm=crm, books=books)
    rule = draft.rule()
    if (crm is None) != (books is None) and told and section.sound:
        section.wrong(told[0], f"the field has no counterpart and stays home, so {told[0]} says nothing")
    return rule if section.sound else None


def _path(section: Section, side: Side, book: RuleBook) -> str | None:
    word = section.text(side)
    if word is None:
        return None
    path = book.canonical(side, word)
    if book.type(side, path) is None:
        kind = "settlement" if side == "books" and book.books is None else (book.books if side == "books" else book.crm)
        what = kind if isinstance(kind, str) and not isinstance(kind, Kind) else str(kind)
        section.wrong(side, f'a {what.replace("_", " ")} has no field "{word}"', did_you_mean(word, book.names(side)))
        return None
    return path


class _Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A rule being read."""

    section: Section
    book: RuleBook
    crm: str | None
    books: str | None

    def rule(self) -> FieldRule:
        section = self.section
        said = section.choice("authority", AUTHORITIES)
        direction = self._direction()
        conversion = self._conversion()
        rule = FieldRule(
            key=f"{self.crm or ''}:{self.books or ''}",
            crm=self.crm,
            books=self.books,
            crm_type=conversion.crm_type,
            books_type=conversion.books_type,
            authority=cast(Authority, said) if said is not None else self._default_authority(direction),
            direction=direction,
            conversion=conversion,
            check=cast(CheckName | None, section.choice("check", list(_CHECKS))),
            after_posting=_AFTER_POSTING.get(self.books or "") if said is None else None,
            said=said is not None,
            derived=self.book.books is None,
            line=section.line,
            column=section.column,
        )
        if not rule.stays_home:
            self._refuse(rule)
        return rule

    def _in_table(self) -> Sequence[str]:
        """The canonical fields that the rule is about, the books' name first."""
        return [path for path in (self.books, self.crm) if path is not None and not path.startswith("properties.")]

    def _direction(self) -> Direction:
        said = self.section.choice("direction", DIRECTIONS)
        if said is not None:
            return cast(Direction, said)
        one_way = _OUT_OF_BOOKS | _ONLY_OUT_OF_BOOKS
        if self.book.books is Kind.CUSTOMER and any(path in one_way for path in self._in_table()):
            return "books-to-crm"
        return self.book.direction

    def _default_authority(self, direction: Direction) -> Authority:
        table = _AUTHORITY.get(self.book.crm, {})
        found = next((table[path] for path in self._in_table() if path in table), None)
        sender: dict[str, Authority] = {"crm-to-books": "crm", "books-to-crm": "books"}
        return found if found is not None else sender.get(direction, "ask")

    def _conversion(self) -> Conversion:
        transform, pairs = self._transform(), self.section.pairs("values")
        region = self.book.region
        if transform is not None and transform.name == "phone" and transform.args:
            region = transform.args[0]
        return Conversion(
            crm_type=self.book.type("crm", self.crm) if self.crm is not None else None,
            books_type=self.book.type("books", self.books) if self.books is not None else None,
            transform=transform,
            values=ValueMap(tuple(pairs)) if pairs is not None else None,
            region=region,
        )

    def _transform(self) -> Transform | None:
        word = self.section.text("transform")
        if word is None:
            return None
        try:
            return parse_transform(word)
        except ValueError as error:
            name = word.partition("(")[0].strip()
            hint = did_you_mean(name, list(TRANSFORMS)) if name not in TRANSFORMS else None
            self.section.wrong("transform", str(error), hint)
            return None

    def _refuse(self, rule: FieldRule) -> None:
        """What a rule may not say, though each word of it is known."""
        never = _NEVER.get(self.book.crm, {})
        for side in ("crm", "books"):
            path = rule.crm if side == "crm" else rule.books
            if path in never:
                self.section.wrong(side, f"{path}: {never[path]}")
                return
        self._refuse_types(rule)
        self._refuse_no_way_back(rule)
        self._refuse_check(rule)
        if rule.books in _ONLY_OUT_OF_BOOKS and rule.direction != "books-to-crm":
            self.section.wrong("direction", f"{rule.books} is what the books say: it travels books-to-crm only")

    def _refuse_types(self, rule: FieldRule) -> None:
        crm, books = rule.crm_type, rule.books_type
        if crm is None or books is None:
            return
        writes_books, writes_crm = rule.writes("books"), rule.writes("crm")
        through_text = rule.transform is not None or rule.values is not None
        if (writes_books and not convertible(crm, books)) or (writes_crm and not convertible(books, crm)):
            self.section.wrong("books", f"{rule.crm} ({_word(crm)}) and {rule.books} ({_word(books)}) do not convert")
        elif through_text and T.ADDRESS in (crm, books):
            self.section.wrong("transform" if rule.transform else "values", "an address travels whole, untransformed")

    def _refuse_no_way_back(self, rule: FieldRule) -> None:
        """Two-way, and books to CRM, need a way back from the books' value."""
        if not rule.writes("crm"):
            return
        hint = "Say direction: crm-to-books, or leave it out."
        if rule.transform is not None and not rule.transform.invertible:
            self.section.wrong(
                "transform", f"{rule.transform} has no way back, so the field cannot travel {rule.direction}", hint
            )
        if rule.values is not None and not rule.values.one_to_one:
            shared = ", ".join(f'"{word}"' for word in rule.values.shared)
            self.section.wrong(
                "values",
                f"several words lead to {shared}: with no way back the field cannot travel {rule.direction}",
                hint,
            )

    def _refuse_check(self, rule: FieldRule) -> None:
        if rule.check is None:
            return
        fitting = _CHECKS[rule.check]
        if rule.crm_type not in fitting and rule.books_type not in fitting:
            self.section.wrong("check", f"the check {rule.check} cannot judge {rule.books}")


def _word(kind: FieldType) -> str:
    return kind.value.replace("_", " ")


def _check_alone(section: Section, rule: FieldRule, before: Sequence[FieldRule]) -> None:
    for other in before:
        for side in ("crm", "books"):
            path = rule.crm if side == "crm" else rule.books
            if path is None or path != (other.crm if side == "crm" else other.books):
                continue
            if rule.key == other.key or (rule.writes(side) and other.writes(side)):
                section.wrong(side, f"{path} is written by the rule in line {other.line} already")
                return
