"""A made-up company that sells pumps, the same for the same seed: who its customers are, what was sold, billed and
paid, and what its CRM and its books know of that. They do not quite agree, as two systems never do."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

import msgspec
from rapidfuzz import fuzz

from bot.demo import words

SEED = 20
ALIKE = 78  # names of customers are less alike than this, so that nobody is taken for somebody else by chance
NEW_YORK = "NY"
SALES_TAX = Decimal("0.08")  # what the QuickBooks sandbox charges as its company's own rate
CENT = Decimal("0.01")

# How many of each there are.
LINKED, CRM_ONLY, BOOKS_ONLY = 140, 60, 5
HISTORY, HISTORY_UNBILLED, BY_HAND, TO_BILL, TO_BILL_NEW, OPEN, LOST = 53, 3, 12, 20, 6, 15, 8
RECURRING, WITHOUT_DEAL = 12, 11


class Place(msgspec.Struct, frozen=True):
    """A postal address in the United States."""

    street: str
    city: str
    state: str
    postcode: str


class Firm(msgspec.Struct, frozen=True, kw_only=True):
    """A customer. `crm_phone`, `books_phone` and the places are what each side has written down: "" is nothing.
    `person`: the contact that the CRM has, as given and family name."""

    key: str
    name: str
    domain: str
    email: str
    crm_phone: str
    books_phone: str
    crm_place: Place
    books_place: Place
    person: tuple[str, str] | None = None
    in_crm: bool = True
    in_books: bool = True


class Good(msgspec.Struct, frozen=True):
    """Something that is sold."""

    sku: str
    name: str
    price: Decimal
    service: bool
    text: str


class Line(msgspec.Struct, frozen=True):
    """So many of something, at its price."""

    good: Good
    qty: int

    @property
    def amount(self) -> Decimal:
        return self.good.price * self.qty


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """A deal of the CRM. `firm` None: it names no account. `on`: the day of the win, or when it is hoped for.
    `amount` is what the deal says, which is nearly always what its lines add up to."""

    key: str
    name: str
    firm: str | None
    stage: str
    on: date
    amount: Decimal
    lines: tuple[Line, ...]


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice of the books. `said` is what it tells its customer; `taxed`: sales tax is due."""

    key: str
    firm: str
    on: date
    lines: tuple[Line, ...]
    said: str = ""
    taxed: bool = False
    void: bool = False
    recurring: bool = False
    less: Decimal = Decimal(0)

    @property
    def net(self) -> Decimal:
        return sum((line.amount for line in self.lines), Decimal(0)) - self.less

    @property
    def total(self) -> Decimal:
        """With tax, as QuickBooks computes it: on the sum, half up."""
        return self.net + ((self.net * SALES_TAX).quantize(CENT, ROUND_HALF_UP) if self.taxed else 0)


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Money that came in for an invoice: a share of its total in percent; `by_credit`: settled by a credit memo."""

    bill: str
    on: date
    percent: int = 100
    by_credit: bool = False


class Company(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of the company. `cut_over`: sales won before are matched to what was billed, never billed."""

    today: date
    cut_over: date
    goods: tuple[Good, ...]
    new_goods: tuple[Good, ...]
    firms: tuple[Firm, ...]
    sales: tuple[Sale, ...]
    bills: tuple[Bill, ...]
    receipts: tuple[Receipt, ...]

    def firm(self, key: str) -> Firm:
        return next(firm for firm in self.firms if firm.key == key)


def make_company(today: date, seed: int = SEED) -> Company:
    """The company as it stands on the morning of `today`. The same seed and day give the same company."""
    return _Maker(today, random.Random(seed)).company()  # noqa: S311  # made-up names, not secrets


def months_before(day: date, months: int) -> date:
    """The first day of the month that lies so many months before."""
    count = day.year * 12 + day.month - 1 - months
    return date(count // 12, count % 12 + 1, 1)


class _Maker:
    """Draws the company, part by part, from one source of chance."""

    def __init__(self, today: date, chance: random.Random) -> None:
        self.today, self.chance = today, chance
        self.yesterday = today - timedelta(days=1)
        self.cut_over = months_before(today, 1)
        self.last_month = months_before(today, 0) - timedelta(days=1)
        self.opened = months_before(today, 6)
        self.goods = tuple(
            Good(sku, name, Decimal(price), service, text) for sku, name, price, service, text in words.GOODS
        )
        self.phones: set[str] = set()
        self.firms: list[Firm] = []
        self.sales: list[Sale] = []
        self.bills: list[Bill] = []
        self.receipts: list[Receipt] = []

    def company(self) -> Company:
        self._name_firms()
        self._disagree()
        buyers = self._linked()
        self._sell_before_cut_over(buyers)
        self._sell_since(buyers)
        self._sell_oddly(buyers)
        self._sell_not_yet()
        self._bill_without_deals()
        self._take_money()
        sku, name, price, service, text = words.NEW_GOODS
        return Company(
            today=self.today,
            cut_over=self.cut_over,
            goods=self.goods,
            new_goods=(Good(sku, name, Decimal(price), service, text),),
            firms=tuple(self.firms),
            sales=tuple(sorted(self.sales, key=lambda sale: sale.on)),
            bills=tuple(sorted(self.bills, key=lambda bill: (bill.on, bill.key))),
            receipts=tuple(self.receipts),
        )

    # ----------------------------------------------------------------- customers

    def _name_firms(self) -> None:
        names = self._names(LINKED + CRM_ONLY + BOOKS_ONLY - 1)
        for number in range(LINKED + CRM_ONLY + BOOKS_ONLY - 1):
            in_books = number < LINKED or number >= LINKED + CRM_ONLY - 1
            self.firms.append(self._firm(number, next(names), in_crm=number < LINKED + CRM_ONLY - 1, in_books=in_books))
        umlauts = self._firm(900, "Müller & Söhne: Armaturen GmbH", in_books=False)
        self.firms.append(
            msgspec.structs.replace(umlauts, domain="mueller-soehne.example", email="kontor@mueller-soehne.example")
        )

    def _names(self, count: int) -> Iterator[str]:
        """Names that nobody takes for one another."""
        roots = [first + last for first in words.FIRST for last in words.LAST]
        self.chance.shuffle(roots)
        taken: list[str] = []
        for root in roots:
            trade = self.chance.choice(words.TRADE)
            tight = (root + trade).casefold()
            if max((fuzz.ratio(tight, other) for other in taken), default=0.0) >= ALIKE:
                continue
            taken.append(tight)
            yield f"{root} {trade} {self.chance.choice(words.FORM)}"
            if len(taken) == count:
                return

    def _firm(self, number: int, name: str, *, in_crm: bool = True, in_books: bool = True) -> Firm:
        domain = "".join(c for c in name.split(maxsplit=1)[0].casefold() if c.isalpha()) + ".example"
        city, state, zone, area = self.chance.choice(words.CITIES)
        place = Place(
            f"{self.chance.randint(2, 480)} {self.chance.choice(words.STREETS)}",
            city,
            state,
            f"{zone}{self.chance.randint(1, 99):02}",
        )
        phone = self._phone(area)
        given, family = self.chance.choice(words.GIVEN), self.chance.choice(words.FAMILY)
        return Firm(
            key=f"firm-{number:03}",
            name=name,
            domain=domain,
            email=f"accounts@{domain}",
            crm_phone=phone,
            books_phone=phone,
            crm_place=place,
            books_place=place,
            person=(given, family) if self.chance.random() < 0.75 else None,
            in_crm=in_crm,
            in_books=in_books,
        )

    def _phone(self, area: str) -> str:
        while True:
            phone = f"+1 {area} 555 01{self.chance.randint(0, 99):02}"
            if phone not in self.phones:
                self.phones.add(phone)
                return phone
            area = self.chance.choice(words.CITIES)[3]

    def _disagree(self) -> None:
        """What the two sides have written down differently: formats, gaps, and real contradictions."""
        for number in range(12):
            _, area, exchange, line = self.firms[number].crm_phone.split()
            self._set(number, books_phone=f"({area}) {exchange}-{line}")
        for number in range(12, 16):
            self._set(number, crm_phone="")
        for number in range(16, 20):
            self._set(number, books_phone="")
        for number in (20, 21):
            self._set(number, books_phone=self._phone("212"))
        moved = self.firms[22].crm_place
        self._set(22, books_place=Place("7 Weir Ln", moved.city, moved.state, moved.postcode))
        self._look_alike(LINKED, LINKED + CRM_ONLY - 1)

    def _look_alike(self, crm: int, books: int) -> None:
        """One customer of each side with the same name in another town: they may be one, or two."""
        root, trade, _ = self.firms[crm].name.split()
        there = next(city for city in words.CITIES if city[0] != self.firms[crm].crm_place.city)
        self._set(books, name=f"{root} {trade}", books_place=Place("31 Quay St", there[0], there[1], f"{there[2]}44"))
        self._set(crm, person=None)

    def _set(self, number: int, **values: object) -> None:
        self.firms[number] = msgspec.structs.replace(self.firms[number], **values)

    def _linked(self) -> Iterator[Firm]:
        """Customers that both sides know, each once, none of those with a contradiction first."""
        known = self.firms[23:LINKED] + self.firms[:20]
        self.chance.shuffle(known)
        return iter(known)

    # ----------------------------------------------------------------- sales and invoices

    def _workday(self, start: date, end: date) -> date:
        """A day from Monday to Friday in [start, end]; the end itself if there is none."""
        days = [start + timedelta(days=n) for n in range((end - start).days + 1)]
        working = [day for day in days if day.weekday() < 5]
        return self.chance.choice(working) if working else end

    def _lines(self) -> tuple[Line, ...]:
        goods = self.chance.sample(self.goods[:-1], self.chance.choice((1, 1, 2, 3)))
        return tuple(
            Line(good, self.chance.randint(1, 3 if good.service or good.price > 400 else 24)) for good in goods
        )

    def _sale(self, firm: Firm | None, stage: str, on: date, lines: tuple[Line, ...] | None = None) -> Sale:
        number = len(self.sales) + 1
        sold = lines if lines is not None else self._lines()
        whose = firm.name.split()[0] if firm is not None else "somebody"
        sale = Sale(
            key=f"sale-{number:03}",
            name=f"{self.chance.choice(words.TOPICS)}, {whose} {number:03}",
            firm=firm.key if firm is not None else None,
            stage=stage,
            on=on,
            amount=sum((line.amount for line in sold), Decimal(0)),
            lines=sold,
        )
        self.sales.append(sale)
        return sale

    def _bill(self, firm: Firm, on: date, lines: tuple[Line, ...], said: str = "", **more: bool | Decimal) -> Bill:
        bill = Bill(
            key=f"bill-{len(self.bills) + 1:03}",
            firm=firm.key,
            on=on,
            lines=lines,
            said=said,
            taxed=firm.books_place.state == NEW_YORK,
            **more,  # type: ignore[arg-type]  # flags of a bill, by name
        )
        self.bills.append(bill)
        return bill

    def _sell_before_cut_over(self, buyers: Iterator[Firm]) -> None:
        last = self.cut_over - timedelta(days=1)
        for number in range(HISTORY + HISTORY_UNBILLED):
            firm = next(buyers)
            sale = self._sale(firm, "closedwon", self._workday(self.opened, last - timedelta(days=6)))
            if number < HISTORY:
                self._bill(firm, sale.on + timedelta(days=self.chance.randint(0, 5)), sale.lines, sale.name)

    def _sell_since(self, buyers: Iterator[Firm]) -> None:
        """Since the cut-over: some were billed by hand already, the others are waiting for their invoice."""
        for number in range(BY_HAND):
            firm = next(buyers)
            sale = self._sale(firm, "closedwon", self._workday(self.cut_over, self.yesterday))
            self._bill(firm, sale.on, sale.lines, sale.name if number % 2 else "")
        for _ in range(TO_BILL):
            self._sale(next(buyers), "closedwon", self._workday(self.cut_over, self.yesterday))
        fresh = self.firms[LINKED + 1 : LINKED + TO_BILL_NEW] + self.firms[-1:]
        for firm in fresh:
            self._sale(firm, "closedwon", self._workday(self.cut_over, self.yesterday))

    def _sell_oddly(self, buyers: Iterator[Firm]) -> None:
        """Last month: a deal of 2,000.00 that was billed with 1,950.00, one without an account, one whose lines do not
        add up."""
        firm, day = next(buyers), self._workday(self.cut_over, self.last_month)
        pumps = (Line(self.goods[1], 2),)
        sale = self._sale(firm, "closedwon", day, pumps)
        self._bill(firm, day, pumps, sale.name, less=Decimal(50))
        self._sale(None, "closedwon", self._workday(self.cut_over, self.last_month))
        wrong = self._sale(next(buyers), "closedwon", self._workday(self.cut_over, self.last_month))
        self.sales[-1] = msgspec.structs.replace(wrong, amount=wrong.amount + 100)

    def _sell_not_yet(self) -> None:
        firms = [firm for firm in self.firms[:LINKED] if firm.in_crm]
        for number in range(OPEN + LOST):
            firm = self.chance.choice(firms)
            hoped = self.today + timedelta(days=self.chance.randint(7, 60))
            gone = self._workday(self.opened, self.yesterday)
            open_ = number < OPEN
            stage = self.chance.choice(("qualifiedtobuy", "presentationscheduled", "contractsent"))
            self._sale(firm, stage if open_ else "closedlost", hoped if open_ else gone)

    def _bill_without_deals(self) -> None:
        """Support contracts that QuickBooks bills by itself, work that never was a deal, and one made in error."""
        last = self.cut_over - timedelta(days=1)
        support = (Line(self.goods[-1], 1),)
        months = [months_before(self.today, n) for n in (3, 2, 1)]
        for firm in self.firms[24:28]:
            for month in months:
                self._bill(firm, month, support, "Support contract", recurring=True)
        for firm in self.firms[30 : 30 + WITHOUT_DEAL]:
            on = self._workday(self.opened, last)
            self._bill(firm, on, (Line(self.goods[6], self.chance.randint(30, 60)),), "Counter sale")
        self._bill(self.firms[28], self._workday(self.cut_over, self.last_month), support, "Made twice", void=True)

    # ----------------------------------------------------------------- money

    def _take_money(self) -> None:
        """Most of what is due was paid; some in part, one by a credit memo, some not at all."""
        due = [bill for bill in self.bills if not bill.void and bill.on + timedelta(days=9) <= self.yesterday]
        for number, bill in enumerate(due):
            on = self._workday(bill.on + timedelta(days=3), self.yesterday)
            if number % 9 == 4:
                self.receipts.append(Receipt(bill=bill.key, on=on, percent=50))
            elif number == 7:
                self.receipts.append(Receipt(bill=bill.key, on=on, by_credit=True))
            elif number % 5 != 3:
                self.receipts.append(Receipt(bill=bill.key, on=on))
