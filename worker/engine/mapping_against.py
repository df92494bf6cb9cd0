"""What a mapping asks of its two systems, held against what they can do and have. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from connectors.canon.fields import FieldType
from connectors.canon.records import Kind
from connectors.kit.contract import Catalogue, Facts, FieldInfo, KindFacts, Operation, Side
from worker.engine import mapping_model as m
from worker.engine.yaml_lines import did_you_mean

_PROPERTY = "properties."
_CUSTOMERS, _ITEMS, _INVOICES, _PAYMENTS = (f"flows.{name}" for name in ("customers", "items", "invoices", "payments"))


class _End(msgspec.Struct, frozen=True):
    """One side: what its system declares, and how the account is set up."""

    side: Side
    facts: Facts
    catalogue: Catalogue

    @property
    def title(self) -> str:
        return self.facts.title

    def kind(self, kind: Kind) -> KindFacts | None:
        return self.facts.kinds.get(kind)

    def fields(self, kind: Kind) -> dict[str, FieldInfo]:
        return {info.name: info for info in self.catalogue.fields.get(kind, ())}


def check_against(
    mapping: m.Mapping, crm: Facts, crm_catalogue: Catalogue, books: Facts, books_catalogue: Catalogue
) -> list[m.Problem]:
    """What the mapping asks of the two systems that they cannot do, or do not have, in the order of the text.
    Empty: it can be saved."""
    ends: dict[Side, _End] = {
        "crm": _End("crm", crm, crm_catalogue),
        "books": _End("books", books, books_catalogue),
    }
    found = [
        *_sides(mapping, ends),
        *_records(mapping.customers, Kind.CUSTOMER, _CUSTOMERS, ends),
        *_records(mapping.items, Kind.ITEM, _ITEMS, ends),
        *_invoices(mapping.invoices, ends),
        *_payments(mapping.payments, ends),
        *_guards(mapping.guards, ends["books"]),
    ]
    return sorted(found, key=lambda problem: (problem.line, problem.column))


def fit(
    mapping: m.Mapping, crm: Facts, crm_catalogue: Catalogue, books: Facts, books_catalogue: Catalogue
) -> m.Mapping:
    """The mapping without those implied rules that the two systems cannot carry. Its version stays: the text means
    the same, the systems decide what of it they can."""
    ends: dict[Side, _End] = {
        "crm": _End("crm", crm, crm_catalogue),
        "books": _End("books", books, books_catalogue),
    }
    customers, items = mapping.customers, mapping.items
    if customers is not None:
        customers = msgspec.structs.replace(customers, fields=_carried(customers.fields, Kind.CUSTOMER, ends))
    if items is not None:
        items = msgspec.structs.replace(items, fields=_carried(items.fields, Kind.ITEM, ends))
    return msgspec.structs.replace(mapping, customers=customers, items=items)


def _carried(rules: tuple[m.FieldRule, ...], kind: Kind, ends: dict[Side, _End]) -> tuple[m.FieldRule, ...]:
    return tuple(rule for rule in rules if not rule.implied or not list(_rule(rule, kind, "", ends)))


def _problem(line: int, path: str, message: str, hint: str | None = None, column: int = 1) -> m.Problem:
    return m.Problem(max(line, 1), max(column, 1), path, message, hint)


def _sides(mapping: m.Mapping, ends: dict[Side, _End]) -> Iterator[m.Problem]:
    for side, word in (("crm", mapping.crm), ("books", mapping.books)):
        end = ends["crm" if side == "crm" else "books"]
        if word != end.facts.system:
            yield _problem(1, side, f'the pair is connected to {end.title}, and the mapping says "{word}"')
        elif end.side not in end.facts.sides:
            yield _problem(1, side, f"{end.title} cannot be the {side} of a pair")


# --------------------------------------------------------------------------- customers and items


def _records(
    flow: m.CustomersFlow | m.ItemsFlow | None, kind: Kind, path: str, ends: dict[Side, _End]
) -> Iterator[m.Problem]:
    if flow is None:
        return
    lacking = [end for end in ends.values() if end.kind(kind) is None]
    for end in lacking:
        yield _problem(flow.line, path, f"{end.title} has no {kind.value}s")
    if lacking:
        return
    yield from _operations(flow, kind, path, ends)
    for number, rule in enumerate(flow.fields):
        if not rule.implied:
            yield from _rule(rule, kind, f"{path}.fields[{number}]", ends)


def _rule(rule: m.FieldRule, kind: Kind, path: str, ends: dict[Side, _End]) -> Iterator[m.Problem]:
    for side, end in ends.items():
        yield from _field(rule, end, kind, f"{path}.{side}")


def _operations(
    flow: m.CustomersFlow | m.ItemsFlow, kind: Kind, path: str, ends: dict[Side, _End]
) -> Iterator[m.Problem]:
    asked: list[tuple[Side, str, Operation, bool]] = [
        ("books", "create.books", "create", flow.create_books != "never" and flow.direction != "books-to-crm"),
        ("crm", "create.crm", "create", flow.create_crm != "never" and flow.direction != "crm-to-books"),
        ("books", "removed.crm", "archive", flow.removed_crm == "deactivate" and flow.direction != "books-to-crm"),
        (
            "crm",
            "removed.books",
            "archive",
            flow.removed_books == "deactivate" and flow.direction != "crm-to-books",
        ),
        ("crm", "fields", "update", any(rule.writes("crm") for rule in flow.fields)),
        ("books", "fields", "update", any(rule.writes("books") for rule in flow.fields)),
    ]
    for side, name, operation, wanted in asked:
        if wanted and not _can(ends[side], kind, operation):
            verb = "make inactive" if operation == "archive" else operation
            yield _problem(flow.line, f"{path}.{name}", f"Tieout cannot {verb} a {kind.value} in {ends[side].title}")


def _can(end: _End, kind: Kind, operation: Operation) -> bool:
    facts = end.kind(kind)
    if facts is None:
        return False
    return operation in facts.operations or (operation == "archive" and "active" in facts.writable)


def _field(rule: m.FieldRule, end: _End, kind: Kind, path: str) -> Iterator[m.Problem]:
    name = rule.crm if end.side == "crm" else rule.books
    if name is None:
        return
    check = _property if name.startswith(_PROPERTY) else _canonical
    found = check(rule, name, end, kind)
    if found is not None:
        yield _problem(rule.line, path, *found, column=rule.column)
    elif not rule.stays_home:
        yield from _words(rule, end, kind, path)


def _property(rule: m.FieldRule, name: str, end: _End, kind: Kind) -> tuple[str, str | None] | None:
    fields = end.fields(kind)
    info = fields.get(name.removeprefix(_PROPERTY))
    if info is None:
        hint = did_you_mean(name, [_PROPERTY + known for known in fields])
        return f'{end.title} has no {kind.value} field "{name.removeprefix(_PROPERTY)}"', hint
    if rule.writes(end.side) and not info.writable:
        return f'{end.title} does not let "{info.label}" be written', _turn(end.side)
    return None


def _canonical(rule: m.FieldRule, name: str, end: _End, kind: Kind) -> tuple[str, str | None] | None:
    facts, columns = end.kind(kind), end.catalogue.columns.get(kind)
    if columns is not None and name not in columns:
        return f"{end.title} does not tell {name} of a {kind.value} here", did_you_mean(name, sorted(columns))
    if rule.writes(end.side) and facts is not None and name not in facts.writable:
        return f"{name} cannot be written in {end.title}", _turn(end.side)
    return None


def _turn(side: Side) -> str:
    return f"Let it travel {'crm-to-books' if side == 'crm' else 'books-to-crm'} only."


def _words(rule: m.FieldRule, end: _End, kind: Kind, path: str) -> Iterator[m.Problem]:
    """Words of a value map that the system does not know."""
    if rule.values is None:
        return
    words = [crm if end.side == "crm" else books for crm, books in rule.values.pairs]
    known = _known_words(rule, end, kind)
    for word in words if known else ():
        if word.casefold() not in {one.casefold() for one in known}:
            hint = did_you_mean(word, known)
            at = path.rpartition(".")[0] + ".values"
            yield _problem(rule.line, at, f'{end.title} does not know "{word}"', hint, rule.column)


def _known_words(rule: m.FieldRule, end: _End, kind: Kind) -> list[str]:
    """What a value may be, where the system says so."""
    name = rule.path(end.side)
    if name.startswith(_PROPERTY):
        return list(end.fields(kind)[name.removeprefix(_PROPERTY)].options)
    kind_of_field = rule.crm_type if end.side == "crm" else rule.books_type
    return [terms.name for terms in end.catalogue.terms] if kind_of_field is FieldType.TERMS else []


# --------------------------------------------------------------------------- invoices and payments


def _invoices(flow: m.InvoicesFlow | None, ends: dict[Side, _End]) -> Iterator[m.Problem]:
    if flow is None:
        return
    crm, books = ends["crm"], ends["books"]
    if crm.kind(Kind.DEAL) is None:
        yield _problem(flow.line, f"{_INVOICES}.from", f"{crm.title} has no deals")
    facts = books.kind(Kind.INVOICE)
    if facts is None or "create" not in facts.operations:
        yield _problem(flow.line, _INVOICES, f"Tieout cannot make invoices in {books.title}")
        return
    if flow.as_ == "draft" and not facts.draft:
        reason = f"{books.title} knows no drafts: an invoice that is saved there is posted"
        yield _problem(flow.line, f"{_INVOICES}.as", reason, "Say as: post, with apply: ask; it then waits for Apply.")
    yield from _numbering(flow, books)
    yield from _named(flow, books)
    yield from _stages(flow, crm)


def _numbering(flow: m.InvoicesFlow, books: _End) -> Iterator[m.Problem]:
    if flow.number == "books" and books.catalogue.numbering == "caller":
        reason = f"{books.title} does not number invoices by itself here"
        yield _problem(flow.line, f"{_INVOICES}.number", reason, "Say number: template and a number_template.")
    if flow.number == "template" and books.catalogue.numbering == "books":
        reason = f"{books.title} numbers invoices by itself here"
        yield _problem(flow.line, f"{_INVOICES}.number", reason, "Say number: books.")


def _named(flow: m.InvoicesFlow, books: _End) -> Iterator[m.Problem]:
    """Accounts and tax codes that the books do not have."""
    accounts = [word for one in books.catalogue.accounts for word in (one.name, one.ref)]
    for name in ("income", "shipping", "rounding", "discount", "deposit"):
        word: str | None = getattr(flow.accounts, name)
        if word is not None and word not in accounts:
            hint = did_you_mean(word, [one.name for one in books.catalogue.accounts])
            yield _problem(flow.line, f"{_INVOICES}.accounts.{name}", f'{books.title} has no account "{word}"', hint)
    codes = [word for one in books.catalogue.tax_codes for word in (one.name, one.ref)]
    rows = [(row.line, f"tax[{number}].code", row.code) for number, row in enumerate(flow.tax)]
    for line, name, word in [*rows, (flow.line, "tax.otherwise", flow.tax_otherwise)]:
        if word != "hold" and word not in codes:
            hint = did_you_mean(word, [one.name for one in books.catalogue.tax_codes])
            yield _problem(line, f"{_INVOICES}.{name}", f'{books.title} has no tax code "{word}"', hint)


def _stages(flow: m.InvoicesFlow, crm: _End) -> Iterator[m.Problem]:
    for stage in flow.when.stages:
        meaning = crm.catalogue.stages.get(stage)
        path = f"{_INVOICES}.when.stages"
        if meaning is None:
            hint = did_you_mean(stage, list(crm.catalogue.stages))
            yield _problem(flow.line, path, f'{crm.title} has no deal stage "{stage}"', hint)
        elif meaning != "won":
            yield _problem(flow.line, path, f'deals in the stage "{stage}" are {meaning}, not won')


def _payments(flow: m.PaymentsFlow | None, ends: dict[Side, _End]) -> Iterator[m.Problem]:
    if flow is None:
        return
    crm, books = ends["crm"], ends["books"]
    if books.kind(Kind.INVOICE) is None:
        yield _problem(flow.line, _PAYMENTS, f"{books.title} tells no invoices, so nothing is known of their payment")
    if not _can(crm, Kind.DEAL, "update"):
        yield _problem(flow.line, _PAYMENTS, f"Tieout cannot update a deal in {crm.title}")
        return
    for number, rule in enumerate(flow.fields):
        yield from _field(rule, crm, Kind.DEAL, f"{_PAYMENTS}.fields[{number}].crm")


def _guards(guards: m.Guards, books: _End) -> Iterator[m.Problem]:
    limit, home = guards.approvals, books.catalogue.home_currency
    if limit is None or home is None or books.catalogue.multi_currency or limit.currency == home:
        return
    reason = f"a limit in {limit.currency} would never be reached: {books.title} keeps its books in {home} alone"
    yield _problem(1, "guards.approvals.currency", reason, f'Did you mean "{home}"?')
