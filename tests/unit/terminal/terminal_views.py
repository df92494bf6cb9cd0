"""Views as the worker gives them, with one thing said and the rest ordinary."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from worker.api import views

NOON = datetime(2026, 11, 23, 14, 4, tzinfo=UTC)


def connection(system: str, title: str, name: str, account: str, side: str) -> views.ConnectionView:
    return views.ConnectionView(
        id=f"cn_{system}", system=system, title=title, account=account, name=name, state="live", sides=(side,)
    )


PAIR = views.PairView(
    id="pr_1",
    name="acme",
    crm=connection("hubspot", "HubSpot", "Acme Sales", "62515", "crm"),
    books=connection("quickbooks", "QuickBooks", "Acme Inc.", "934", "books"),
    mapping_version=3,
    time_zone="America/New_York",
    cut_over="2026-11-01",
)


def change(**said: Any) -> views.ChangeView:
    plain: dict[str, Any] = {
        "id": "ch_1",
        "side": "books",
        "system": "QuickBooks",
        "kind": "customer",
        "operation": "update",
        "title": "Betatech",
        "why": "phone: changed in the CRM",
        "ref": "2",
        "state": "planned",
        "reason": None,
        "net": None,
        "total": None,
        "currency": None,
        "fields": (views.FieldView(path="phone", before="+254202710000", after="+254202710001"),),
    }
    return views.ChangeView(**{**plain, **said})


def invoice(net: str, title: str = "Q4 pumps", **said: Any) -> views.ChangeView:
    amount = Decimal(net)
    return change(
        **{
            "kind": "invoice", "operation": "create", "title": title, "ref": None, "fields": (), "net": amount,
            "total": amount, "currency": "USD", "why": "won 2026-11-20, dated 2026-11-20, due 2026-12-20", **said,
        }
    )  # fmt: skip


def plan(*shown: views.ChangeView, **said: Any) -> views.PlanView:
    plain: dict[str, Any] = {
        "id": "pl_1",
        "pair": "acme",
        "state": "open",
        "fingerprint": "f00",
        "created_at": NOON,
        "expires_at": None,
        "approved_by": None,
        "changes": len(shown),
        "held": 0,
        "counts": {},
        "documents": 0,
        "net": {},
        "tax": {},
        "conflicts": 0,
        "waiting": {},
        "shown": shown,
    }
    return views.PlanView(**{**plain, **said})


def run(state: str = "done", what: str = "apply", **said: Any) -> views.RunView:
    plain: dict[str, Any] = {
        "id": "rn_1",
        "what": what,
        "state": state,
        "requested_by": "terminal:alice",
        "created_at": NOON,
        "finished_at": None,
        "progress": None,
        "plan_id": None,
        "outcome": {},
        "calls": {},
        "error": None,
        "next_step": None,
        "result": {},
    }
    return views.RunView(**{**plain, **said})


def conflict(**said: Any) -> views.ConflictView:
    plain: dict[str, Any] = {
        "number": 4,
        "what": "field",
        "kind": "customer",
        "title": "Betatech, phone",
        "reason": "both sides changed since they agreed",
        "crm_title": "HubSpot",
        "books_title": "QuickBooks",
        "crm": "+254 20 271 0001",
        "books": "+254 20 271 1000",
        "base": {"crm": "+254 20 271 0000", "books": "+254 20 271 0000"},
        "candidates": (),
        "choices": ("crm", "books"),
        "state": "open",
        "decided_by": None,
        "opened_at": NOON,
    }
    return views.ConflictView(**{**plain, **said})
