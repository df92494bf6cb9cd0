"""The query language: what it finds, what it leaves out, what it refuses."""

from __future__ import annotations

from decimal import Decimal

import pytest

from connectors.quickbooks.sandbox import QuickBooksFault, QuickBooksSandbox, reading
from connectors.quickbooks.sandbox.query import parse


def ids(books: QuickBooksSandbox, text: str) -> list[str]:
    response = reading.query(books.company, text)
    rows = next((value for value in response.values() if isinstance(value, list)), [])
    return [row["Id"] for row in rows]


def refusal(text: str) -> tuple[str, str]:
    with pytest.raises(QuickBooksFault) as caught:
        parse(text)
    return caught.value.code, str(caught.value.detail)


def test_names_compare_with_and_in_and_like(books: QuickBooksSandbox) -> None:
    """AND, IN, LIKE and = find what they say, with \\' as the escape of a quote."""
    acme = books.add_customer("Acme", company="Acme Inc")
    obrien = books.add_customer("O'Brien & Sons")
    books.add_customer("Zed")
    assert ids(books, "select * from Customer where DisplayName = 'Acme'") == [acme]
    assert ids(books, r"select * from Customer where DisplayName IN ('Acme', 'O\'Brien & Sons')") == [acme, obrien]
    assert ids(books, "select * from Customer where DisplayName like '%brien%'") == [obrien]
    assert ids(books, "select * from Customer where DisplayName like 'A%' and CompanyName = 'Acme Inc'") == [acme]
    assert ids(books, "select * from Customer where DisplayName like 'A%' and CompanyName = 'Other'") == []


def test_inactive_rows_are_left_out_unless_asked_for(books: QuickBooksSandbox) -> None:
    """A query that does not speak of Active sees active rows only."""
    kept, gone = books.add_customer("Kept"), books.add_customer("Gone")
    books.edit("Customer", gone, active=False)
    assert ids(books, "select * from Customer") == [kept]
    assert ids(books, "select * from Customer where Active in (true, false)") == [kept, gone]
    assert ids(books, "select * from Customer where Active = false") == [gone]
    assert ids(books, "select * from Customer where DisplayName = 'Gone'") == []


def test_pages_are_capped_and_an_empty_page_has_no_entity_key(books: QuickBooksSandbox) -> None:
    """100 rows by default, 1,000 at most; past the end the response is empty."""
    for number in range(120):
        books.add_customer(f"Customer {number}")
    assert len(ids(books, "select * from Customer")) == 100
    second = reading.query(books.company, "select * from Customer startposition 101 maxresults 50")
    assert (second["startPosition"], second["maxResults"], len(second["Customer"])) == (101, 20, 20)
    assert reading.query(books.company, "select * from Customer startposition 121") == {}
    assert reading.query(books.company, "select count(*) from Customer") == {"totalCount": 120}
    assert refusal("select * from Customer maxresults 1001")[0] == "4001"


def test_order_dates_and_amounts(books: QuickBooksSandbox) -> None:
    """Invoices are found by date, balance and number, and come in the order that was asked for."""
    customer = books.add_customer("Acme")
    first = books.add_invoice(customer, [{"amount": "10"}], date="2026-10-01")
    second = books.add_invoice(customer, [{"amount": "30"}], date="2026-10-05")
    third = books.add_invoice(customer, [{"amount": "20"}], date="2026-10-03")
    assert ids(books, "select * from Invoice where TxnDate >= '2026-10-03'") == [second, third]
    assert ids(books, "select * from Invoice orderby Balance desc") == [second, third, first]
    assert ids(books, "select * from Invoice ORDER BY TxnDate") == [first, third, second]
    assert ids(books, "select * from Invoice where Balance > '15' and Balance < 25") == [third]
    assert ids(books, "select * from Invoice where DocNumber in ('1001','1003')") == [first, third]
    assert ids(books, f"select * from Invoice where CustomerRef = '{customer}' and TxnDate = '2026-10-05'") == [second]


def test_last_updated_time_is_compared_as_an_instant(books: QuickBooksSandbox) -> None:
    """MetaData has whole seconds and an offset; the query may name another offset."""
    old = books.add_customer("Old")
    books.clock.advance(60)
    new = books.add_customer("New")
    stamp = books.company.rows["Customer"][new]["MetaData"]["LastUpdatedTime"]
    assert stamp == "2026-11-02T09:01:00-08:00"
    assert ids(books, "select * from Customer where MetaData.LastUpdatedTime > '2026-11-02T17:00:30Z'") == [new]
    assert ids(books, "select * from Customer where Metadata.LastUpdatedTime <= '2026-11-02T17:00:30+00:00'") == [old]
    assert ids(books, f"select * from Customer where MetaData.CreateTime >= '{stamp}'") == [new]


def test_columns_are_projected(books: QuickBooksSandbox) -> None:
    """Named columns only, and an unknown one is refused."""
    books.add_customer("Acme", notes="secret")
    rows = reading.query(books.company, "select DisplayName, Balance from Customer")["Customer"]
    assert rows == [{"DisplayName": "Acme", "Balance": Decimal(0), "Id": "1", "domain": "QBO", "sparse": False}]
    assert refusal("select Colour from Customer") == (
        "4001",
        "QueryValidationError: Property Colour not found for Entity Customer",
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("select * from Customer where DisplayName = 'a' or DisplayName = 'b'", "4000"),
        ("select * from Customer where not Active = true", "4000"),
        ("select * from Customer where DisplayName = 'it's'", "4000"),
        ("select * from Customer where DisplayName = 'Fleur’t'", "4000"),
        ("select * from Customer where DisplayName = 'Boot – 6'", "4000"),
        ("select * from Customer where DisplayName != 'a'", "4000"),
        ("select * from Customer where DisplayName = unquoted", "4000"),
        ("select * from Customer group by DisplayName", "4000"),
        ("select * from", "4000"),
        ("", "4000"),
        ("select * from Unicorn", "4001"),
        ("select * from Customer where Horn = '1'", "4001"),
        ("select * from Invoice where PrivateNote = 'x'", "4001"),
        ("select * from Invoice where TotalAmt > '5'", "4001"),
        ("select * from Payment where TotalAmt > '5'", "4001"),
        ("select * from Customer where Notes like '%x%'", "4001"),
        ("select * from Customer orderby Notes", "4001"),
    ],
)
def test_what_the_vendor_refuses_is_refused(text: str, code: str) -> None:
    """4000 for what is no query, 4001 for what cannot be asked."""
    assert refusal(text)[0] == code


def test_accented_letters_are_fine(books: QuickBooksSandbox) -> None:
    """Latin-1 passes the lexer; only what lies beyond breaks it."""
    cafe = books.add_customer("Café Zürich")
    assert ids(books, "select * from Customer where DisplayName = 'Café Zürich'") == [cafe]


def test_indexes_find_what_a_scan_finds(books: QuickBooksSandbox) -> None:
    """Saboteur: without any index every query gives the same rows, so an index that loses one would show."""
    customer = books.add_customer("Acme")
    for day in range(1, 9):
        books.add_invoice(customer, [{"amount": day}], date=f"2026-10-0{day}")
        books.clock.advance(1)
    queries = [
        "select * from Invoice where DocNumber in ('1002','1007','9')",
        f"select * from Invoice where CustomerRef = '{customer}'",
        "select * from Invoice where Id in ('3','1')",
        "select * from Invoice where MetaData.LastUpdatedTime > '2026-11-02T17:00:03Z'",
        "select * from Customer where DisplayName = 'Acme'",
    ]
    indexed = [ids(books, text) for text in queries]
    scanned = [[row["Id"] for row in _scan(books, text)] for text in queries]
    assert indexed == scanned
    books.company._numbers["Invoice", "1002"].clear()
    assert ids(books, queries[0]) != scanned[0]


def _scan(books: QuickBooksSandbox, text: str) -> list[dict[str, object]]:
    from connectors.quickbooks.sandbox.query import select

    asked = parse(text)
    return select(asked, books.company.rows[asked.facts.name].values())
