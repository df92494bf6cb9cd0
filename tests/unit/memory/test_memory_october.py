"""October 2026 as the pretend books keep it: the control account, the ageing and the counts tie."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from connectors.canon.records import (
    Allocation,
    CreditNote,
    Customer,
    ExchangeRate,
    Invoice,
    InvoiceLine,
    Kind,
    Payment,
)
from connectors.canon.values import Money
from connectors.kit.contract import Figures
from connectors.memory.connector import Memory
from connectors.memory.vendor import Knobs
from connectors.memory.world import WORLDS, MemoryWorld
from tests.contract.harness import deps_in_process

D = Decimal


class October:
    """The month, entered by a person."""

    def __init__(self) -> None:
        self.world = MemoryWorld.make("october", Knobs(rates={"EUR": D("1.0800")}, numbering="caller"))
        self.customer = self.world.add(Customer(legal_name="Everybody"))

    def invoice(self, number: str, on: date, due: date, *lines: tuple[str, str], currency: str = "USD") -> str:
        told = tuple(InvoiceLine(net=D(net), tax_code=code) for net, code in lines)
        return self.world.add(
            Invoice(number=number, customer=self.customer, date=on, due_date=due, currency=currency, lines=told)
        )

    def cash(self, amount: str, document: str, settled: str, currency: str = "USD", **more: Decimal) -> None:
        withheld = more.pop("withheld", D(0))
        rate = ExchangeRate(rate=D("1.0925"), source="books", on=date(2026, 10, 20)) if currency == "EUR" else None
        allocation = Allocation(document=document, amount=D(settled), withheld=withheld)
        self.world.add(
            Payment(
                customer=self.customer,
                date=date(2026, 10, 20),
                amount=Money(D(amount), currency),
                exchange_rate=rate,
                allocations=(allocation,),
                **more,  # type: ignore[arg-type]  # bank charges, or nothing
            )
        )

    def entered(self) -> None:
        older = self.invoice("1039", date(2026, 7, 16), date(2026, 8, 15), ("1500", "NON"))
        assert older
        refs = {"1040": self.invoice("1040", date(2026, 9, 20), date(2026, 10, 20), ("2400", "NON"))}
        for number, day, lines in (
            ("1041", 5, (("6120", "NON"),)),
            ("1042", 6, (("3000", "NON"),)),
            ("1043", 1, (("5250", "TAX"),)),
            ("1044", 12, (("1950", "TAX"),)),
            ("1045", 13, (("800", "TAX"), ("28.40", "NON"))),
            ("1047", 1, (("300", "NON"),)),
            ("1049", 20, (("1000", "NON"),)),
        ):
            refs[number] = self.invoice(number, date(2026, 10, day), date(2026, 11, day), *lines)
        refs["1046"] = self.invoice("1046", date(2026, 10, 14), date(2026, 11, 14), ("1000", "NON"), currency="EUR")
        void = self.invoice("1048", date(2026, 10, 15), date(2026, 11, 15), ("77", "NON"))
        self.world.void(Kind.INVOICE, void)
        self.world.add(
            CreditNote(
                number="CN-12",
                customer=self.customer,
                date=date(2026, 10, 25),
                lines=(InvoiceLine(net=D(200)),),
                allocations=(Allocation(document=refs["1049"], amount=D(200)),),
            )
        )
        self.cash("6120", refs["1041"], "6120")
        self.cash("2000", refs["1043"], "2000")
        self.cash("1000", refs["1046"], "1000", currency="EUR")
        self.cash("2352", refs["1040"], "2352", withheld=D(48))
        self.cash("900", refs["1045"], "892.40")
        self.cash("2985", refs["1042"], "3000", bank_charges=D(15))
        self.refs = refs


@pytest.fixture
def october() -> October:
    month = October()
    month.entered()
    return month


async def figures_of(month: October, end: date = date(2026, 10, 31)) -> Figures:
    connector = Memory.open({"world": "october"}, deps_in_process())
    found = await connector.figures(date(2026, 10, 1), end)
    WORLDS.pop("october", None)
    assert found is not None
    return found


async def test_month_ties(october: October) -> None:
    """Control account 8,368.40; seven posted invoices and the recurring one, one void; ageing to the cent."""
    found = await figures_of(october)
    assert D("8368.40") == found.receivable_control
    (ageing,) = found.ageing
    assert (D("8368.40"), D("6876.00"), D("1500.00")) == (ageing.total, ageing.not_due, ageing.days_61_90)
    assert (D(0), D(0), D(0)) == (ageing.days_1_30, ageing.days_31_60, ageing.over_90)
    counts = {count.kind: count for count in found.counts}
    assert (8, 1) == (counts[Kind.INVOICE].number, counts[Kind.INVOICE].voided)
    assert Money(D("20168.40"), "USD") == counts[Kind.INVOICE].total
    assert {"USD": D("18448.40"), "EUR": D(1000)} == found.invoiced_net


async def test_opening_balance_is_what_stood_before(october: October) -> None:
    """As of the end of September only the two older invoices are open."""
    assert D("3900.00") == (await figures_of(october, date(2026, 9, 30))).receivable_control


async def test_balances_follow_the_money(october: October) -> None:
    """An invoice's balance is what payments and credits left of it, and taking a payment away opens it again."""
    world = october.world
    balances = {number: world.see(Kind.INVOICE, ref) for number, ref in october.refs.items()}
    told = {number: invoice.balance for number, invoice in balances.items() if isinstance(invoice, Invoice)}
    assert (D(0), D("3670.00"), D("800"), D(0)) == (told["1041"], told["1043"], told["1049"], told["1040"])
    world.delete(Kind.PAYMENT, "p1")
    again = world.see(Kind.INVOICE, october.refs["1041"])
    assert isinstance(again, Invoice)
    assert D(6120) == again.balance
    WORLDS.pop("october", None)


async def test_figures_come_from_postings_not_from_records(october: October) -> None:
    """Saboteur: a record that vanishes without a posting changes no figure, so a mirror cannot stand in for it."""
    del october.world.state.rows[Kind.INVOICE][october.refs["1049"]]
    assert D("8368.40") == (await figures_of(october)).receivable_control
