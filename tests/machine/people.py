"""The people of a town with two offices: what they type at either, and the model of it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from decimal import Decimal

from connectors.canon.fields import Value, read
from connectors.canon.records import Customer, Deal, Invoice, Kind
from connectors.canon.values import ABSENT, Address
from connectors.kit.contract import Side
from connectors.memory.world import MemoryWorld
from tests.flows.rig import deal, invoice, mapping, name, payment, told, usd
from tests.machine.typed import Record, Typed

C, D, I = Kind.CUSTOMER, Kind.DEAL, Kind.INVOICE
AUTHORITY = {
    "legal_name": "crm",
    "emails.general": "crm",
    "phone": "ask",
    "notes": "ask",
    "addresses.billing": "ask",
    "website": "crm",
}
PATHS = tuple(AUTHORITY)
ONE_WAY = frozenset({"website"})  # from the CRM to the books


def rules(apply: str, removed: str = "ask") -> str:
    """A mapping under which everything that can happen does: both sides make customers, all fields travel."""
    fields = [
        {"crm": path, "books": path, "authority": who, **({"direction": "crm-to-books"} if path in ONE_WAY else {})}
        for path, who in AUTHORITY.items()
    ]
    customers = {
        "apply": apply,
        "create": {"books": "always", "crm": "always"},
        "removed": {"crm": removed, "books": removed},
        "fields": fields,
    }
    money = {"apply": apply}
    return mapping("customers", "invoices", "payments", customers=customers, invoices=money, payments=money)


class People:
    """They name customers, deals and invoices by number, and mean the n-th there is."""

    def __init__(self, crm: MemoryWorld, books: MemoryWorld) -> None:
        self._worlds: dict[Side, MemoryWorld] = {"crm": crm, "books": books}
        self._numbers = itertools.count(1)
        self.typed = Typed()
        self.made: dict[Side, set[str]] = {"crm": set(), "books": set()}  # customers
        self.copied: set[tuple[Record | None, str]] = set()  # where both sides' people typed one and the same
        self.amounts: dict[str, set[Decimal]] = {}  # deal -> what it was worth, ever: no two deals share an amount

    def world(self, side: Side) -> MemoryWorld:
        return self._worlds[side]

    # ----------------------------------------------------------------- customers

    def customers(self, side: Side) -> list[Customer]:
        return [r for r in self.world(side).all(C) if isinstance(r, Customer)]

    def now(self, record: Record | None, path: str) -> Value:
        """What a record says; ABSENT if there is none (any more)."""
        row = self.world(record[0]).state.row(C, record[1]) if record is not None else None
        return read(row.record, path) if row is not None and row.gone is None else ABSENT

    def value(self, path: str) -> Value:
        """One that nobody typed before."""
        n = next(self._numbers)
        values: dict[str, Value] = {
            "legal_name": name(1_000 + n),
            "emails.general": f"office{n}@example.com",
            "phone": f"+1 212 555 {n:04}",
            "notes": f"note {n}",
            "addresses.billing": Address(lines=(f"{n} Main St",), city="New York", country="US"),
            "website": f"www{n}.example.com",
        }
        return values[path]

    def add(self, side: Side, which: int, paths: Sequence[str] = ()) -> None:
        """Somebody makes customer number `which`, and fills in some fields; the vendor may not want it."""
        values: dict[str, Value] = {path: self.value(path) for path in paths}
        more = {path: values.get(path) for path in ("phone", "notes", "website")}
        grouped = {"emails": {"general": values.get("emails.general")}}
        record = told(name(which), **more, **grouped, addresses={"billing": values.get("addresses.billing")})
        with contextlib.suppress(ValueError):
            ref = self.world(side).add(record)
            self.made[side].add(ref)
            self.typed.enter((side, ref), {"legal_name": name(which), **values})

    def edit(self, side: Side, who: int, path: str, how: str = "new") -> None:
        """Somebody sets a field: to something `new`, to nothing (`empty`), or to what the other side says (`copy`)."""
        found = self.customers(side)
        if found:
            self._edit((side, found[who % len(found)].ref), path, how)

    def _edit(self, record: Record, path: str, how: str) -> None:
        before = self.now(record, path)
        after: Value = None
        if how == "copy":
            after = self.now(self.typed.partners.get(record), path)
        elif how == "new" or path == "legal_name":
            after = self.value(path)
        if before is ABSENT or after is ABSENT:
            return
        if how == "copy":
            self.copied |= {(record, path), (self.typed.partners.get(record), path)}
        with contextlib.suppress(ValueError):
            self.world(record[0]).edit(C, record[1], **{path: after})
            self.typed.type(record, path, before, after)

    def collide(self, who: int, path: str, hows: tuple[str, str]) -> None:
        """Somebody at each side sets the same field of the same customer."""
        linked = [r.ref for r in self.customers("crm") if ("crm", r.ref) in self.typed.partners]
        if linked:
            crm: Record = ("crm", linked[who % len(linked)])
            self._edit(crm, path, hows[0])
            self._edit(self.typed.partners[crm], path, hows[1])

    def remove(self, side: Side, who: int, how: str) -> None:
        """Somebody deletes or archives a customer, or merges it into the next one."""
        found = [r.ref for r in self.customers(side)]
        if not found or (how == "merge" and len(found) < 2):
            return
        record: Record = (side, found[who % len(found)])
        said = {path: self.now(record, path) for path in PATHS}
        if how == "merge":
            self.world(side).merge(C, record[1], found[(who + 1) % len(found)])
            for path, value in said.items():  # the survivor says something else, and whoever merged them knew that
                self.typed.end(record, path, value)
        elif how == "archive":
            self.world(side).archive(C, record[1])
        else:
            self.world(side).delete(C, record[1])
        self.typed.remove(record)

    # ----------------------------------------------------------------- deals, invoices, payments

    def deals(self) -> list[Deal]:
        return [r for r in self.world("crm").all(D) if isinstance(r, Deal)]

    def invoices(self) -> list[Invoice]:
        """Those that stand."""
        return [r for r in self.world("books").all(I) if isinstance(r, Invoice) and r.state != "void"]

    def _amount(self) -> Decimal:
        n = next(self._numbers)
        return Decimal(f"{100 + n}.{n % 100:02}")

    def win(self, who: int) -> None:
        """A deal with a customer is won."""
        found = self.customers("crm")
        if found:
            amount = self._amount()
            self.amounts[self.world("crm").add(deal(found[who % len(found)].ref, str(amount)))] = {amount}

    def change_deal(self, which: int, how: str) -> None:
        """A deal is worth something else (`amount`), is `lost` after all, `won` again, or deleted (`delete`)."""
        found = self.deals()
        if not found:
            return
        ref, amount = found[which % len(found)].ref, self._amount()
        if how == "delete":
            self.world("crm").delete(D, ref)
        elif how == "amount":
            self.amounts[ref].add(amount)
            self.world("crm").edit(D, ref, amount=usd(str(amount)))
        else:
            self.world("crm").edit(D, ref, status=how)

    def end_invoice(self, which: int, how: str) -> None:
        """Somebody voids or deletes an invoice that nothing was paid on."""
        books = self.world("books")
        free = [found for found in self.invoices() if not books.state.ledger.settled_by(found.ref)]
        with contextlib.suppress(ValueError):
            if free and how == "void":
                books.void(I, free[which % len(free)].ref)
            elif free:
                books.delete(I, free[which % len(free)].ref)

    def bill_by_hand(self, which: int) -> None:
        """Somebody types the invoice of a deal in the books, where its customer is known there."""
        found = [d for d in self.deals() if ("crm", str(d.sold_to)) in self.typed.partners]
        if found:
            sold = found[which % len(found)]
            customer = self.typed.partners["crm", str(sold.sold_to)][1]
            with contextlib.suppress(ValueError):
                self.world("books").add(invoice(customer, str(sold.amount.amount)))  # type: ignore[union-attr]  # it has one

    def pay(self, which: int) -> None:
        """A customer pays an invoice."""
        owed = [found for found in self.invoices() if isinstance(found.balance, Decimal) and found.balance > 0]
        if owed:
            due = owed[which % len(owed)]
            with contextlib.suppress(ValueError):
                self.world("books").add(payment(str(due.customer), due.ref, str(due.balance)))
