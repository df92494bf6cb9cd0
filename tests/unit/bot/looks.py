"""Views as the worker would give them, for what is rendered from them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from bot.blocks.plan import Look
from bot.gate import Gate
from bot.metadata import Buttons
from worker.api.views import (
    CandidateView,
    ChangeView,
    ConflictView,
    ConnectionView,
    FieldView,
    PairView,
    PlanView,
    ProgressView,
    RecordView,
    ReportView,
    RunView,
    ScheduleView,
    SideView,
    StatusView,
    StoryView,
    TrailView,
)

NOW = datetime(2026, 11, 23, 14, 4, tzinfo=UTC)


def connection(side: str, title: str, name: str) -> ConnectionView:
    return ConnectionView(
        id=f"cn_{side}", system=title.lower(), title=title, account="1", name=name, state="live", sides=(side,)
    )


PAIR = PairView(
    id="pr_1m842jkkbdrqgff6j35",
    name="acme",
    crm=connection("crm", "HubSpot", "Acme Sales"),
    books=connection("books", "QuickBooks", "Acme Inc."),
    mapping_version=3,
    time_zone="America/New_York",
    cut_over="2026-11-01",
)
LOOK = Look(
    pair=PAIR,
    gate=Gate(admins=("U0ADMIN001",), approvers=("U0APPROVE1", "U0APPROVE2")),
    buttons=Buttons((b"k" * 32,), lambda: NOW),
)


def change(kind: str = "customer", operation: str = "update", **more: Any) -> ChangeView:
    said: dict[str, Any] = {
        "id": "ch_1",
        "side": "books",
        "system": "QuickBooks",
        "kind": kind,
        "operation": operation,
        "title": "Betatech",
        "why": "phone: changed in the CRM",
        "ref": "41",
        "state": "planned",
        "reason": None,
        "net": None,
        "total": None,
        "currency": None,
        "fields": (FieldView(path="phone", before="+254 20 2710000", after="+254 20 2710001", overwrites=ABSENT),),
    }
    return ChangeView(**{**said, **more})


ABSENT = {"absent": True}
INVOICE = change(
    "invoice",
    "create",
    title='deal "Q4 pumps"',
    why="won 2026-11-20, due 2026-12-23, agrees to the cent",
    ref=None,
    fields=(),
    net=Decimal("6120.00"),
    total=Decimal("6120.00"),
    currency="USD",
)
NEW = change("customer", "create", title="Nordwind GmbH", why="for its first invoice", ref=None, fields=())

PLAN = PlanView(
    id="pl_1m842jkkbdrqgff6j35",
    pair="acme",
    state="open",
    fingerprint="f" * 64,
    created_at=NOW,
    expires_at=NOW + timedelta(days=1),
    approved_by=None,
    changes=14,
    held=1,
    held_reasons={"6 customers would be removed": 1},
    counts={"books.invoice.create": 4, "books.customer.create": 2, "books.customer.update": 8},
    documents=4,
    net={"USD": Decimal("18240.00")},
    tax={"USD": Decimal(0)},
    conflicts=2,
    waiting={"the deal names no billing contact": 3},
    shown=(NEW, INVOICE, change(), change(state="held", reason="guard: 6 customers would be removed")),
    pair_id=PAIR.id,
    run_id="run_1m842jkkbdrqgff6j35",
    mapping_version=3,
    agreed=("U0APPROVE1",),
    approvers_needed=2,
    limit="USD 10,000",
)


def run(what: str = "preview", state: str = "done", **more: Any) -> RunView:
    said: dict[str, Any] = {
        "id": "run_1m842jkkbdrqgff6j35",
        "what": what,
        "state": state,
        "requested_by": "U0APPROVE1",
        "created_at": NOW,
        "finished_at": NOW + timedelta(seconds=9),
        "progress": ProgressView(step="Applying", done=9, total=14),
        "plan_id": PLAN.id,
        "outcome": {},
        "calls": {"cn_crm": 9, "cn_books": 5},
        "error": None,
        "next_step": None,
        "result": {"plan_id": PLAN.id},
    }
    return RunView(**{**said, **more})


CONFLICT = ConflictView(
    number=7,
    what="field",
    kind="customer",
    title="Betatech, emails.general",
    reason="both sides changed since they agreed",
    crm_title="HubSpot",
    books_title="QuickBooks",
    crm="a@betatech.test",
    books="b@betatech.test",
    base={"crm": "old@betatech.test", "books": "old@betatech.test"},
    candidates=(),
    choices=("crm", "books", "value"),
    state="open",
    decided_by=None,
    opened_at=NOW,
    pair_id=PAIR.id,
    field="emails.general",
    typed_as="email",
    may_prefer=True,
    fingerprint="0123456789abcdef01234567",
)
MATCH = msgspec.structs.replace(
    CONFLICT,
    what="match",
    title="Nordwind GmbH",
    reason="it may be one of several",
    field="",
    base=None,
    candidates=(
        CandidateView(ref="41", title="Nordwind Handels GmbH", score=96, reasons=("same tax id", "name 96% alike")),
        CandidateView(ref="42", title="Nordwind AG", score=71, reasons=("other city",)),
    ),
    choices=("same", "different"),
)
EVERYWHERE = msgspec.structs.replace(
    CONFLICT,
    what="everywhere",
    title="41 customers, emails.general",
    reason="the two differ, and were never compared before",
    crm=None,
    books=None,
    base=None,
    candidates=tuple(
        CandidateView(ref="", title=name, crm=f"a@{name.casefold()}.test", books=f"b@{name.casefold()}.test")
        for name in ("Betatech", "Cancity", "Nordwind", "Tilia", "Wera")
    ),
    choices=("crm", "books", "one-by-one"),
    typed_as=None,
    records=41,
)
CREATE = msgspec.structs.replace(MATCH, what="create", candidates=(), choices=("create", "not-needed"))
REMOVED = msgspec.structs.replace(MATCH, what="removed", candidates=(), choices=("archive", "leave"))

DOCUMENT = msgspec.structs.replace(
    MATCH,
    what="document",
    kind="deal",
    title="Q4 pumps: changed after it was billed",
    reason="invoice 1042 says USD 100.00, the deal now USD 120.00",
    candidates=(CandidateView(ref="42", title="invoice 1042"),),
    choices=("reissue", "leave"),
)
HALF = msgspec.structs.replace(
    MATCH,
    what="half",
    kind="invoice",
    title="Q4 pumps: instead of invoice 1042: half done",
    reason="the invoice was made, and what belongs to it was not (account 4000 does not exist)",
    candidates=(
        CandidateView(ref="57", title="Q4 pumps: instead of invoice 1042", reasons=("invoice made",)),
        CandidateView(
            ref="",
            title="Q4 pumps: credit for invoice 1042",
            reasons=("credit note not made: account 4000 does not exist",),
        ),
    ),
    choices=("leave",),
)

REPORT = ReportView(
    id="rp_1m842jkkbdrqgff6j35",
    period="2026-10",
    version=1,
    headline="October 2026, preliminary: explained in full. USD 240.00 to bill, 3 items open.",
    text="won, net             26,820.00\nto bill                -240.00  1 deal\ninvoiced, QuickBooks  18,448.40",
    tables="",
    figures={"items": [{"category": "missing"}]},
    chart={
        "type": "data_visualization",
        "title": "Won, invoiced, paid by week, October 2026",
        "chart": {
            "type": "bar",
            "series": [{"name": "Won", "data": [{"label": "05 Oct - 11 Oct", "value": 100.0}]}],
            "axis_config": {"categories": ["05 Oct - 11 Oct"], "y_label": "USD"},
        },
    },
    ties=True,
    open_items=3,
)


def side(title: str, name: str) -> SideView:
    return SideView(title=title, name=name, state="live", records={"customer": 212, "invoice": 90}, read_at=NOW)


STATUS = StatusView(
    pair=PAIR,
    sides={"crm": side("HubSpot", "Acme Sales"), "books": side("QuickBooks", "Acme Inc.")},
    linked=200,
    conflicts=2,
    waiting=3,
    plan=PLAN,
    last_run=run(),
    next_due=NOW,
)
LINE = ScheduleView(
    number=1,
    id="sc_1m842jkkbdrqgff6j35",
    what="sync",
    words="weekdays at 09:00",
    time_zone="America/New_York",
    next_due=NOW,
    paused=False,
    created_by="U0APPROVE1",
)


STORY = StoryView(
    record=RecordView(address="crm:customer:51", system="HubSpot", kind="customer", ref="51", title="Acme *Ltd*"),
    entries=(
        TrailView(
            seq=7,
            at=NOW,
            action="customer.update",
            actor="U0APPROVE1",
            subject="books:customer:9",
            source="crm:customer:51",
            approved_by="U0APPROVE2",
            field=None,
            why="phone: changed in the CRM",
            said=None,
            fields=(FieldView(path="phone", before=None, after="+1202"),),
            erased=False,
            run="run_1",
            change="ch_1",
            request_id="tid-1",
            detail={},
        ),
    ),
    titles={"crm": "HubSpot", "books": "QuickBooks"},
    time_zone="America/New_York",
)
