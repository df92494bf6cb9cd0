"""Connect an account, and pair two of them under a mapping."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

import msgspec

from connectors.canon.records import Kind
from connectors.kit.contract import Catalogue, Connector, Deps, FieldInfo, Side, Token, Wanted
from connectors.kit.errors import BadSettings
from connectors.kit.oauth import MemoryTokens
from worker.engine.mapping import FieldRule, Problem, check_against, parse
from worker.engine.mapping import Mapping as PairMapping
from worker.engine.questions import ONE_BY_ONE
from worker.store import billing, conflicts, dirty_set, links, mirror, runs, schedules
from worker.store import connections as store
from worker.store.audit import Entry, append
from worker.store.connections import Connection, Pair
from worker.store.database import Unit
from worker.usecases.ask_about_fields import ask_at_once
from worker.usecases.office import SIDES, CallCount, Office, is_paced
from worker.vault import save_token

JUST_READ = timedelta(minutes=1)


class Refused(Exception):
    """A mapping that cannot be saved: every problem with its line."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


async def connect(
    office: Office, system: str, settings: Mapping[str, str], token: Token | None, by: str = "tieout"
) -> Connection:
    """Log in once to see that it works, then store the account and its token. Connecting the same account again
    replaces both, and held work goes on; it is on record in each of its pairs, the first time when it is paired."""
    connector = _opened(office, system, settings, token)
    try:
        catalogue = await connector.catalogue()
    finally:
        await connector.close()
    async with office.db.write() as tx:
        connection_id = await store.save_connection(tx, system, catalogue.account_id, catalogue.account_name, settings)
        await store.save_catalogue(tx, connection_id, catalogue)
    if token is not None:
        await save_token(office.db, office.vault, connection_id, token)
    async with office.db.write() as tx:
        connection = await store.get_connection(tx, connection_id)
        pairs = [listener.pair_id for listener in await store.listeners(tx, connection_id)]
        await runs.hasten(tx, pairs)
        for pair_id in sorted(pairs):  # in one order, for each takes a lock
            await append(tx, pair_id, [_connected("account.connected", connection, by)])
        return connection


def _connected(action: str, connection: Connection, by: str) -> Entry:
    detail = {"system": connection.system, "account": connection.account, "name": connection.name}
    return Entry(action=action, actor=by, subject=connection.id, detail=detail)


def _opened(office: Office, system: str, settings: Mapping[str, str], token: Token | None) -> Connector:
    known = office.registry
    if system not in known:
        raise BadSettings(f"there is no system {system!r}: one of {', '.join(sorted(known))}")
    tokens = MemoryTokens(token if token is not None else Token(access=""))
    deps = Deps(
        session=office.session,
        tokens=tokens,
        clock=office.clock,
        calls=CallCount(),
        lane=office.lane,
        paced=is_paced(settings),
    )
    return known[system].open(settings, deps)


async def find_connection(office: Office, name: str) -> Connection:
    """A connection by id, by system, or by account; LookupError if there is none, or more than one."""
    async with office.db.read() as tx:
        every = await store.all_connections(tx)
    found = [c for c in every if name in (c.id, c.account)] or [c for c in every if c.system == name]
    if not found:
        known = ", ".join(sorted({c.system for c in every})) or "none yet"
        raise LookupError(f'"{name}" is not connected (connected: {known}). Connect it first: tieout connect {name}')
    if len(found) > 1:
        raise LookupError(f'"{name}" has {len(found)} accounts: say which, {", ".join(c.account for c in found)}')
    return found[0]


class Paired(msgspec.Struct, frozen=True):
    """A saved pair. `asked`: how many questions are open about fields in which linked records differ and were never
    compared."""

    pair: Pair
    asked: int


async def pair_up(
    office: Office, text: str, source: str, by: str, accounts: Mapping[Side, str] | None = None
) -> Paired:
    """Save a mapping and the pair it names, and ask at once about what it maps anew and the two sides differ in.
    Raises MappingError or Refused with every problem and its line."""
    pair = await _save(office, text, source, by, accounts or {})
    return Paired(pair, await ask_at_once(office, pair.id, by))


async def _save(office: Office, text: str, source: str, by: str, accounts: Mapping[Side, str]) -> Pair:
    mapping = parse(text, source)
    wanted: dict[Side, str] = {"crm": mapping.crm, "books": mapping.books}
    chosen = {side: await find_connection(office, accounts.get(side) or wanted[side]) for side in SIDES}
    changed = {side for side in SIDES if await _tune(office, chosen[side], mapping, side)}
    problems = await _problems(office, mapping, chosen, changed)
    if problems:
        raise Refused(tuple(msgspec.structs.replace(problem, source=source) for problem in problems))
    async with office.db.write() as tx:
        pair_id = await store.save_pair(tx, mapping.pair, chosen["crm"].id, chosen["books"].id)
        before = await _mapping_before(tx, pair_id)
        version = await store.save_mapping(tx, pair_id, text, mapping.version, by)
        await store.claim_fields(tx, pair_id, _written(mapping, chosen))
        await schedules.follow_mapping(tx, pair_id, mapping.time_zone, mapping.schedule)
        await _mark_what_is_known(tx, pair_id, chosen)
        await _mark_what_is_new_in(tx, pair_id, before, mapping)
        detail = {"version": version, "digest": mapping.version, "from": source}
        saved = Entry(action="mapping.saved", actor=by, subject=pair_id, detail=detail)
        first = [_connected("account.paired", chosen[side], by) for side in SIDES] if before is None else []
        await append(tx, pair_id, [*first, saved])
        return await store.get_pair(tx, pair_id)


async def _tune(office: Office, connection: Connection, mapping: PairMapping, side: Side) -> bool:
    """Set the account up for the mapping; whether what was read of it before is out of date by that."""
    wanted = Wanted(
        properties=named_properties(mapping, side), customers_from=mapping.customers_from, columns=mapping.columns
    )
    tuned = office.registry[connection.system].tuned(connection.settings, wanted)
    if tuned != connection.settings:
        async with office.db.write() as tx:
            await store.save_settings(tx, connection.id, tuned)
    connector = await office.connector(connection.id)
    made = await connector.prepare(_write_back(mapping) if side == "crm" else {})
    return bool(made) or tuned != connection.settings


def named_properties(mapping: PairMapping, side: Side) -> dict[Kind, tuple[str, ...]]:
    """The vendor's own fields that a mapping names at one side, by kind."""
    found: dict[Kind, dict[str, None]] = {}
    for kind, rules in _rules(mapping, side).items():
        for rule in rules:
            path = rule.crm if side == "crm" else rule.books
            if path is not None and path.startswith("properties."):
                found.setdefault(kind, {})[path.removeprefix("properties.")] = None
    return {kind: tuple(names) for kind, names in found.items()}


def _rules(mapping: PairMapping, side: Side) -> dict[Kind, tuple[FieldRule, ...]]:
    rules = {
        Kind.CUSTOMER: mapping.customers.fields if mapping.customers is not None else (),
        Kind.ITEM: mapping.items.fields if mapping.items is not None else (),
    }
    if side == "crm" and mapping.payments is not None:
        rules[Kind.DEAL] = mapping.payments.fields
    return rules


def _write_back(mapping: PairMapping) -> dict[Kind, tuple[FieldInfo, ...]]:
    """The CRM's own deal fields that payment states are written to: made if they are missing."""
    fields = mapping.payments.fields if mapping.payments is not None else ()
    names = [r.crm.removeprefix("properties.") for r in fields if r.crm is not None and r.crm.startswith("properties.")]
    if not names:
        return {}
    return {Kind.DEAL: tuple(FieldInfo(name=n, label=n.replace("_", " ").capitalize()) for n in dict.fromkeys(names))}


async def _problems(
    office: Office, mapping: PairMapping, chosen: Mapping[Side, Connection], changed: Collection[Side]
) -> list[Problem]:
    """What both accounts have against the mapping. What `connect` read a moment ago is not read again, for vendors
    count calls by the second; a fault is looked for in what the accounts say now."""
    fresh = await _just_read(office, [chosen[side] for side in SIDES if side not in changed])
    found = await _faults(office, mapping, chosen, fresh)
    return await _faults(office, mapping, chosen, {}) if found and fresh else found


async def _just_read(office: Office, connections: Sequence[Connection]) -> dict[str, Catalogue]:
    """Connection id -> its stored catalogue, where that is younger than a minute."""
    async with office.db.read() as tx:
        now = await tx.now()
    return {
        each.id: each.catalogue
        for each in connections
        if each.catalogue is not None and each.catalogue_at is not None and now - each.catalogue_at < JUST_READ
    }


async def _faults(
    office: Office, mapping: PairMapping, chosen: Mapping[Side, Connection], known: Mapping[str, Catalogue]
) -> list[Problem]:
    opened = {side: await office.connector(chosen[side].id) for side in SIDES}
    catalogues: dict[Side, Catalogue] = {}
    for side in SIDES:
        stored = known.get(chosen[side].id)
        catalogues[side] = stored if stored is not None else await opened[side].catalogue()
    async with office.db.write() as tx:
        for side in SIDES:
            if chosen[side].id not in known:
                await store.save_catalogue(tx, chosen[side].id, catalogues[side])
    return check_against(mapping, opened["crm"].facts, catalogues["crm"], opened["books"].facts, catalogues["books"])


def _written(mapping: PairMapping, chosen: Mapping[Side, Connection]) -> list[tuple[str, Kind, str]]:
    """Every field that the mapping may write, at which connection."""
    found = []
    for side in SIDES:
        for kind, rules in _rules(mapping, side).items():
            found += [(chosen[side].id, kind, rule.path(side)) for rule in rules if rule.writes(side)]
    if mapping.invoices is not None:
        found.append((chosen["books"].id, Kind.INVOICE, "*"))
    return found


async def _mark_what_is_known(tx: Unit, pair_id: str, chosen: Mapping[Side, Connection]) -> None:
    """What a connection's mirror holds already is new to this pair."""
    for side in SIDES:
        if not await mirror.is_known_to(tx, pair_id, side):
            refs = await mirror.all_refs(tx, chosen[side].id)
            await dirty_set.mark(tx, [dirty_set.Listener(pair_id, side)], refs)


async def _mapping_before(tx: Unit, pair_id: str) -> PairMapping | None:
    pair = await store.get_pair(tx, pair_id)
    return parse(await store.mapping_text(tx, pair_id, pair.mapping_version)) if pair.mapping_version > 0 else None


async def _mark_what_is_new_in(tx: Unit, pair_id: str, before: PairMapping | None, mapping: PairMapping) -> None:
    """A field that is mapped now, or converted in another way, was never compared: its bases are forgotten, and every
    record that has it is looked at."""
    if before is None:
        return
    for kind in (Kind.CUSTOMER, Kind.ITEM):
        fresh = _fresh_rules(before.rules(kind), mapping.rules(kind))
        if fresh:
            await links.forget_bases(tx, pair_id, kind, fresh)
            await conflicts.lift_rules(tx, pair_id, kind, fresh, ONE_BY_ONE)
            refs = sorted(await links.linked_refs(tx, pair_id, "crm", kind))
            await dirty_set.mark(tx, [dirty_set.Listener(pair_id, "crm")], [(kind, ref) for ref in refs])
    fresh = _fresh_rules(*(m.payments.fields if m.payments is not None else () for m in (before, mapping)))
    if fresh:
        await links.forget_bases(tx, pair_id, Kind.DEAL, fresh)
        billed = [(Kind.INVOICE, ref) for ref in sorted(await billing.taken_documents(tx, pair_id))]
        await dirty_set.mark(tx, [dirty_set.Listener(pair_id, "books")], billed)


def _fresh_rules(before: Sequence[FieldRule], now: Sequence[FieldRule]) -> list[str]:
    """The keys of rules that are new, or whose conversion is."""
    known = {rule.key: rule.conversion for rule in before}
    return [rule.key for rule in now if not rule.stays_home and known.get(rule.key) != rule.conversion]
