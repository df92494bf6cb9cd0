"""What the pretend vendor is like: its knobs, and the facts that follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Literal

import msgspec

from connectors.canon.fields import FIELDS
from connectors.canon.records import Kind
from connectors.kit.contract import Facts, KindFacts, NoLogin, Nothing, Operation, Repeat, Setting, Unique

DOCUMENTS = frozenset({Kind.INVOICE, Kind.CREDIT_NOTE})
NAME_OF: dict[Kind, str] = {Kind.CUSTOMER: "legal_name", Kind.ITEM: "name"}
_COMPUTED = frozenset({"balance", "overdue", "unapplied", "net", "tax", "total", "remaining"})

Rewrite = Literal["upper", "stamp"]


class Knobs(msgspec.Struct, frozen=True, kw_only=True):
    """How this vendor behaves. All defaults together are a pleasant vendor; each knob makes it worse in one way.

    unique_names    customers and items of one name are refused, live and inactive ones alike
    drafts          invoices can be saved unposted; otherwise a draft is refused
    marker          searchable, kept (stored but not found by), or none (no place for it)
    places          amounts are rounded to so many decimals when stored; None: kept as sent
    trims           texts lose their outer blanks when stored
    rewrites        path -> what the vendor does to the value by itself within `settles_s` of our write: `upper`
                    (equal by canonical key) or `stamp` (another value)
    all_or_nothing  a batch with one bad write is refused whole, and not a word of which it is
    history         what fields held before is kept, and who wrote it
    repeat          what a repeated create does, where it is not what `unique_names` says
    rates           home currency units for one foreign unit: the books' rate of the day
    tax_rates       tax code -> percent; tax is rounded by document on the net of each code
    """

    unique_names: bool = True
    optimistic_lock: bool = True
    history: bool = False
    drafts: bool = True
    tombstones: bool = True
    marker: Literal["searchable", "kept", "none"] = "searchable"
    search_delay_s: float = 0
    lands_within_s: float = 120
    settles_s: float = 0
    rewrites: Mapping[str, Rewrite] = {}
    places: int | None = None
    trims: bool = False
    page: int = 100
    batch_read: int = 100
    batch_write: int = 10
    all_or_nothing: bool = False
    repeat: Mapping[Kind, Repeat] = {}
    numbering: Literal["books", "caller"] = "books"
    home_currency: str = "USD"
    country: str = "US"
    time_zone: str = "America/New_York"
    locked_until: date | None = None
    rates: Mapping[str, Decimal] = {}
    tax_rates: Mapping[str, Decimal] = msgspec.field(default_factory=lambda: {"TAX": Decimal(8), "NON": Decimal(0)})

    def repeats(self, kind: Kind) -> Repeat:
        unique: Repeat = Unique(NAME_OF[kind]) if self.unique_names and kind in NAME_OF else Nothing()
        return self.repeat.get(kind, unique)


def _operations(kind: Kind) -> frozenset[Operation]:
    everywhere: frozenset[Operation] = frozenset({"create", "update", "delete", "archive"})
    on_documents: frozenset[Operation] = frozenset({"void", "send"})
    if kind in DOCUMENTS:
        return everywhere | on_documents
    return everywhere | {"void"} if kind is Kind.PAYMENT else everywhere


def _kind_facts(kind: Kind, knobs: Knobs) -> KindFacts:
    return KindFacts(
        operations=_operations(kind),
        page=knobs.page,
        batch_read=knobs.batch_read,
        batch_write=knobs.batch_write,
        repeat=knobs.repeats(kind),
        marker=None if knobs.marker == "none" else "marker",
        marker_searchable=knobs.marker == "searchable",
        probe_many=knobs.marker == "searchable",
        search_delay_s=knobs.search_delay_s,
        lands_within_s=knobs.lands_within_s,
        settles_s=knobs.settles_s,
        optimistic_lock=knobs.optimistic_lock,
        history=knobs.batch_read if knobs.history else 0,
        draft=knobs.drafts and kind in DOCUMENTS,
        rounding="document",
        delta="feed",
        tombstones=knobs.tombstones,
        writable=frozenset(FIELDS[kind]) - _COMPUTED,
    )


def facts_of(knobs: Knobs) -> Facts:
    """The facts that such a vendor would declare."""
    return Facts(
        system="memory",
        title="Memory",
        sides=frozenset({"crm", "books"}),
        logins=(NoLogin(),),
        settings=(
            Setting("world", "Name of the pretend account."),
            Setting("path", "A file that keeps the account when the process dies.", default=""),
            Setting("clock", "Whose time it is: the account's own (own) or the house's (house).", default="own"),
        ),
        kinds={kind: _kind_facts(kind, knobs) for kind in Kind},
        call_deadline_s=5,
    )
