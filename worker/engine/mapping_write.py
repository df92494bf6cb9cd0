"""Mapping -> YAML, every default written out. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import yaml

from worker.engine import mapping_model as m

_LOCKS = {"later": "the later of books and pair"}


def to_yaml(mapping: m.Mapping) -> str:
    """The mapping as YAML. `parse(to_yaml(m)).version == m.version`."""
    said = {
        "pair": mapping.pair,
        "crm": mapping.crm,
        "books": mapping.books,
        "time_zone": mapping.time_zone,
        "region": mapping.region,
        "cut_over": mapping.cut_over.isoformat(),
        "customers_from": mapping.customers_from,
        "deal_amount": mapping.deal_amount,
        "flows": _flows(mapping),
        "guards": _guards(mapping.guards),
        "period": _period(mapping.period),
        "four_eyes": list(mapping.four_eyes),
        "expected_without_deal": [_told(origin=e.origin, number=e.number) for e in mapping.expected_without_deal],
        "schedule": [{"do": line.do, "when": line.text} for line in mapping.schedule],
        "columns": mapping.columns or None,
    }
    return yaml.safe_dump(_told(**said), sort_keys=False, allow_unicode=True, width=120)


def _told(**said: Any) -> dict[str, Any]:
    return {name: value for name, value in said.items() if value is not None}


def _flows(mapping: m.Mapping) -> dict[str, Any]:
    payments = mapping.payments
    return _told(
        customers=_records(mapping.customers),
        items=_records(mapping.items),
        invoices=_invoices(mapping.invoices) if mapping.invoices is not None else None,
        payments={"apply": payments.apply, "fields": _rules(payments.fields)} if payments is not None else None,
    )


def _records(flow: m.CustomersFlow | m.ItemsFlow | None) -> dict[str, Any] | None:
    if flow is None:
        return None
    return {
        "apply": flow.apply,
        "direction": flow.direction,
        "create": {"books": flow.create_books, "crm": flow.create_crm},
        "match": list(flow.match),
        "removed": {"crm": flow.removed_crm, "books": flow.removed_books},
        "fields": _rules(flow.fields),
    }


def _rules(rules: tuple[m.FieldRule, ...]) -> list[dict[str, Any]]:
    return [_rule(rule) for rule in rules]


def _rule(rule: m.FieldRule) -> dict[str, Any]:
    if rule.stays_home:
        return _told(crm=rule.crm, books=rule.books)
    return _told(
        crm=rule.crm,
        books=rule.books,
        # a default stays unsaid: it may shift when a document is posted
        authority=rule.authority if rule.said else None,
        direction=rule.direction,
        transform=str(rule.transform) if rule.transform is not None else None,
        values=dict(rule.values.pairs) if rule.values is not None else None,
        check=rule.check,
    )


def _invoices(flow: m.InvoicesFlow) -> dict[str, Any]:
    return _told(
        apply=flow.apply,
        **{"from": "deals", "as": flow.as_},
        when=_told(status=flow.when.status, stages=list(flow.when.stages) or None),
        date=flow.date,
        due=flow.due_days if flow.due_days is not None else "payment_terms",
        lines=flow.lines,
        number=flow.number,
        number_template=flow.number_template,
        ready=_ready(flow.ready),
        accounts=_accounts(flow.accounts),
        tax=[*(_tax_row(row) for row in flow.tax), {"otherwise": flow.tax_otherwise}],
        cents=flow.cents,
        changed_after_posting=flow.changed_after_posting,
    )


def _ready(ready: m.Ready) -> dict[str, Any]:
    return {
        "require": list(ready.require),
        "wait_after_won_min": ready.wait_after_won_min,
        "missing": ready.missing,
    }


def _accounts(accounts: m.Accounts) -> dict[str, Any]:
    return _told(
        income=accounts.income if accounts.income is not None else "by item",
        shipping=accounts.shipping,
        rounding=accounts.rounding,
        discount=accounts.discount,
        deposit=accounts.deposit,
    )


def _tax_row(row: m.TaxRule) -> dict[str, Any]:
    return _told(**{"ship_to": row.ship_to, "class": row.item_class, "status": row.status, "code": row.code})


def _percent(share: Decimal) -> str:
    return f"{(share * 100).normalize():f}%"


def _guards(guards: m.Guards) -> dict[str, Any]:
    limits = guards.approvals
    return _told(
        changed_in_24_h={"share": _percent(guards.changed_share), "at_least": guards.changed_at_least},
        emptied_in_24_h={"share": _percent(guards.emptied_share), "at_least": guards.emptied_at_least},
        removed_in_24_h=guards.removed,
        approvals=None
        if limits is None
        else {"over": format(limits.over, "f"), "currency": limits.currency, "approvers": limits.approvers},
    )


def _period(period: m.Period) -> dict[str, Any]:
    until = period.locked_until
    return _told(
        lock=_LOCKS.get(period.lock, period.lock),
        closed=period.closed,
        locked_until=until.isoformat() if until is not None else None,
    )
