"""The query language: quoting, selects, and the lists that keep a query short.

Source: https://developer.intuit.com/app/developer/qbo/docs/learn/explore-the-quickbooks-online-api/data-queries
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from connectors.quickbooks.vendor import NAME_LISTS, PAGE

# Typographic quotes and the plain ones that people type for them.
_PLAIN = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"'})
_BEYOND = re.compile("[^\x00-\xff]+|%")


def plain(text: str) -> str:
    """The text with typographic quotes and apostrophes made plain: how two names are compared here."""
    return text.translate(_PLAIN)


def is_plain(text: str) -> bool:
    """Whether a query may hold the text. The parser knows no character beyond Latin-1, not even inside quotes:
    https://github.com/intuit/QuickBooks-V3-PHP-SDK/issues/395 and /397"""
    return _BEYOND.search(text) is None


def like(field: str, text: str) -> str:
    """`field LIKE 'Sp%ka'`: what the parser does not know becomes the wildcard. It may find too much, not too
    little."""
    return f"{field} LIKE {quoted(_BEYOND.sub('%', text))}"


def quoted(text: str) -> str:
    """A value in single quotes; an inner quote or backslash is escaped with a backslash."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def is_in(field: str, values: Sequence[str]) -> str:
    """`field = 'a'` or `field IN ('a', 'b')`."""
    if len(values) == 1:
        return f"{field} = {quoted(values[0])}"
    return f"{field} IN ({', '.join(quoted(value) for value in values)})"


def select(
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
