"""The query language: text -> Query -> rows. A small subset of SQL without OR, JOIN, NOT or GROUP BY.

Source: https://developer.intuit.com/app/developer/qbo/docs/learn/explore-the-quickbooks-online-api/data-queries
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from connectors.quickbooks.sandbox.faults import query_invalid, query_syntax
from connectors.quickbooks.sandbox.schema import BY_PATH, ENTITIES, EntityFacts

DEFAULT_PAGE = 100
MAX_PAGE = 1000

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<op><=|>=|!=|=|<|>)|(?P<mark>[(),*])"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_.]*)|(?P<number>-?\d+(?:\.\d+)?))"
)
_KEYWORDS = {"AND", "OR", "NOT", "ORDERBY", "ORDER", "STARTPOSITION", "MAXRESULTS"}
# The vendor's lexer knows no character beyond Latin-1, not even inside quotes:
# https://github.com/intuit/QuickBooks-V3-PHP-SDK/issues/397 and /395
_BEYOND_LEXER = re.compile("[^\x00-\xff]")


class Token(msgspec.Struct, frozen=True):
    kind: str
    text: str
    at: int


class Condition(msgspec.Struct, frozen=True):
    """`property op value`; for IN the values, else exactly one."""

    property: str
    op: str
    values: tuple[str, ...]


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed query. `columns` None means all; `count` asks for the number only."""

    facts: EntityFacts
    columns: tuple[str, ...] | None = None
    count: bool = False
    conditions: tuple[Condition, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    start: int = 1
    limit: int = DEFAULT_PAGE


def tokens_of(text: str) -> list[Token]:
    """The query's tokens. Raises fault 4000 on what the vendor's lexer does not know."""
    if found := _BEYOND_LEXER.search(text):
        char = found.group()
        raise query_syntax(
            f"Invalid content. Lexical error at line 1, column {found.start() + 1}.  "
            f'Encountered: "\\u{ord(char):04x}" ({ord(char)})'
        )
    tokens: list[Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.end() == at:
            raise query_syntax(f"Invalid content. Lexical error at line 1, column {at + 1}.")
        kind = match.lastgroup or ""
        tokens.append(Token(kind, match.group(kind), match.start(kind) + 1))
        at = match.end()
    return tokens


class _Reader:
    """Reads tokens one after the other."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0

    def peek(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self) -> Token:
        token = self.peek()
        if token is None:
            raise query_syntax('Encountered "<EOF>"')
        self.at += 1
        return token

    def unexpected(self, token: Token) -> Exception:
        return query_syntax(f'Encountered " <{token.kind.upper()}> "{token.text} "" at line 1, column {token.at}.')

    def accept(self, word: str) -> bool:
        token = self.peek()
        if token is None or token.text.upper() != word or token.kind == "text":
            return False
        self.at += 1
        return True

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise self.unexpected(self.take())

    def word(self) -> Token:
        token = self.take()
        if token.kind != "word" or token.text.upper() in _KEYWORDS:
            raise self.unexpected(token)
        return token


def parse(text: str) -> Query:
    """A Query. Raises fault 4000 if the text is no query, 4001 if it asks for what is not there or not queryable."""
    reader = _Reader(tokens_of(text))
    reader.expect("SELECT")
    columns, count = _columns(reader)
    reader.expect("FROM")
    facts = _entity(reader.word())
    conditions = _conditions(reader, facts) if reader.accept("WHERE") else ()
    order = _order(reader, facts)
    start, limit = _window(reader)
    if (left := reader.peek()) is not None:
        raise reader.unexpected(left)
    if columns is not None:
        columns = tuple(_known(facts, column) for column in columns)
    return Query(
        facts=facts, columns=columns, count=count, conditions=conditions, order=order, start=start, limit=limit
    )


def _columns(reader: _Reader) -> tuple[tuple[str, ...] | None, bool]:
    if reader.accept("*"):
        return None, False
    first = reader.word()
    if first.text.upper() == "COUNT" and reader.accept("("):
        reader.expect("*")
        reader.expect(")")
        return None, True
    names = [first.text]
    while reader.accept(","):
        names.append(reader.word().text)
    return tuple(names), False


def _entity(token: Token) -> EntityFacts:
    name = BY_PATH.get(token.text.lower())
    if name is None:
        raise query_invalid(f"Invalid context declaration: {token.text}")
    return ENTITIES[name]


def _known(facts: EntityFacts, name: str) -> str:
    """The property in the vendor's spelling (names are compared without case)."""
    wanted = name.lower()
    for candidate in facts.filterable | facts.properties | {"SyncToken", "MetaData", "domain", "sparse"}:
        if candidate.lower() == wanted:
            return candidate
    raise query_invalid(f"Property {name} not found for Entity {facts.name}")


def _filterable(facts: EntityFacts, name: str) -> str:
    wanted = name.lower()
    for candidate in facts.filterable:
        if candidate.lower() == wanted or wanted == f"{candidate}.Address".lower():
            return candidate
    known = _known(facts, name)
    raise query_invalid(f"property '{known}' is not queryable")


def _conditions(reader: _Reader, facts: EntityFacts) -> tuple[Condition, ...]:
    found = [_condition(reader, facts)]
    while reader.accept("AND"):
        found.append(_condition(reader, facts))
    return tuple(found)


def _condition(reader: _Reader, facts: EntityFacts) -> Condition:
    name = _filterable(facts, reader.word().text)
    token = reader.take()
    if token.text.upper() == "IN":
        return Condition(name, "IN", _list(reader))
    if token.text.upper() == "LIKE":
        return Condition(name, "LIKE", (_value(reader),))
    if token.kind == "op" and token.text != "!=":
        return Condition(name, token.text, (_value(reader),))
    raise reader.unexpected(token)


def _list(reader: _Reader) -> tuple[str, ...]:
    reader.expect("(")
    values = [_value(reader)]
    while reader.accept(","):
        values.append(_value(reader))
    reader.expect(")")
    return tuple(values)


def _value(reader: _Reader) -> str:
    token = reader.take()
    if token.kind == "text":
        return re.sub(r"\\(.)", r"\1", token.text[1:-1])
    if token.kind == "number" or token.text.lower() in ("true", "false"):
        return token.text
    raise reader.unexpected(token)


def _order(reader: _Reader, facts: EntityFacts) -> tuple[tuple[str, bool], ...]:
    if reader.accept("ORDER"):
        reader.expect("BY")
    elif not reader.accept("ORDERBY"):
        return ()
    found = [_order_item(reader, facts)]
    while reader.accept(","):
        found.append(_order_item(reader, facts))
    return tuple(found)


def _order_item(reader: _Reader, facts: EntityFacts) -> tuple[str, bool]:
    name = _filterable(facts, reader.word().text)
    if reader.accept("DESC"):
        return name, True
    reader.accept("ASC")
    return name, False


def _window(reader: _Reader) -> tuple[int, int]:
    start, limit = 1, DEFAULT_PAGE
    while (token := reader.peek()) is not None and token.text.upper() in ("STARTPOSITION", "MAXRESULTS"):
        keyword = reader.take().text.upper()
        number = reader.take()
        if number.kind != "number" or not number.text.isdigit():
            raise reader.unexpected(number)
        if keyword == "STARTPOSITION":
            start = max(1, int(number.text))
        else:
            limit = int(number.text)
    if limit > MAX_PAGE:
        raise query_invalid(f"value {limit} is too large. Max allowed value is {MAX_PAGE}.")
    return start, limit


# --------------------------------------------------------------------------- evaluation


def value_at(row: dict[str, Any], name: str) -> Any:
    """What a query compares: a reference by its id, an e-mail by its address."""
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, dict):
        return value.get("value", value.get("Address"))
    return value


def instant(text: str) -> datetime:
    """An ISO date or date-time; without an offset it is UTC. Raises fault 4001."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise query_invalid(f"Invalid date time value {text}") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=_UTC)


_UTC = datetime.fromisoformat("2000-01-01T00:00:00+00:00").tzinfo


def _comparable(name: str, sample: Any, text: str) -> Any:
    """The query's text as the type of the row's value."""
    if name.startswith("MetaData."):
        return instant(text)
    if isinstance(sample, bool):
        return text.lower() == "true"
    if isinstance(sample, (Decimal, int)):
        try:
            return Decimal(text)
        except InvalidOperation as error:
            raise query_invalid(f"Invalid number {text}") from error
    if name in ("TxnDate", "DueDate", "AsOfDate"):
        return _day(text)
    return text


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError as error:
        raise query_invalid(f"Invalid date value {text}") from error


def _like(pattern: str) -> Callable[[str], bool]:
    expression = re.compile(".*".join(re.escape(part) for part in pattern.split("%")), re.IGNORECASE | re.DOTALL)
    return lambda text: expression.fullmatch(text) is not None


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: bool(a == b),
    "<": lambda a, b: bool(a < b),
    ">": lambda a, b: bool(a > b),
    "<=": lambda a, b: bool(a <= b),
    ">=": lambda a, b: bool(a >= b),
}


def predicate(condition: Condition) -> Callable[[dict[str, Any]], bool]:
    """Whether a row fulfils a condition. An empty value fulfils none."""
    name = condition.property
    timed = name.startswith("MetaData.")
    if condition.op == "LIKE":
        matches = _like(condition.values[0])
        return lambda row: (value := value_at(row, name)) is not None and matches(str(value))
    compare = _COMPARE.get(condition.op, _COMPARE["="])
    cache: dict[type, list[Any]] = {}

    def holds(row: dict[str, Any]) -> bool:
        value = value_at(row, name)
        if value is None:
            return False
        wanted = cache.get(type(value))
        if wanted is None:
            wanted = cache[type(value)] = [_comparable(name, value, text) for text in condition.values]
        seen = datetime.fromisoformat(value) if timed else value
        return any(compare(seen, each) for each in wanted)

    return holds


def order_key(name: str) -> Callable[[dict[str, Any]], Any]:
    """A sort key for a property; empty values come first. Ids sort as numbers."""

    def key(row: dict[str, Any]) -> Any:
        value = value_at(row, name)
        if value is None:
            return (0, 0)
        if name.startswith("MetaData."):
            return (1, datetime.fromisoformat(value))
        if name == "Id" and str(value).isdigit():
            return (1, int(value))
        return (1, value.casefold() if isinstance(value, str) else value)

    return key


def wants_inactive(query: Query) -> bool:
    return any(condition.property == "Active" for condition in query.conditions)


def select(query: Query, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """All rows that fulfil the query, in its order (by id, unless it names one). Inactive rows of a name list are
    left out unless the query speaks of Active."""
    found = list(rows)
    if query.facts.shape == "name" and not wants_inactive(query):
        found = [row for row in found if row.get("Active", True) is True]
    for condition in query.conditions:
        holds = predicate(condition)
        found = [row for row in found if holds(row)]
    for name, descending in reversed(query.order or (("Id", False),)):
        found.sort(key=order_key(name), reverse=descending)
    return found


def answer(query: Query, rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The QueryResponse: `{}` when the page is empty, the number alone for count(*)."""
    found = select(query, rows)
    if query.count:
        return {"totalCount": len(found)}
    page = found[query.start - 1 : query.start - 1 + query.limit]
    if not page:
        return {}
    if query.columns is not None:
        page = [_projected(row, query.columns) for row in page]
    response = {query.facts.name: page, "startPosition": query.start, "maxResults": len(page)}
    if len(page) == len(found):
        response["totalCount"] = len(found)
    return response


def _projected(row: dict[str, Any], columns: tuple[str, ...]) -> dict[str, Any]:
    """Only the named columns, and always what says which row it is."""
    heads = {column.partition(".")[0] for column in columns} | {"Id", "domain", "sparse"}
    return {key: value for key, value in row.items() if key in heads}
