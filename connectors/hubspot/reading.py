"""From HubSpot's records to canonical ones: what is beside the record itself (associations, line items, people,
owners, currency, stages) is read here, in calls as large as HubSpot takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from connectors.canon.records import AnyRecord, Customer, Deal, DealLine, Kind
from connectors.canon.values import ABSENT, Money, Person
from connectors.hubspot import fields
from connectors.hubspot.api import Api
from connectors.hubspot.fields import MERGED, Shape, instant, number, ref_of
from connectors.hubspot.vendor import (
    COMPANY,
    COMPANY_TO_CONTACT_BILLING,
    COMPANY_TO_CONTACT_PRIMARY,
    CONTACT,
    DEAL,
    DEAL_TO_COMPANY_PRIMARY,
    KIND_OF,
    LINE_ITEM,
    PRODUCT,
    CrmObject,
)
from connectors.hubspot.wire import AccountInfo, Rec, To
from connectors.kit.contract import BadRow, Tombstone
from connectors.kit.errors import NotAllowed
from connectors.kit.table import Unreadable

Status = Literal["open", "won", "lost"]
Some = TypeVar("Some", bound=AnyRecord)


class Choices(msgspec.Struct, frozen=True):
    """The connection's settings that decide what is read."""

    customers: Literal["companies", "contacts", "both"]
    people: bool
    owner_emails: bool

    @property
    def companies(self) -> bool:
        return self.customers != "contacts"

    @property
    def contacts(self) -> bool:
        return self.customers != "companies"


class Read(msgspec.Struct):
    """Records that could be read, rows that could not, and what the records tell to be gone."""

    records: list[AnyRecord] = []
    bad: list[BadRow] = []
    gone: list[Tombstone] = []


def stage_status(metadata: Mapping[str, Any]) -> Status:
    """Won, lost or open, from a stage's metadata: closed with probability 1 is won, closed otherwise is lost."""
    if str(metadata.get("isClosed", "")).lower() != "true":
        return "open"
    chance = number("probability", str(metadata.get("probability", "0")))
    return "won" if chance == 1 else "lost"


def told_status(props: fields.Props) -> Status | None:
    """What HubSpot's own calculated properties say; None if they are not told."""
    won, closed = props.get("hs_is_closed_won"), props.get("hs_is_closed")
    if won is None or won == "" or closed is None or closed == "":
        return None
    if won == "true":
        return "won"
    return "lost" if closed == "true" else "open"


def primary_of(ends: Sequence[To], primary: int) -> str | None:
    """The id of the primary association, else of the first one."""
    if not ends:
        return None
    chosen = next((end for end in ends if primary in end.types), ends[0])
    return str(chosen.to_object_id)


def merged_away(crm_object: CrmObject, rec: Rec) -> Iterable[Tombstone]:
    """A survivor names the records that were merged into it."""
    listed = rec.properties.get(MERGED)
    if listed is None or listed == "":
        return
    kept = ref_of(crm_object, rec.id)
    for id_ in listed.split(";"):
        old = id_.strip().partition(":")[0]
        if old not in ("", rec.id):
            yield Tombstone(KIND_OF[crm_object.name], ref_of(crm_object, old), "merged", survivor=kept)


class Reader:
    """Reads what belongs to records. What an account does not change from call to call (currency, owners, stages)
    is read once, and only when a record needs it."""

    def __init__(self, api: Api, shapes: Mapping[str, Shape], choices: Choices) -> None:
        self.api = api
        self.shapes = shapes
        self.choices = choices
        self._account: AccountInfo | None = None
        self._owners: dict[str, str] | None = None
        self._stages: dict[str, Status] | None = None
        self._existing: dict[str, frozenset[str]] = {}

    def followed(self, kind: Kind) -> tuple[CrmObject, ...]:
        """The object types whose records are this kind's records."""
        if kind is Kind.CUSTOMER:
            choices = self.choices
            return (*((COMPANY,) if choices.companies else ()), *((CONTACT,) if choices.contacts else ()))
        return {Kind.ITEM: (PRODUCT,), Kind.DEAL: (DEAL,)}.get(kind, ())

    # ----------------------------------------------------------------- the account, read once

    async def account(self) -> AccountInfo:
        if self._account is None:
            self._account = await self.api.account()
        return self._account

    async def _currency(self) -> str | None:
        return (await self.account()).company_currency

    async def stages(self) -> dict[str, Status]:
        if self._stages is None:
            lines = await self.api.pipelines()
            self._stages = {stage.id: stage_status(stage.metadata) for line in lines for stage in line.stages}
        return self._stages

    async def _owner_emails(self, recs: Sequence[Rec]) -> Mapping[str, str]:
        """Owner id -> e-mail. Where we may not read owners, or nobody owns a record, their ids stay."""
        if not self.choices.owner_emails or not any(rec.properties.get("hubspot_owner_id") for rec in recs):
            return {}
        if self._owners is None:
            try:
                owners = await self.api.owners()
            except NotAllowed:
                owners = []
            self._owners = {owner.id: owner.email for owner in owners if owner.email is not None}
        return self._owners

    async def _completed(self, shape: Shape, recs: Sequence[Rec]) -> None:
        """Some answers leave empty properties out. An own property that the account has, but an answer does not
        tell, is empty; one that the account has not (any more) stays untold."""
        missing = [name for name in shape.custom if any(name not in rec.properties for rec in recs)]
        if not missing:
            return
        existing = self._existing.get(shape.object.name)
        if existing is None:
            listed = await self.api.properties(shape.object)
            existing = frozenset(p.name for p in listed if not p.archived)
            self._existing[shape.object.name] = existing
        for rec in recs:
            for name in existing.intersection(missing):
                rec.properties.setdefault(name, None)

    # ----------------------------------------------------------------- records

    async def records(self, crm_object: CrmObject, recs: Sequence[Rec]) -> Read:
        """The canonical records of these, what could not be read, and what was merged into them."""
        shape = self.shapes[crm_object.name]
        await self._completed(shape, recs)
        if crm_object is COMPANY:
            read = await self._companies(shape, recs)
        elif crm_object is CONTACT:
            read = await self._contacts(shape, recs)
        elif crm_object is PRODUCT:
            currency = await self._currency() if any(rec.properties.get("price") for rec in recs) else None
            read = _each(shape, recs, lambda rec: fields.item(shape, rec, currency))
        else:
            read = await self._deals(shape, recs)
        for rec in recs:
            read.gone.extend(merged_away(crm_object, rec))
        return read

    async def _contacts(self, shape: Shape, recs: Sequence[Rec]) -> Read:
        emails = await self._owner_emails(recs)
        return _each(shape, recs, lambda rec: _owned(fields.customer(shape, rec), emails))

    async def _companies(self, shape: Shape, recs: Sequence[Rec]) -> Read:
        emails = await self._owner_emails(recs)
        people = await self._people([rec.id for rec in recs]) if self.choices.people else None

        def one(rec: Rec) -> Customer:
            found = _owned(fields.customer(shape, rec), emails)
            return found if people is None else msgspec.structs.replace(found, people=people.get(rec.id, ()))

        return _each(shape, recs, one)

    async def _people(self, ids: Sequence[str]) -> dict[str, tuple[Person, ...]]:
        ends = await self.api.associations(COMPANY, CONTACT, ids)
        wanted = dict.fromkeys(str(end.to_object_id) for tos in ends.values() for end in tos)
        recs = await self.api.batch_read(CONTACT, ("firstname", "lastname", "email", "phone"), list(wanted))
        contacts = {rec.id: rec for rec in recs}
        return {id_: _people_of(tos, contacts) for id_, tos in ends.items()}

    async def _deals(self, shape: Shape, recs: Sequence[Rec]) -> Read:
        ids = [rec.id for rec in recs]
        buyers = await self._buyers(ids)
        lines, bad = await self._lines(ids)
        currency = await self._currency() if any(not rec.properties.get("deal_currency_code") for rec in recs) else None
        emails = await self._owner_emails(recs)
        untold = any(told_status(rec.properties) is None for rec in recs)
        stages = await self.stages() if untold else {}

        def one(rec: Rec) -> Deal:
            if rec.id in bad:
                raise bad[rec.id]
            return _owned(_deal(shape, rec, buyers.get(rec.id), lines.get(rec.id, ()), currency, stages), emails)

        return _each(shape, recs, one)

    async def _buyers(self, ids: Sequence[str]) -> dict[str, str]:
        """Deal id -> customer ref: the primary company, else (where contacts are customers) the first contact."""
        found: dict[str, str] = {}
        if self.choices.companies:
            for id_, ends in (await self.api.associations(DEAL, COMPANY, ids)).items():
                company = primary_of(ends, DEAL_TO_COMPANY_PRIMARY)
                if company is not None:
                    found[id_] = company
        left = [id_ for id_ in ids if id_ not in found]
        if self.choices.contacts and left:
            for id_, ends in (await self.api.associations(DEAL, CONTACT, left)).items():
                if ends:
                    found[id_] = ref_of(CONTACT, ends[0].to_object_id)
        return found

    async def _lines(self, ids: Sequence[str]) -> tuple[dict[str, tuple[DealLine, ...]], dict[str, Unreadable]]:
        ends = await self.api.associations(DEAL, LINE_ITEM, ids)
        wanted = dict.fromkeys(str(end.to_object_id) for tos in ends.values() for end in tos)
        recs = await self.api.batch_read(LINE_ITEM, self.shapes["line_item"].names, list(wanted))
        by_id = {rec.id: rec for rec in recs}
        lines: dict[str, tuple[DealLine, ...]] = {}
        bad: dict[str, Unreadable] = {}
        for deal, tos in ends.items():
            mine = [by_id[str(to.to_object_id)] for to in tos if str(to.to_object_id) in by_id]
            try:
                lines[deal] = tuple(fields.deal_line(rec) for rec in sorted(mine, key=_position))
            except Unreadable as wrong:
                bad[deal] = wrong
        return lines, bad

    async def deals_of_lines(self, line_ids: Sequence[str]) -> list[str]:
        """The ids of the deals that these line items belong to."""
        ends = await self.api.associations(LINE_ITEM, DEAL, line_ids)
        return list(dict.fromkeys(str(end.to_object_id) for tos in ends.values() for end in tos))


def _each(shape: Shape, recs: Sequence[Rec], one: Callable[[Rec], AnyRecord]) -> Read:
    read = Read()
    for rec in recs:
        try:
            read.records.append(one(rec))
        except (Unreadable, ValueError) as wrong:
            ref = ref_of(shape.object, rec.id)
            read.bad.append(BadRow(shape.kind, f"{shape.object.name} {rec.id}", str(wrong), ref))
    return read


def _owned(record: Some, emails: Mapping[str, str]) -> Some:
    """The record with its owner told by e-mail, where that is known."""
    owner = getattr(record, "owner", ABSENT)
    if not isinstance(owner, str) or owner not in emails:
        return record
    return msgspec.structs.replace(record, owner=emails[owner])


def _people_of(ends: Sequence[To], contacts: Mapping[str, Rec]) -> tuple[Person, ...]:
    """A company's people: those whose primary company it is come first."""
    ranked = sorted(ends, key=lambda end: COMPANY_TO_CONTACT_PRIMARY not in end.types)
    return tuple(_person(contacts[str(end.to_object_id)], end) for end in ranked if str(end.to_object_id) in contacts)


def _person(rec: Rec, end: To) -> Person:
    email = rec.properties.get("email") or None
    return Person(
        name=fields.full_name(rec.properties) or email or "",
        email=email,
        phone=rec.properties.get("phone") or None,
        role="billing" if COMPANY_TO_CONTACT_BILLING in end.types else "other",
        primary=COMPANY_TO_CONTACT_PRIMARY in end.types,
        ref=ref_of(CONTACT, rec.id),
    )


def _position(rec: Rec) -> tuple[int, int]:
    place = rec.properties.get("hs_position_on_quote")
    return (int(place) if place is not None and place.isdigit() else 0, int(rec.id))


def _deal(
    shape: Shape,
    rec: Rec,
    buyer: str | None,
    lines: tuple[DealLine, ...],
    home: str | None,
    stages: Mapping[str, Status],
) -> Deal:
    props = rec.properties
    currency = props.get("deal_currency_code") or home
    amount = number("amount", props.get("amount"))
    if amount is not None and currency is None:
        raise Unreadable("amount", "deal_currency_code", "neither the deal nor the account tells a currency")
    status = told_status(props) or stages.get(props.get("dealstage") or "")
    return Deal(
        sold_to=buyer,
        status=ABSENT if status is None else status,
        won_at=instant(props.get("closedate")) if status == "won" else None,
        amount=Money(amount, currency) if amount is not None and currency is not None else None,
        lines=tuple(msgspec.structs.replace(line, currency=line.currency or currency) for line in lines),
        **fields.deal_fields(shape, rec),
    )
