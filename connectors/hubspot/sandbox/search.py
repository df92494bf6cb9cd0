"""The search endpoint's questions and answers, with its limits.

https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple, TypeAlias

from connectors.hubspot.sandbox.catalogue import OBJECT_TYPES, SPELLINGS, ObjectType, Property
from connectors.hubspot.sandbox.index import Record, SearchIndex
from connectors.hubspot.sandbox.refusals import Refusal, invalid
from connectors.hubspot.sandbox.shapes import listed, mapping
from connectors.hubspot.sandbox.values import iso, moment_ms, sortable

MAX_GROUPS, MAX_FILTERS, MAX_ALL_FILTERS, MAX_SORTS = 5, 6, 18, 1
MAX_LIMIT, MAX_RESULTS, MAX_BODY = 200, 10_000, 3_000
OPERATORS = {
    "EQ",
    "NEQ",
    "LT",
    "LTE",
    "GT",
    "GTE",
    "BETWEEN",
    "IN",
    "NOT_IN",
    "HAS_PROPERTY",
    "NOT_HAS_PROPERTY",
    "CONTAINS_TOKEN",
    "NOT_CONTAINS_TOKEN",
}

Test: TypeAlias = Callable[[Record], bool]
Near: TypeAlias = Callable[[int, str], set[int]]


class Filter(NamedTuple):
    """One condition. `value`, `high` and `values` are text as sent."""

    name: str
    operator: str
    value: str | None
    high: str | None
    values: tuple[str, ...]


class Query(NamedTuple):
    """A checked search: groups are alternatives, the filters of a group all hold."""

    groups: tuple[tuple[Filter, ...], ...]
    words: str
    sort: str | None
    descending: bool
    properties: tuple[str, ...]
    limit: int
    after: int


def parsed(body: Mapping[str, Any], size: int, catalogue: Mapping[str, Property]) -> Query:
    """A search body, checked against every limit. Raises Refusal."""
    if size > MAX_BODY:
        raise invalid(f"The request body is longer than {MAX_BODY} characters.")
    sent = [listed(mapping(group).get("filters")) for group in listed(body.get("filterGroups"))]
    groups = tuple(tuple(_filter(mapping(one), catalogue) for one in filters) for filters in sent)
    _check_counts(groups)
    sort, descending = _sort(listed(body.get("sorts")), catalogue)
    limit, after = _whole(body.get("limit", 10), "limit"), _whole(body.get("after") or 0, "after")
    if limit > MAX_LIMIT:
        raise invalid(f"The limit may not be above {MAX_LIMIT}.")
    if after + limit > MAX_RESULTS:
        raise Refusal(400, "VALIDATION_ERROR", "There was a problem with the request.")
    properties = tuple(str(name) for name in listed(body.get("properties")))
    return Query(groups, str(body.get("query") or ""), sort, descending, properties, limit, after)


def _check_counts(groups: Sequence[Sequence[Filter]]) -> None:
    if len(groups) > MAX_GROUPS:
        raise invalid(f"Too many filter groups: at most {MAX_GROUPS}.")
    if any(len(group) > MAX_FILTERS for group in groups) or sum(map(len, groups)) > MAX_ALL_FILTERS:
        raise invalid(f"Too many filters: at most {MAX_FILTERS} in a group and {MAX_ALL_FILTERS} in all.")


def _whole(raw: object, name: str) -> int:
    if isinstance(raw, bool) or not str(raw).isdecimal():
        raise invalid(f"Invalid input JSON: {name} is not an integer")
    return int(str(raw))


def _sort(sorts: Sequence[Any], catalogue: Mapping[str, Property]) -> tuple[str | None, bool]:
    """Objects {propertyName, direction}, or strings of which "-createdate" descends."""
    if len(sorts) > MAX_SORTS:
        raise invalid(f"Too many sorts: at most {MAX_SORTS}.")
    if not sorts:
        return None, False
    if isinstance(sorts[0], str):
        name, descending = sorts[0].lstrip("-"), sorts[0].startswith("-")
    else:
        name, descending = str(mapping(sorts[0]).get("propertyName")), sorts[0].get("direction") == "DESCENDING"
    if name not in catalogue:
        raise invalid(f"Property {name} does not exist")
    return name, descending


def _filter(sent: Mapping[str, Any], catalogue: Mapping[str, Property]) -> Filter:
    name, operator = str(sent.get("propertyName")), str(sent.get("operator"))
    if operator not in OPERATORS:
        raise invalid(f"Invalid input JSON: {operator} is not an operator")
    if name not in catalogue and _associated(name) is None:
        raise invalid(f"There was a problem with the request. Property {name} does not exist")
    value, high = _text(sent.get("value")), _text(sent.get("highValue"))
    values = tuple(str(v) for v in listed(sent.get("values")))
    _check_operands(operator, value, high, values)
    if operator in _ORDERED or operator == "BETWEEN":
        _check_keys(catalogue.get(name), value, high)
    return Filter(name, operator, value, high, values)


def _text(raw: object) -> str | None:
    return None if raw is None else str(raw)


def _check_operands(operator: str, value: str | None, high: str | None, values: tuple[str, ...]) -> None:
    if operator in {"IN", "NOT_IN"}:
        lacking = not values
    elif operator == "BETWEEN":
        lacking = value is None or high is None
    else:
        lacking = not operator.endswith("HAS_PROPERTY") and value is None
    if lacking:
        raise invalid(f"Operator {operator} requires a value")


def _check_keys(prop: Property | None, *operands: str | None) -> None:
    for operand in operands:
        if prop is not None and operand is not None:
            _key(prop, operand)


def _associated(name: str) -> ObjectType | None:
    """The pseudo property `associations.contact`."""
    head, _, spelling = name.partition(".")
    return SPELLINGS.get(spelling) if head == "associations" else None


# --------------------------------------------------------------------------- comparing


def _key(prop: Property, text: str) -> Any:
    """What a value is compared by: numbers as numbers, times as times, enumerations as they are, text without
    case. Raises Refusal for an operand that is none of it."""
    if prop.type == "number":
        try:
            return Decimal(text)
        except InvalidOperation as bad:
            raise invalid(f"{text} is not a valid number") from bad
    if prop.type in {"date", "datetime"}:
        ms = moment_ms(text)
        if ms is None:
            raise invalid(f"{text} is not a valid date")
        return sortable(iso(ms))
    return text if prop.type in {"enumeration", "bool"} else text.lower()


def _stored(prop: Property) -> Callable[[str], Any]:
    """The same for a stored value, which is known to be valid."""
    if prop.type == "datetime":
        return sortable
    return lambda text: _key(prop, text)


def _tokens(text: str) -> list[str]:
    return re.findall(r"[\w*]+", text.lower())


def _holds_tokens(text: str, wanted: str) -> bool:
    """Every wanted token is there; `*` stands for any run of characters."""
    held = _tokens(text)
    patterns = [re.compile(re.escape(w).replace(r"\*", ".*")) for w in _tokens(wanted)]
    return all(any(p.fullmatch(token) for token in held) for p in patterns)


_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "LT": lambda held, asked: held < asked,
    "LTE": lambda held, asked: held <= asked,
    "GT": lambda held, asked: held > asked,
    "GTE": lambda held, asked: held >= asked,
    "EQ": lambda held, asked: held == asked,
    "NEQ": lambda held, asked: held != asked,
}


def _test(condition: Filter, prop: Property) -> Test:
    """A filter as a test of a record. Records without a value match NOT_HAS_PROPERTY and nothing else."""
    name, operator = condition.name, condition.operator
    if operator.endswith("HAS_PROPERTY"):
        wanted = operator == "HAS_PROPERTY"
        return lambda record: (name in record.properties) is wanted
    holds = _value_test(condition, prop)
    return lambda record: name in record.properties and holds(record.properties[name])


def _value_test(condition: Filter, prop: Property) -> Callable[[str], bool]:
    operator, value = condition.operator, condition.value or ""
    stored = _stored(prop)
    if operator in {"IN", "NOT_IN"}:
        return _membership(condition, prop)
    if operator.endswith("CONTAINS_TOKEN"):
        wanted = operator == "CONTAINS_TOKEN"
        return lambda text: _holds_tokens(text, value) is wanted
    low = _key(prop, value)
    if operator == "BETWEEN":
        high = _key(prop, condition.high or "")
        return lambda text: low <= stored(text) <= high
    compare = _ORDERED[operator]
    return lambda text: compare(stored(text), low)


def _membership(condition: Filter, prop: Property) -> Callable[[str], bool]:
    """Text values must be sent in lower case to be found."""
    wanted = condition.operator == "IN"
    if prop.type in {"string", "phone_number"}:
        raw = frozenset(condition.values)
        return lambda text: (text.lower() in raw) is wanted
    stored, keys = _stored(prop), {_key(prop, v) for v in condition.values}
    return lambda text: (stored(text) in keys) is wanted


def _link_test(condition: Filter, near: Near) -> Test:
    """associations.contact EQ or IN: the record is associated with one of these."""
    kind = _associated(condition.name) or OBJECT_TYPES["contacts"]
    asked = {int(v) for v in (condition.values or (condition.value or "",)) if v.isdecimal()}
    wanted = condition.operator in {"EQ", "IN"}
    return lambda record: bool(near(record.id, kind.name) & asked) is wanted


# --------------------------------------------------------------------------- finding


class Finder:
    """Searches one object type. It remembers the last question, since the next page asks it again."""

    def __init__(self, index: SearchIndex, modified: str, near: Near) -> None:
        self._index = index
        self._modified = modified
        self._near = near
        self._last: tuple[object, list[Record]] | None = None

    def find(self, query: Query, catalogue: Mapping[str, Property]) -> tuple[int, list[Record]]:
        """How many match, and this page of them."""
        asked = (query._replace(after=0, limit=0, properties=()), self._index.generation)
        if self._last is None or self._last[0] != asked:
            self._last = (asked, self._matches(query, catalogue))
        found = self._last[1]
        if any(_associated(f.name) for group in query.groups for f in group):
            self._last = None  # associations change without a new generation of the index
        return len(found), found[query.after : query.after + query.limit]

    def _matches(self, query: Query, catalogue: Mapping[str, Property]) -> list[Record]:
        found = self._candidates(query)
        groups = [self._tests(group, catalogue, skip=len(query.groups) == 1) for group in query.groups]
        if groups and all(groups):
            found = [r for r in found if any(all(test(r) for test in tests) for tests in groups)]
        if query.words:
            found = [r for r in found if _holds_tokens(" ".join(r.properties.values()), query.words)]
        return self._sorted(found, query, catalogue)

    def _candidates(self, query: Query) -> list[Record]:
        """The records in the asked window of time, in order of modification; all where no window is asked."""
        low, high = None, None
        for condition in query.groups[0] if len(query.groups) == 1 else ():
            if condition.name == self._modified:
                low, high = _narrowed(condition, low, high)
        if low is None and high is None and query.sort != self._modified:
            return self._index.all()
        entries = self._index.between(low, high)
        found = [self._index.at(entry) for entry in entries]
        return found if query.sort == self._modified else sorted(found, key=lambda record: record.id)

    def _tests(self, group: Sequence[Filter], catalogue: Mapping[str, Property], *, skip: bool) -> list[Test]:
        """The group's tests; what the window of time has already settled is left out."""
        rest = [f for f in group if not (skip and f.name == self._modified and f.operator in {"GTE", "LTE"})]
        return [_link_test(f, self._near) if f.name not in catalogue else _test(f, catalogue[f.name]) for f in rest]

    def _sorted(self, found: list[Record], query: Query, catalogue: Mapping[str, Property]) -> list[Record]:
        if query.sort == self._modified:
            return found[::-1] if query.descending else found
        if query.sort is None:
            return found
        name, stored = query.sort, _stored(catalogue[query.sort])
        have = [record for record in found if name in record.properties]
        lack = [record for record in found if name not in record.properties]
        have.sort(key=lambda record: stored(record.properties[name]), reverse=query.descending)
        return have + lack


def _narrowed(condition: Filter, low: str | None, high: str | None) -> tuple[str | None, str | None]:
    operand = moment_ms(condition.value or "")
    if operand is None:
        return low, high
    moment = sortable(iso(operand))
    if condition.operator in {"GT", "GTE", "EQ", "BETWEEN"}:
        low = moment if low is None else max(low, moment)
    if condition.operator in {"LT", "LTE", "EQ"}:
        high = moment if high is None else min(high, moment)
    return low, high
