"""Always prefer one side for a field: a new version of the mapping, in which that side has the authority."""

from __future__ import annotations

import msgspec

from connectors.canon.records import Kind
from connectors.kit.contract import Side
from worker.engine.mapping import FieldRule, Mapping, parse, to_yaml
from worker.engine.own_value import may_prefer
from worker.store import connections
from worker.usecases.connect import pair_up
from worker.usecases.office import Office


class NotOffered(ValueError):
    """Money, tax, identity and billing e-mail are decided one by one."""


async def prefer_side(office: Office, pair_id: str, kind: Kind, rule_key: str, side: Side, by: str) -> int:
    """The mapping's new version. Raises LookupError if the mapping has no such field, NotOffered if it may not be."""
    async with office.db.read() as tx:
        pair = await connections.get_pair(tx, pair_id)
        mapping = parse(await connections.mapping_text(tx, pair_id, pair.mapping_version))
    rule = next((rule for rule in mapping.rules(kind) if rule.key == rule_key), None)
    if rule is None:
        raise LookupError("the mapping has no such field any more")
    if not may_prefer(rule):
        raise NotOffered(f"{rule.path('books')} is decided case by case: it is money, tax or somebody's identity")
    changed = _with_authority(mapping, kind, rule, side)
    saved = await pair_up(office, to_yaml(changed), mapping.pair, by, {"crm": pair.crm, "books": pair.books})
    return saved.pair.mapping_version


def _with_authority(mapping: Mapping, kind: Kind, rule: FieldRule, side: Side) -> Mapping:
    preferred = msgspec.structs.replace(rule, authority=side, said=True, after_posting=None)
    name = "customers" if kind is Kind.CUSTOMER else "items"
    flow = getattr(mapping, name)
    fields = tuple(preferred if known.key == rule.key else known for known in flow.fields)
    return msgspec.structs.replace(mapping, **{name: msgspec.structs.replace(flow, fields=fields)})
