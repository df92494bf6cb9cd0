"""One record's story from the audit trail."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec
from sqlalchemy import String, cast, or_, select

from connectors.canon.records import AnyRecord, Kind
from connectors.kit.contract import Side
from worker.engine.drawing import title_of
from worker.store import audit, billing, links
from worker.store.audit import Told
from worker.store.connections import Pair
from worker.store.database import Unit
from worker.store.tables import mirror
from worker.usecases.office import SIDES

LOOKED_AT = 400  # records whose text holds the words; the ones that are called so are among them


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A record that was asked for. `others` are those that are the same thing in the world, or its documents."""

    side: Side
    kind: Kind
    ref: str
    title: str
    others: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        return address(self.side, self.kind, self.ref)


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on record about one record, oldest first. `approved`: change -> who agreed to its plan."""

    record: Found
    told: tuple[Told, ...]
    approved: dict[str, str]


def address(side: Side, kind: Kind, ref: str) -> str:
    """`crm:customer:c1`: how a record is named in the trail."""
    return f"{side}:{kind.value}:{ref}"


def parsed(text: str) -> tuple[Side, Kind, str] | None:
    """An address as its parts; None: it is none."""
    side, _, rest = text.strip().partition(":")
    kind, _, ref = rest.partition(":")
    if side not in SIDES or kind not in {k.value for k in Kind} or not ref:
        return None
    return ("crm" if side == "crm" else "books"), Kind(kind), ref


# --------------------------------------------------------------------------- which record


async def find_records(tx: Unit, pair: Pair, text: str, kinds: Collection[Kind] = tuple(Kind)) -> list[Found]:
    """Records of these kinds by address, by their number or id at their system, or by name; linked ones come once.
    What is called exactly so comes alone; else everything whose name has these words."""
    known = parsed(text)
    if known is not None:
        side, kind, ref = known
        if kind not in kinds:
            return []
        record = (await _by_refs(tx, pair.connection(side), kind, [ref])).get(ref)
        title = title_of(record) if record is not None else ref
        return [await _whole(tx, pair, Found(side=side, kind=kind, ref=ref, title=title))]
    hits = [hit for side in SIDES for hit in await _called(tx, pair, side, text) if hit[0].kind in kinds]
    exact = [found for found, is_exact in hits if is_exact]
    told: dict[str, Found] = {}
    for found in exact or [found for found, _ in hits]:
        whole = await _whole(tx, pair, found)
        if not any(each in told for each in whole.others):
            told[whole.address] = whole
    return list(told.values())


async def _called(tx: Unit, pair: Pair, side: Side, text: str) -> list[tuple[Found, bool]]:
    """The records of one side that may be meant, and whether they are called exactly so."""
    words = text.strip().removeprefix("#").casefold()
    if not words:
        return []
    within = msgspec.json.encode(words).decode()[1:-1]
    rows = await tx.rows(
        select(mirror.c.kind, mirror.c.ref, mirror.c.body)
        .where(
            mirror.c.connection_id == pair.connection(side),
            or_(mirror.c.ref == text.strip(), cast(mirror.c.body, String).icontains(within, autoescape=True)),
        )
        .order_by(mirror.c.kind, mirror.c.ref)
        .limit(LOOKED_AT)
    )
    found = []
    for kind, ref, body in rows:
        record = msgspec.json.decode(body, type=AnyRecord)
        names = _names(record)
        hit = Found(side=side, kind=Kind(kind), ref=ref, title=title_of(record))
        if ref == text.strip() or words in names:
            found.append((hit, True))
        elif any(words in name for name in names):
            found.append((hit, False))
    return found


def _names(record: AnyRecord) -> set[str]:
    said = (getattr(record, name, None) for name in ("legal_name", "display_name", "name", "number"))
    return {name.casefold() for name in said if isinstance(name, str) and name}


async def _by_refs(tx: Unit, connection_id: str, kind: Kind, refs: Sequence[str]) -> dict[str, AnyRecord]:
    """Also what is gone: its story goes on being told."""
    rows = await tx.rows(
        select(mirror.c.ref, mirror.c.body).where(
            mirror.c.connection_id == connection_id, mirror.c.kind == kind.value, mirror.c.ref.in_(list(refs))
        )
    )
    return {ref: msgspec.json.decode(body, type=AnyRecord) for ref, body in rows}


async def _whole(tx: Unit, pair: Pair, found: Found) -> Found:
    """With its counterpart, with a deal's documents, with a document's deal."""
    others: list[str] = []
    linked = await links.find_links(tx, pair.id, [(found.side, found.kind, found.ref)])
    for link in linked.values():
        others += [address(side, link.kind, ref) for side in SIDES if (ref := link.ref(side)) is not None]
    others += await _documents(tx, pair, found)
    return msgspec.structs.replace(found, others=tuple(o for o in dict.fromkeys(others) if o != found.address))


async def _documents(tx: Unit, pair: Pair, found: Found) -> list[str]:
    if found.kind is Kind.DEAL and found.side == "crm":
        rows = (await billing.positions_of(tx, pair.id, [found.ref])).get(found.ref, [])
        made = await billing.documents_of(tx, [row.id for row in rows])
        return [address("books", each.kind, each.ref) for some in made.values() for each in some]
    if found.side == "books" and found.kind in (Kind.INVOICE, Kind.CREDIT_NOTE):
        known = await billing.documents_by_ref(tx, pair.id, [(found.kind, found.ref)])
        rows_of = await billing.position_by_id(tx, [document.position_id for document in known.values()])
        return [address("crm", Kind.DEAL, row.deal) for row in rows_of.values()]
    return []


# --------------------------------------------------------------------------- its story


async def tell_record(tx: Unit, pair: Pair, found: Found) -> Story:
    """Everything on record about it, its counterpart, what was merged into them, and what was made for them."""
    _, told = await everything_of(tx, pair, found)
    changed = [each.entry.change for each in told if each.entry.change is not None]
    return Story(record=found, told=tuple(told), approved=await audit.approvers(tx, changed))


async def everything_of(tx: Unit, pair: Pair, found: Found) -> tuple[list[str], list[Told]]:
    """The addresses that its story is about, and its entries."""
    subjects = [found.address, *_same(found)]
    told = await audit.about(tx, pair.id, subjects)
    while merged := _merged(told, subjects):
        subjects += merged
        told = await audit.about(tx, pair.id, subjects)
    return subjects, told


def _same(found: Found) -> list[str]:
    """Of `others`, what is the same thing, or made for it. A document's deal has other documents too."""
    if found.kind in (Kind.INVOICE, Kind.CREDIT_NOTE):
        return []
    return list(found.others)


def _merged(told: Iterable[Told], subjects: Sequence[str]) -> list[str]:
    """The records that went into these, by what the trail says."""
    sources = [t.entry.source for t in told if t.entry.action == "link.moved" and t.entry.subject in subjects]
    return [source for source in dict.fromkeys(sources) if source is not None and source not in subjects]
