"""The query language: quoting, selects, and the lists that keep a query short.

Source: https://developer.intuit.com/app/developer/qbo/docs/learn/explore-the-quickbooks-online-api/data-queries
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connectors.quickbooks.vendor import NAME_LISTS, PAGE

# Typographic marks break the parser; QuickBooks stores what people type with plain ones or finds nothing, so a
# search for a value that holds them is done by its plain form and compared afterwards.
# Source: https://github.com/intuit/QuickBooks-V3-PHP-SDK/issues/395
_PLAIN = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"'})


def plain(text: str) -> str:
    """The text with typographic quotes and apostrophes made plain."""
    return text.translate(_PLAIN)


def quoted(text: str) -> str:
    """A value in single quotes; an inner quote or backslash is escaped with a backslash."""
    return "'" + plain(text).replace("\\", "\\\\").replace("'", "\\'") + "'"


def is_in(field: str, values: Sequence[str]) -> str:
    """`field = 'a'` or `field IN ('a', 'b')`."""
    if len(values) == 1:
        return f"{field} = {quoted(values[0])}"
    return f"{field} IN ({', '.join(quoted(value) for value in values)})"


def select(  # noqa: PLR0913  one keyword for each clause of the language
    entity: str,
    *conditions: str,
    what: str = "*",
    order: str | None = None,
    start: int = 1,
    limit: int = PAGE,
) -> str:
    """A select statement. Name lists are asked for with their inactive rows, which a plain query leaves out."""
    tests = [*conditions]
    if entity in NAME_LISTS and not any(test.startswith("Active") for test in tests):
        tests.append("Active IN (true, false)")
    words = [f"SELECT {what} FROM {entity}"]
    if tests:
        words.append("WHERE " + " AND ".join(tests))
    if what != "count(*)":
        if order is not None:
            words.append(f"ORDERBY {order}")
        words.append(f"STARTPOSITION {start} MAXRESULTS {limit}")
    return " ".join(words)


def count(entity: str, *conditions: str) -> str:
    """A statement that answers with `totalCount` alone."""
    return select(entity, *conditions, what="count(*)")


def chunks(values: Sequence[str], size: int) -> Iterator[list[str]]:
    """The distinct values in their order, at most `size` at a time."""
    distinct = list(dict.fromkeys(values))
    for start in range(0, len(distinct), size):
        yield distinct[start : start + size]
