"""The reference connector, broken in exactly one way at a time, and the clause that has to notice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date
from decimal import Context
from itertools import count
from typing import Any

import msgspec

from connectors.canon.fields import read
from connectors.canon.records import AnyRecord, Customer, Item, Kind
from connectors.canon.values import Money, Price
from connectors.kit.contract import (
    Act,
    Catalogue,
    Create,
    Denied,
    Done,
    Figures,
    Histories,
    InDoubt,
    NotSent,
    Outcome,
    Page,
    Tombstone,
    Update,
    Write,
)
from connectors.memory.connector import Memory
from connectors.memory.journal import APP

SABOTEURS: dict[str, type[Memory]] = {}


def must_fail(clause: str) -> Any:
    """Enter a saboteur under the one clause that has to notice it."""

    def enter(saboteur: type[Memory]) -> type[Memory]:
        SABOTEURS[clause] = saboteur
        return saboteur

    return enter


# --------------------------------------------------------------------------- reading


@must_fail("a_full_listing_is_complete_and_stable")
class Forgetful(Memory):
    """Leaves a record out of its second full listing."""

    listings = 0

    async def changes(self, cursors: Mapping[Kind, str | None]) -> AsyncIterator[Page]:
        self.listings += None in cursors.values()
        async for page in super().changes(cursors):
            drop = self.listings > 1 and None in cursors.values()
            yield msgspec.structs.replace(page, records=page.records[1:]) if drop else page


@must_fail("pages_are_no_larger_than_declared")
class Heaping(Memory):
    """Puts everything on one page."""

    async def changes(self, cursors: Mapping[Kind, str | None]) -> AsyncIterator[Page]:
        pages = [page async for page in super().changes(cursors)]
        yield msgspec.structs.replace(
            pages[-1],
            records=tuple(record for page in pages for record in page.records),
            gone=tuple(stone for page in pages for stone in page.gone),
        )


@must_fail("resuming_after_any_page_loses_nothing")
class Hasty(Memory):
    """Moves the cursor to the end with the first page."""

    async def changes(self, cursors: Mapping[Kind, str | None]) -> AsyncIterator[Page]:
        async for page in super().changes(cursors):
            yield msgspec.structs.replace(page, cursors=dict.fromkeys(page.cursors, str(self.world.state.head)))


@must_fail("an_unchanged_account_gives_nothing_new")
class Chatty(Memory):
    """Gives a record again although nothing happened."""

    async def changes(self, cursors: Mapping[Kind, str | None]) -> AsyncIterator[Page]:
        async for page in super().changes(cursors):
            kind = next(iter(page.cursors))
            quiet = not page.records and not page.gone
            yield msgspec.structs.replace(page, records=tuple(self.world.all(kind)[:1])) if quiet else page


@must_fail("an_edit_appears_after_its_cursor")
class OnlyNew(Memory):
    """Tells what was made since the cursor, not what was edited."""

    async def changes(self, cursors: Mapping[Kind, str | None]) -> AsyncIterator[Page]:
        async for page in super().changes(cursors):
            new = (r for r in page.records if None in cursors.values() or r.created_at == r.updated_at)
            yield msgspec.structs.replace(page, records=tuple(new))


@must_fail("an_addition_appears_after_its_cursor")
class OnlyKnown(Memory):
    """Tells news of records that it has listed, and of no others."""

    known: frozenset[str] | None = None

    async def changes(self, cursors: Mapping[Kind, str | None]) -> AsyncIterator[Page]:
        async for page in super().changes(cursors):
            if None in cursors.values():
                self.known = (self.known or frozenset()) | {record.ref for record in page.records}
            known = self.known
            told = (r for r in page.records if known is None or r.ref in known)
            yield msgspec.structs.replace(page, records=tuple(told))


@must_fail("a_deletion_is_told")
class Discreet(Memory):
    """Keeps deletions to itself."""

    async def changes(self, cursors: Mapping[Kind, str | None]) -> AsyncIterator[Page]:
        async for page in super().changes(cursors):
            yield msgspec.structs.replace(page, gone=())


@must_fail("a_deletion_is_missing_from_a_complete_listing")
class Nostalgic(Memory):
    """Lists what was deleted among what is there."""

    async def changes(self, cursors: Mapping[Kind, str | None]) -> AsyncIterator[Page]:
        async for page in super().changes(cursors):
            if None not in cursors.values():
                yield page
                continue
            late = (self.world.state.rows[stone.kind][stone.ref].record for stone in page.gone)
            yield msgspec.structs.replace(page, records=(*page.records, *late), gone=())


@must_fail("get_leaves_out_what_is_not_visible")
class Obliging(Memory):
    """Finds something for every ref."""

    async def get(self, kind: Kind, refs: Sequence[str]) -> dict[str, AnyRecord | Tombstone]:
        found = await super().get(kind, refs)
        return found | {ref: self.world.all(kind)[0] for ref in refs if ref not in found and "000" in ref}


@must_fail("get_takes_more_than_one_call_holds")
class OneCall(Memory):
    """Reads the first call's worth of refs."""

    async def get(self, kind: Kind, refs: Sequence[str]) -> dict[str, AnyRecord | Tombstone]:
        return await super().get(kind, refs[: self.world.knobs.batch_read])


@must_fail("get_of_a_deleted_record_is_no_record")
class Undead(Memory):
    """Reads records that a person deleted as if they were there."""

    async def get(self, kind: Kind, refs: Sequence[str]) -> dict[str, AnyRecord | Tombstone]:
        found = await super().get(kind, refs)
        rows = self.world.state.rows[kind]
        theirs = {ref: rows[ref].record for ref in found if rows[ref].record.marker is None}
        return {ref: theirs.get(ref, hit) if isinstance(hit, Tombstone) else hit for ref, hit in found.items()}


@must_fail("find_is_exact")
class Vague(Memory):
    """Finds what begins with the value."""

    async def find(self, kind: Kind, path: str, values: Sequence[str]) -> dict[str, list[AnyRecord]]:
        texts = [(record, read(record, path)) for record in self.world.searchable(kind)]
        return {v: [r for r, text in texts if isinstance(text, str) and text.startswith(v)] for v in values}


# --------------------------------------------------------------------------- writing


class Tampering(Memory):
    """Changes what is sent, or what comes back."""

    async def write(self, writes: Sequence[Write], key: str) -> list[Outcome]:
        outcomes = await super().write([self.sent(write) for write in writes], key)
        return [self.back(write, outcome) for write, outcome in zip(writes, outcomes, strict=True)]

    def sent(self, write: Write) -> Write:
        return write

    def back(self, write: Write, outcome: Outcome) -> Outcome:
        return outcome


@must_fail("create_stores_what_was_given")
class Terse(Tampering):
    """Answers a create without half of what was stored."""

    def back(self, write: Write, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Done) and isinstance(write, Create) and isinstance(outcome.stored, Customer):
            return msgspec.structs.replace(outcome, stored=Customer(ref=outcome.ref, version=outcome.version))
        return outcome


@must_fail("the_marker_reads_back")
class Unmarked(Memory):
    """Reads records without their marker."""

    async def get(self, kind: Kind, refs: Sequence[str]) -> dict[str, AnyRecord | Tombstone]:
        found = await super().get(kind, refs)
        return {
            ref: hit if isinstance(hit, Tombstone) else msgspec.structs.replace(hit, marker=None)
            for ref, hit in found.items()
        }


@must_fail("update_changes_only_what_it_names")
class Sweeping(Tampering):
    """Sends a field along that nobody named."""

    def sent(self, write: Write) -> Write:
        if isinstance(write, Update) and write.kind is Kind.CUSTOMER:
            return msgspec.structs.replace(write, after={**write.after, "website": "example.test"})
        return write


@must_fail("history_tells_what_a_write_passed_over")
class Oblivious(Memory):
    """Knows of its own writes only."""

    async def history(self, kind: Kind, refs: Sequence[str], paths: Sequence[str]) -> Histories:
        told = await super().history(kind, refs, paths)
        return {
            ref: {path: tuple(past for past in pasts if past.by == APP) for path, pasts in fields.items()}
            for ref, fields in told.items()
        }


@must_fail("an_old_version_is_moved")
class Reckless(Tampering):
    """Takes whatever version is there now."""

    def sent(self, write: Write) -> Write:
        if isinstance(write, Update):
            return msgspec.structs.replace(write, version=self.world.see(write.kind, write.ref).version)
        return write


@must_fail("one_bad_item_does_not_spoil_a_batch")
class Sulking(Memory):
    """Gives up a batch at its first bad item."""

    async def write(self, writes: Sequence[Write], key: str) -> list[Outcome]:
        outcomes = await super().write(writes, key)
        bad = next((place for place, o in enumerate(outcomes) if isinstance(o, Denied)), len(outcomes))
        return [o if place <= bad else NotSent("given up") for place, o in enumerate(outcomes)]


@must_fail("a_batch_larger_than_declared_stores_nothing")
class Slicing(Memory):
    """Cuts a batch that is too large into several calls by itself."""

    async def write(self, writes: Sequence[Write], key: str) -> list[Outcome]:
        size = self.world.knobs.batch_write
        outcomes: list[Outcome] = []
        for start in range(0, len(writes), size):
            outcomes += await super().write(writes[start : start + size], f"{key}-{start}")
        return outcomes


@must_fail("a_lost_answer_is_in_doubt")
class Confident(Tampering):
    """Takes no answer for a no."""

    def back(self, write: Write, outcome: Outcome) -> Outcome:
        return NotSent("no answer") if isinstance(outcome, InDoubt) else outcome


@must_fail("the_marker_finds_a_lost_write")
class Blind(Memory):
    """Finds nothing by marker."""

    async def by_marker(self, kind: Kind, markers: Sequence[str]) -> dict[str, list[AnyRecord]]:
        return {}


@must_fail("the_window_finds_a_lost_write")
class Late(Memory):
    """Sets its mark one too high."""

    async def mark(self, kind: Kind) -> str:
        return str(int(await super().mark(kind)) + 1)


@must_fail("a_write_is_never_sent_twice")
class Insistent(Memory):
    """Sends an update again when no answer came."""

    async def write(self, writes: Sequence[Write], key: str) -> list[Outcome]:
        outcomes = await super().write(writes, key)
        doubtful = any(isinstance(outcome, InDoubt) for outcome in outcomes)
        return await super().write(writes, key) if doubtful and isinstance(writes[0], Update) else outcomes


@must_fail("too_many_calls_is_not_sent")
class Pessimist(Tampering):
    """Takes "too many calls" for a no to the record."""

    def back(self, write: Write, outcome: Outcome) -> Outcome:
        return Denied(outcome.reason) if isinstance(outcome, NotSent) else outcome


@must_fail("a_repeat_does_what_is_declared")
class Remembering(Memory):
    """Answers a repeated create from memory, and declares nothing of the kind."""

    memory: dict[str, list[Outcome]]

    async def write(self, writes: Sequence[Write], key: str) -> list[Outcome]:
        self.memory = getattr(self, "memory", {})
        if key not in self.memory:
            self.memory[key] = await super().write(writes, key)
        return self.memory[key]


@must_fail("emptied_is_not_absent")
class Shy(Tampering):
    """Leaves out of an update what is to be emptied."""

    def sent(self, write: Write) -> Write:
        if isinstance(write, Update):
            told = {path: value for path, value in write.after.items() if value is not None}
            return msgspec.structs.replace(write, after=told)
        return write


@must_fail("zero_is_not_empty")
class Truthy(Tampering):
    """Takes a price of zero for no price."""

    def sent(self, write: Write) -> Write:
        if isinstance(write, Create) and isinstance(write.record, Item):
            price = write.record.price
            if isinstance(price, Price) and not price.amount:
                return msgspec.structs.replace(write, record=msgspec.structs.replace(write.record, price=None))
        return write


@must_fail("money_is_exact")
class Floating(Tampering):
    """Keeps seven digits of an amount, as a short float does."""

    def sent(self, write: Write) -> Write:
        amount = getattr(write.record, "amount", None) if isinstance(write, Create) else None
        if isinstance(write, Create) and isinstance(amount, Money):
            short = Money(Context(prec=7).plus(amount.amount), amount.currency)
            return msgspec.structs.replace(write, record=msgspec.structs.replace(write.record, amount=short))
        return write


@must_fail("an_act_does_what_it_says")
class AllTalk(Memory):
    """Says Done to a void, a delete or an archive, and does nothing."""

    async def write(self, writes: Sequence[Write], key: str) -> list[Outcome]:
        if isinstance(writes[0], Act):
            return [Done(write.ref, write.version, None) for write in writes if isinstance(write, Act)]
        return await super().write(writes, key)


# --------------------------------------------------------------------------- the account

_ACCOUNTS = count()


@must_fail("the_catalogue_tells")
class Nameless(Memory):
    """Calls the account another name each time."""

    async def catalogue(self) -> Catalogue:
        return msgspec.structs.replace(await super().catalogue(), account_id=f"account {next(_ACCOUNTS)}")


@must_fail("figures_are_the_vendors_own")
class Mirror(Memory):
    """Computes figures from what it has seen itself."""

    first: Figures | None = None

    async def figures(self, start: date, end: date) -> Figures | None:
        if self.first is None:
            self.first = await super().figures(start, end)
        return self.first


@must_fail("a_webhook_with_a_wrong_signature_is_refused")
class Trusting(Memory):
    """Believes every webhook call."""

    @classmethod
    def verify_webhook(cls, **call: Any) -> bool:  # type: ignore[override]  # it looks at nothing
        return True
