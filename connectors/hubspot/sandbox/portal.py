"""The portal: what can be done to its records, by a person or through the API, and what follows from it.

A write is first drafted (everything that could be refused is refused there) and then committed, so that a batch
can be all or nothing. https://developers.hubspot.com/docs/api-reference/latest/crm/using-object-apis
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from connectors.hubspot.sandbox.catalogue import (
    OBJECT_TYPES,
    Account,
    ObjectType,
    Option,
    Property,
)
from connectors.hubspot.sandbox.figures import DEAL_FIGURES, LINE_FIGURES, deal_figures, deal_totals, line_figures
from connectors.hubspot.sandbox.index import Record
from connectors.hubspot.sandbox.links import DEFAULT_TYPES, LINK_TYPES, Links, Tie
from connectors.hubspot.sandbox.refusals import (
    Coordinates,
    Flaw,
    Refusal,
    contact_exists,
    invalid,
    not_found,
    required_missing,
    rule_broken,
    value_taken,
    values_invalid,
)
from connectors.hubspot.sandbox.table import Past, Table
from connectors.hubspot.sandbox.values import checked, iso, moment_ms


class Origin(NamedTuple):
    """Who wrote: `source` as webhooks and histories call it, and which user or app."""

    source: str
    source_id: str


PERSON = Origin("CRM_UI", "userId:9001")
CALCULATED = Origin("CALCULATED", "")


class Event(msgspec.Struct, frozen=True):
    """Something that a webhook could tell: `what` is creation, propertyChange, deletion, merge and so on."""

    kind: str
    what: str
    object_id: int
    at_ms: int
    origin: Origin
    more: Mapping[str, object] = {}


class Bond(NamedTuple):
    """An association asked for along with a create."""

    target: str
    target_id: int
    type_ids: tuple[int, ...]


class Draft(msgspec.Struct, frozen=True):
    """A checked write that has not happened yet. `before` None: a create. `changed` may clear with ""."""

    kind: str
    before: Record | None
    changed: Mapping[str, str]
    bonds: tuple[Bond, ...] = ()


class Portal:
    """One HubSpot account. `now_ms` is the clock; `emit` hears of every change."""

    def __init__(
        self,
        account: Account,
        now_ms: Callable[[], int],
        emit: Callable[[Event], None],
        delay_ms: Callable[[], int],
    ) -> None:
        self.account = account
        self.now_ms = now_ms
        self.links = Links()
        self.tables = {name: Table(kind, delay_ms) for name, kind in OBJECT_TYPES.items()}
        self._emit = emit
        self._fill_options()

    # drafting -----------------------------------------------------------------------------------

    def draft_create(
        self,
        kind: ObjectType,
        sent: Mapping[str, object],
        *,
        bonds: Sequence[Bond] = (),
        person: bool = False,
        strict: bool = False,
    ) -> Draft:
        """Check a create. `person`: by hand, where read-only dates may be set. `strict`: with the account's rules.
        Raises Refusal."""
        table = self.tables[kind.name]
        wire = self._wire(table, sent, person=person)
        wire = self._completed(kind, {name: value for name, value in wire.items() if value != ""})
        self._check_required(kind, wire, strict=strict)
        self._check_stage(kind, wire)
        self._check_unique(table, wire, None)
        self._check_bonds(kind, bonds)
        return Draft(kind.name, None, wire, tuple(bonds))

    def draft_update(
        self, kind: ObjectType, record: Record, sent: Mapping[str, object], *, person: bool = False
    ) -> Draft:
        """Check an update. Raises Refusal."""
        table = self.tables[kind.name]
        wire = self._wire(table, sent, person=person)
        after = {**record.properties, **wire}
        self._check_stage(kind, after)
        self._check_unique(table, wire, record.id)
        if kind.name == "deals" and self._closes(record.properties, after) and "closedate" not in wire:
            wire["closedate"] = iso(self.now_ms())
        return Draft(kind.name, record, wire)

    def _wire(self, table: Table, sent: Mapping[str, object], *, person: bool) -> dict[str, str]:
        wire, flaws = checked(table.catalogue, dict(sent), person=person)
        if flaws:
            raise values_invalid(flaws)
        return wire

    def _completed(self, kind: ObjectType, wire: dict[str, str]) -> dict[str, str]:
        if kind.name == "deals":
            return self._completed_deal(wire)
        return self._completed_line(wire) if kind.name == "line_items" else wire

    def _completed_deal(self, wire: dict[str, str]) -> dict[str, str]:
        if len(self.account.pipelines) == 1:
            wire = {"pipeline": self.account.pipelines[0].id, **wire}
        if self._closes({}, wire) and "closedate" not in wire:
            wire["closedate"] = iso(self.now_ms())
        return wire

    def _completed_line(self, wire: dict[str, str]) -> dict[str, str]:
        """A product's values are copied once, where the line has none of its own."""
        if "hs_product_id" not in wire:
            return wire
        product = self.tables["products"].find(_integer(wire["hs_product_id"]))
        if product is None:
            raise values_invalid([Flaw("hs_product_id", "INVALID_OPTION", "The product does not exist")])
        copied = {n: v for n, v in product.properties.items() if n in COPIED_FROM_PRODUCT}
        return copied | wire

    def _closes(self, before: Mapping[str, str], after: Mapping[str, str]) -> bool:
        stage = self.account.stage(after.get("pipeline", ""), after.get("dealstage", ""))
        moved = before.get("dealstage") != after.get("dealstage")
        return moved and stage is not None and stage.closed

    def _check_required(self, kind: ObjectType, wire: Mapping[str, str], *, strict: bool) -> None:
        lacking = [names for names in kind.required if not any(name in wire for name in names)]
        if lacking:
            raise required_missing(kind.singular, [name for names in lacking for name in names])
        ruled = [name for name in self.account.rules.get(kind.name, ()) if name not in wire] if strict else []
        if ruled:
            raise rule_broken(ruled)

    def _check_stage(self, kind: ObjectType, after: Mapping[str, str]) -> None:
        if kind.name != "deals":
            return
        stage_id, pipeline_id = after.get("dealstage", ""), after.get("pipeline", "")
        if self.account.stage(pipeline_id, stage_id) is None:
            words = f"{stage_id} was not one of the allowed options of pipeline {pipeline_id}"
            raise values_invalid([Flaw("dealstage", "INVALID_OPTION", words)])

    def _check_unique(self, table: Table, wire: Mapping[str, str], own_id: int | None) -> None:
        for name in table.uniques():
            holder = table.holder(name, wire.get(name, ""))
            if holder is not None and holder != own_id:
                raise self._taken(table, name, wire[name], own_id, holder)

    def _taken(self, table: Table, name: str, value: str, own_id: int | None, holder: int) -> Refusal:
        if name == "email" and own_id is None:
            return contact_exists(holder)
        where = Coordinates(self.account.portal_id, table.kind.legacy, name, value)
        return value_taken(where, table.next_id if own_id is None else own_id, holder)

    def _check_bonds(self, kind: ObjectType, bonds: Sequence[Bond]) -> None:
        for bond in bonds:
            if self.tables[bond.target].find(bond.target_id) is None:
                raise not_found(f"No {bond.target} with id {bond.target_id} exists")
        deals = [bond for bond in bonds if bond.target == "deals"]
        if kind.name == "line_items" and len(deals) > 1:
            raise invalid("A line item can be associated with one deal only.")

    # committing ---------------------------------------------------------------------------------

    def commit(self, draft: Draft, origin: Origin) -> Record:
        """Carry out a checked write."""
        return self._create(draft, origin) if draft.before is None else self._update(draft, draft.before, origin)

    def _create(self, draft: Draft, origin: Origin) -> Record:
        table = self.tables[draft.kind]
        record_id, table.next_id = table.next_id, table.next_id + 1
        now = iso(self.now_ms())
        stamped = {"createdate": now, table.kind.modified: now, **draft.changed, "hs_object_id": str(record_id)}
        record = Record(record_id, self._figured(table.kind, stamped))
        table.put(record, self.now_ms())
        self._tell(table.kind, "creation", record_id, origin)
        self._tell_values(table, record, draft.changed, origin)
        for bond in draft.bonds:
            self.tie(Tie(draft.kind, record_id, bond.target, bond.target_id), bond.type_ids, origin)
        return table.records[record_id]

    def _update(self, draft: Draft, before: Record, origin: Origin) -> Record:
        table = self.tables[draft.kind]
        changed = {n: v for n, v in draft.changed.items() if before.properties.get(n, "") != v}
        after = {n: v for n, v in {**before.properties, **changed}.items() if v != ""}
        if table.kind.modified not in draft.changed:
            after[table.kind.modified] = self._later(before.properties[table.kind.modified])
        record = Record(before.id, self._figured(table.kind, after))
        table.put(record, self.now_ms())
        self._tell_values(table, record, changed, origin)
        if draft.kind == "line_items":
            self._roll_up_all(record.id)
        return table.records[record.id]

    def _figured(self, kind: ObjectType, properties: Mapping[str, str]) -> dict[str, str]:
        if kind.name == "line_items":
            tax = self.account.tax_rate(properties.get("hs_tax_rate_group_id", ""))
            kept = {n: v for n, v in properties.items() if n not in LINE_FIGURES}
            return kept | line_figures(properties, tax)
        if kind.name == "deals":
            kept = {n: v for n, v in properties.items() if n not in DEAL_FIGURES}
            return kept | deal_figures(properties, self.account)
        return dict(properties)

    def _later(self, before: str) -> str:
        """Now, but always after `before`: a record's time moves with every write, even on a clock that stands."""
        then = moment_ms(before)
        return iso(max(self.now_ms(), 0 if then is None else then + 1))

    def _revise(self, name: str, record_id: int, values: Mapping[str, str], *, touch: bool) -> None:
        """HubSpot's own rewriting of a record; `touch` moves its modified time."""
        table = self.tables[name]
        before = table.records[record_id]
        after = {n: v for n, v in {**before.properties, **values}.items() if v != ""}
        if touch:
            after[table.kind.modified] = self._later(before.properties[table.kind.modified])
        table.put(Record(record_id, self._figured(table.kind, after), before.archived_at), self.now_ms())

    # life and death -----------------------------------------------------------------------------

    def archive(self, kind: ObjectType, record_id: int, origin: Origin) -> None:
        """Move a record to the recycle bin. What is not there stays not there."""
        table = self.tables[kind.name]
        record = table.find(record_id)
        if record is None:
            return
        table.put(msgspec.structs.replace(record, archived_at=iso(self.now_ms())), self.now_ms())
        self._tell(kind, "deletion", record.id, origin)
        if kind.name == "line_items":
            self._roll_up_all(record.id)

    def restore(self, kind: ObjectType, record_id: int, origin: Origin) -> Record:
        """Take a record out of the recycle bin, as a person can in HubSpot. Raises Refusal."""
        table = self.tables[kind.name]
        record = table.find(record_id, archived=True)
        if record is None:
            raise not_found()
        self._check_unique(table, record.properties, record.id)
        table.put(msgspec.structs.replace(record, archived_at=None), self.now_ms())
        self._tell(kind, "restore", record.id, origin)
        if kind.name == "line_items":
            self._roll_up_all(record.id)
        return record

    def merge(self, kind: ObjectType, primary_id: int, other_id: int, origin: Origin) -> Record:
        """Merge two records into a new one, to which both old ids lead. The primary's values win; gaps are filled
        from the other. Raises Refusal."""
        table = self.tables[kind.name]
        primary, other = table.find(primary_id), table.find(other_id)
        if primary is None or other is None:
            raise not_found()
        if primary.id == other.id:
            raise invalid("A record cannot be merged with itself")
        record_id, table.next_id = table.next_id, table.next_id + 1
        properties = self._blended(kind, primary, other, record_id)
        ties = [*self.links.ties_of(kind.name, primary.id), *self.links.ties_of(kind.name, other.id)]
        held = {tie: self.links.types(tie) for tie in ties}
        for old in (primary.id, other.id):
            table.drop(old, survivor=record_id)
        table.put(Record(record_id, self._figured(kind, properties)), self.now_ms())
        self._move_ties(record_id, held)
        moved = sum(1 for name in other.properties if name not in primary.properties)
        more = {
            "primaryObjectId": primary.id,
            "mergedObjectIds": [other.id],
            "newObjectId": record_id,
            "numberOfPropertiesMoved": moved,
        }
        self._tell(kind, "merge", primary.id, origin, more)
        return table.records[record_id]

    def _blended(self, kind: ObjectType, primary: Record, other: Record, record_id: int) -> dict[str, str]:
        olds = [old for record in (primary, other) for old in (*_merged_ids(record), str(record.id))]
        blended = {**other.properties, **primary.properties}
        blended["createdate"] = min(primary.properties["createdate"], other.properties["createdate"])
        blended[kind.modified] = self._later(max(r.properties[kind.modified] for r in (primary, other)))
        blended["hs_object_id"] = str(record_id)
        blended["hs_merged_object_ids"] = ";".join(olds)
        spare = other.properties.get("email")
        if spare is not None and spare != blended["email"]:
            blended["hs_additional_emails"] = spare
        return blended

    def _move_ties(self, record_id: int, held: Mapping[Tie, frozenset[int]]) -> None:
        for tie, types in held.items():
            self.links.untie(tie)
            new = Tie(tie.source, record_id, tie.target, tie.target_id)
            seated = self.links.primary(new.source, record_id, new.target) is not None
            self.links.tie(new, {t for t in types if not (seated and LINK_TYPES[t].primary)})

    def erase(self, kind: ObjectType, record_id: int, origin: Origin) -> None:
        """Delete for good, as data protection asks: no list and no search ever shows it again."""
        table = self.tables[kind.name]
        record = table.find(record_id) or table.find(record_id, archived=True)
        if record is None:
            raise not_found()
        for tie in self.links.ties_of(kind.name, record.id):
            self.links.untie(tie)
        table.drop(record.id)
        self._tell(kind, "privacyDeletion", record.id, origin)

    # associations -------------------------------------------------------------------------------

    def tie(self, tie: Tie, type_ids: Iterable[int], origin: Origin) -> None:
        """Associate two records. Raises Refusal."""
        self.check_tie(tie)
        before = self.links.types(tie)
        self.links.tie(tie, type_ids)
        added = self.links.types(tie) - before
        self._tell_tie(tie, added, origin, removed=False)
        self._after_tie(tie)

    def untie(self, tie: Tie, origin: Origin, type_ids: Iterable[int] | None = None) -> None:
        """Dissociate two records, or take some types from them."""
        taken = self.links.untie(tie, type_ids)
        self._tell_tie(tie, taken, origin, removed=True)
        self._after_tie(tie)

    def check_tie(self, tie: Tie) -> None:
        """Refuse a tie to what is not there, between types that cannot be tied, or of a line item to a second
        deal."""
        if (tie.source, tie.target) not in DEFAULT_TYPES:
            raise invalid(f"No association definition exists between {tie.source} and {tie.target}")
        for name, record_id in ((tie.source, tie.source_id), (tie.target, tie.target_id)):
            if self.tables[name].find(record_id) is None:
                raise not_found(f"No {name} with id {record_id} exists")
        line = tie if tie.source == "line_items" else tie.turned()
        if line.source == "line_items" and set(self.near(line.source, line.source_id, "deals")) - {line.target_id}:
            raise invalid(f"Line item {line.source_id} is already associated with another deal.")

    def near(self, source: str, source_id: int, target: str) -> dict[int, frozenset[int]]:
        """Live records that a record is associated with: id -> type ids, in order of id."""
        held = self.links.targets(source, source_id, target)
        alive = self.tables[target]
        return {i: held[i] for i in sorted(held) if alive.find(i) is not None}

    def _after_tie(self, tie: Tie) -> None:
        """What associations write on records: a contact's primary company and a deal's number of contacts (which
        move the modified time) and a deal's line totals (which do not)."""
        for end in (tie, tie.turned()):
            if (end.source, end.target) == ("contacts", "companies"):
                primary = self.links.primary("contacts", end.source_id, "companies")
                self._note("contacts", end.source_id, "associatedcompanyid", "" if primary is None else str(primary))
            if (end.source, end.target) == ("deals", "contacts"):
                count = len(self.near("deals", end.source_id, "contacts"))
                self._note("deals", end.source_id, "num_associated_contacts", str(count))
            if (end.source, end.target) == ("deals", "line_items"):
                self._roll_up(end.source_id)

    def _note(self, name: str, record_id: int, prop: str, value: str) -> None:
        record = self.tables[name].records.get(record_id)
        if record is not None and record.properties.get(prop, "") != value:
            self._revise(name, record_id, {prop: value}, touch=True)

    def _roll_up_all(self, line_id: int) -> None:
        for deal_id in self.links.targets("line_items", line_id, "deals"):
            self._roll_up(deal_id)

    def _roll_up(self, deal_id: int) -> None:
        """Recompute a deal's totals; its amount follows only if the account says so."""
        deal = self.tables["deals"].records.get(deal_id)
        if deal is None:
            return
        lines = self.tables["line_items"].records
        totals = deal_totals(lines[i].properties for i in self.near("deals", deal_id, "line_items"))
        chosen = totals.get(self.account.roll_up or "")
        follows = chosen is not None and deal.properties.get("amount") != chosen
        if chosen is not None and follows:
            totals["amount"] = chosen
        self._revise("deals", deal_id, totals, touch=follows)
        if follows:
            change = {"propertyName": "amount", "propertyValue": chosen}
            self._tell(self.tables["deals"].kind, "propertyChange", deal_id, CALCULATED, change)

    # telling ------------------------------------------------------------------------------------

    def _tell(
        self, kind: ObjectType, what: str, object_id: int, origin: Origin, more: Mapping[str, object] | None = None
    ) -> None:
        self._emit(Event(kind.name, what, object_id, self.now_ms(), origin, more or {}))

    def _tell_values(self, table: Table, record: Record, changed: Mapping[str, str], origin: Origin) -> None:
        for name, value in changed.items():
            table.remember(record.id, name, Past(value, iso(self.now_ms()), origin.source, origin.source_id))
            change = {"propertyName": name, "propertyValue": value}
            self._tell(table.kind, "propertyChange", record.id, origin, change)

    def _tell_tie(self, tie: Tie, types: Iterable[int], origin: Origin, *, removed: bool) -> None:
        labelled = [t for t in sorted(types) if LINK_TYPES[t].label is not None]
        for link in (LINK_TYPES[t] for t in labelled or sorted(types)):
            for end, way in ((tie, link), (tie.turned(), LINK_TYPES[link.inverse])):
                more = {
                    "associationType": way.inline.removesuffix("_unlabeled").upper(),
                    "fromObjectId": end.source_id,
                    "toObjectId": end.target_id,
                    "associationRemoved": removed,
                    "isPrimaryAssociation": way.primary,
                }
                self._tell(OBJECT_TYPES[end.source], "associationChange", end.source_id, origin, more)

    # setup --------------------------------------------------------------------------------------

    def _fill_options(self) -> None:
        """Options that depend on the account: stages, pipelines, owners, currencies, tax rates."""
        account = self.account
        stages = {s.id: s.label for p in account.pipelines for s in p.stages}
        choices = {
            "dealstage": stages,
            "pipeline": {p.id: p.label for p in account.pipelines},
            "hubspot_owner_id": {o.id: f"{o.first_name} {o.last_name}" for o in account.owners},
            "deal_currency_code": {code: code for code in account.currencies},
            "hs_line_item_currency_code": {code: code for code in account.currencies},
            "hs_tax_rate_group_id": {r.id: r.label for r in account.tax_rates},
        }
        for table in self.tables.values():
            for name in choices.keys() & table.catalogue.keys():
                table.catalogue[name] = _with_options(table.catalogue[name], choices[name])


COPIED_FROM_PRODUCT = {
    "name",
    "description",
    "price",
    "hs_sku",
    "hs_cost_of_goods_sold",
    "recurringbillingfrequency",
    "hs_recurring_billing_period",
}


def _with_options(prop: Property, choices: Mapping[str, str]) -> Property:
    options = tuple(
        Option(label=label, value=value, displayOrder=n) for n, (value, label) in enumerate(choices.items())
    )
    return msgspec.structs.replace(prop, options=options)


def _merged_ids(record: Record) -> list[str]:
    return [old for old in record.properties.get("hs_merged_object_ids", "").split(";") if old != ""]


def _integer(text: str) -> int:
    return int(text) if text.isdecimal() else -1
