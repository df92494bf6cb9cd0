"""Faults that show over several calls: pages that come twice, reads that are behind, logins that are renewed in the
middle, webhooks in any order, batches that are refused whole."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import stamina
from cryptography.fernet import Fernet
from sqlalchemy import update

from connectors.canon.fields import read
from connectors.canon.records import Kind
from connectors.kit.contract import Connector, Deps, Done, Event, Page, Renew, Token
from connectors.kit.errors import ConnectorError, Reconnect, TryLater
from connectors.kit.sandbox.faults import expire_token, repeat, rotate_token, stale, status
from tests.contract.clauses import creating, cursor_after, got, pages, seen, updating
from tests.contract.fault_cells import SYSTEMS, TROUBLES, Counted, count, harness, said, standing
from tests.contract.harness import Calls
from worker.store import connections
from worker.store.database import open_database
from worker.store.tables import credentials
from worker.vault import StoredTokens, Vault, save_token

READ_KINDS = {"hubspot": (Kind.CUSTOMER, Kind.DEAL), "quickbooks": (Kind.CUSTOMER, Kind.INVOICE)}


@pytest.fixture(autouse=True)
def _no_backing_off() -> Iterator[None]:
    """Retries follow at once, five attempts at most as in real life."""
    with stamina.set_testing(True, attempts=5, cap=True):
        yield


# --------------------------------------------------------------------------- more than one page


async def _many(h: Any, number: int) -> list[str]:
    refs = [await h.person_adds(Kind.CUSTOMER, f"of many {n}") for n in range(number)]
    await h.advance(h.of(Kind.CUSTOMER).search_delay_s + 1)
    return refs


async def _listed(connector: Connector, cursor: str | None) -> tuple[list[Page], ConnectorError | None]:
    """Pages up to the end, or up to an error."""
    found: list[Page] = []
    try:
        async for page in connector.changes({Kind.CUSTOMER: cursor}):
            found.append(page)
    except ConnectorError as error:
        return found, error
    return found, None


async def _listed_to_the_end(h: Any, fault: Any, cursor: str | None = None) -> set[str]:
    """What is told in all: where it was stopped it goes on from the last page that was kept."""
    told: set[str] = set()
    h.sandbox.faults.add(fault)
    for _ in range(3):
        found, error = await _listed(await h.reopened(), cursor)
        told |= {record.ref for page in found for record in page.records}
        if error is None:
            assert fault.fired > 0
            return told
        assert isinstance(error, TryLater), error
        cursor = cursor_after(found, Kind.CUSTOMER, cursor)
    raise AssertionError("it never ends")


PAGED = {"hubspot": (r"/companies\?", "GET", 250), "quickbooks": (r"/query\?.*Customer", "GET", 250)}
SEARCHED = {"hubspot": (r"/companies/search$", "POST", 450)}


@pytest.mark.parametrize("nth", [2, 3])
@pytest.mark.parametrize("system", PAGED)
async def test_a_page_that_comes_twice_loses_nothing(system: str, nth: int) -> None:
    """A proxy gives the page before once more, instead of the one that was asked for. A record may be told twice, none
    is left out, and the listing comes to its end."""
    path, method, number = PAGED[system]
    async with harness(system) as h:
        refs = await _many(h, number)
        assert set(refs) <= await _listed_to_the_end(h, repeat(method, path, nth=nth))


@pytest.mark.parametrize("system", SEARCHED)
async def test_a_page_of_a_search_that_comes_twice_loses_nothing(system: str) -> None:
    """The walk sees that the page does not lie behind the last one: it is asked for later, from where it stood."""
    path, method, number = SEARCHED[system]
    async with harness(system) as h:
        cursor = cursor_after(await pages(await h.reopened(), Kind.CUSTOMER, None), Kind.CUSTOMER)
        refs = await _many(h, number)
        assert set(refs) <= await _listed_to_the_end(h, repeat(method, path, nth=2), cursor)


@pytest.mark.parametrize("trouble", ["the token expires", "half a body", "429 with a time"])
@pytest.mark.parametrize("system", PAGED)
async def test_a_listing_goes_on_over_trouble_in_its_middle(system: str, trouble: str) -> None:
    """The second page is met by it: the token is renewed once, or the page asked for again, and each record is told
    once."""
    path, method, number = PAGED[system]
    async with harness(system) as h:
        refs = await _many(h, number)
        wanted = seen(await pages(await h.reopened(), Kind.CUSTOMER, None))
        fault = TROUBLES[trouble].fault(h.manners, method, path, 2)
        h.sandbox.faults.add(fault)
        found, error = await _listed(await h.reopened(), None)
        assert (None, 1, wanted) == (error, fault.fired, seen(found))
        assert (set(refs) <= set(wanted), fault.how == "expire_token") == (True, h.tokens.renewals == 1)


# --------------------------------------------------------------------------- reads that are behind


@pytest.mark.parametrize(("system", "kind"), [(s, k) for s, kinds in READ_KINDS.items() for k in kinds], ids=str)
async def test_a_read_that_is_behind_tells_its_age(system: str, kind: Kind) -> None:
    """Right after our write a read may show the state before it. It says that it is older than what the write's
    answer told: by that the mirror knows that nobody typed it."""
    async with harness(system) as h:
        ref = (await standing(h, kind)).refs[0]
        before = await got(h, kind, ref)
        await h.advance(5)
        connector = await h.reopened()
        (outcome,) = await connector.write([updating(h, kind, before, "just set")], "key-behind")
        assert isinstance(outcome, Done), outcome
        h.sandbox.faults.add(stale(times=None))
        behind = (await (await h.reopened()).get(kind, [ref])).get(ref)
        assert outcome.stored is not None
        assert read(behind, h.text_path[kind]) == read(before, h.text_path[kind])
        assert behind.updated_at < outcome.stored.updated_at


# --------------------------------------------------------------------------- logins


class Seen(msgspec.Struct, frozen=True):
    """A call that was let in: with which token, and which one was kept at that moment."""

    used: str
    kept: str


@pytest.fixture
async def stored_login(tmp_path: Path, sqlite_template: Path) -> AsyncIterator[Any]:
    """QuickBooks with a login that lives in a database, and every call with the token that stood there meanwhile."""
    path, vault = tmp_path / "tieout.db", Vault([Fernet.generate_key().decode()])
    shutil.copyfile(sqlite_template, path)
    db = open_database(f"sqlite+aiosqlite:///{path}")
    async with harness("quickbooks") as h:
        h.sandbox.rotate_every_refresh = True
        async with db.write() as tx:
            connection = await connections.save_connection(tx, "quickbooks", "1", "company", {})
        await save_token(db, vault, connection, h.token())
        seen_calls: list[Seen] = []
        dress = h.sandbox.dress

        def peek(request: Any, response: Any) -> None:
            dress(request, response)
            if response.status == 200 and request.headers.get("Authorization", "").startswith("Bearer "):
                with contextlib.closing(sqlite3.connect(path)) as other:
                    ((secret,),) = other.execute("select secret from credentials").fetchall()
                seen_calls.append(Seen(request.headers["Authorization"][7:], vault.open(secret).access))

        h.sandbox.dress = peek

        def opened(tokens: Any = None) -> Connector:
            tokens = tokens if tokens is not None else StoredTokens(db, vault, connection)
            made: Connector = h.open(h.settings(), Deps(session=h.session, tokens=tokens, clock=h.clock, calls=Calls()))
            return made

        yield h, opened, seen_calls, StoredTokens(db, vault, connection)
    await db.close()


async def test_a_rotated_login_is_kept_before_it_is_used(stored_login: Any) -> None:
    """Each refresh token is good once. Whoever is killed right after the renewal leaves a login that works: the new
    one stood in the database before the first call with it was answered, and the old one is refused from then on."""
    h, opened, calls, _ = stored_login
    for _ in range(3):
        h.sandbox.faults.add(expire_token("GET", "/query", nth=1))
        await opened().get(Kind.CUSTOMER, [h.customer])
        h.sandbox.faults.clear()
    assert 3 == len({call.used for call in calls})
    assert [] == [call for call in calls if call.used != call.kept]
    assert 3 == h.sandbox.authority.refreshes


class Forgetful(StoredTokens):
    """Uses a new token before it is kept (and dies before it is)."""

    async def _renew(self, stored: Token, *told: Any) -> Token:
        renew: Renew = told[-1]
        return await renew(stored)


async def test_saboteur_a_login_used_before_it_is_kept_is_seen(stored_login: Any) -> None:
    """The check above sees a token in use that nobody could find again, and the next renewal, with the old refresh
    token, is refused."""
    h, opened, calls, tokens = stored_login
    h.sandbox.faults.add(expire_token("GET", "/query", nth=1))
    await opened(Forgetful(tokens._db, tokens._vault, tokens._id)).get(Kind.CUSTOMER, [h.customer])
    assert [call for call in calls if call.used != call.kept]
    async with tokens._db.write() as tx:
        await tx.run(update(credentials).values(renewing_until=None))
    with pytest.raises(Reconnect):
        await opened().get(Kind.CUSTOMER, [h.customer])


async def test_a_login_that_is_gone_holds_the_write() -> None:
    """The token expires and its refresh token is refused: surely nothing was sent, and a person has to connect."""
    async with harness("quickbooks") as h:
        connector = await h.reopened()
        await connector.catalogue()
        h.sandbox.authority.chains.clear()
        write = creating(h.sample(Kind.CUSTOMER, "Held"), "m-held")
        (outcome,) = await connector.write([write], write.key)
        accepted = [one for one in h.sandbox.requests if one.path.endswith("/customer") and one.status == 200]
        assert ("reconnect", []) == (said(outcome), accepted)


@pytest.mark.parametrize("system", SYSTEMS)
async def test_an_old_refresh_token_is_refused(system: str) -> None:
    """A connector that would go on with the login it began with is turned away; with the new one it is let in."""
    async with harness(system) as h:
        old = h.token()
        tokens = Counted(old)
        first = h.open(h.settings(), Deps(session=h.session, tokens=tokens, clock=h.clock, calls=Calls()))
        h.sandbox.faults.add(expire_token(nth=1), rotate_token("POST", "token", nth=1))
        await first.get(Kind.CUSTOMER, ["1"])
        assert (1, True) == (tokens.renewals, tokens.kept[-1].refresh != old.refresh)
        late = h.open(h.settings(), Deps(session=h.session, tokens=Counted(old), clock=h.clock, calls=Calls()))
        with pytest.raises(Reconnect):
            await late.get(Kind.CUSTOMER, ["1"])
        h.sandbox.faults.add(expire_token(nth=1))
        await first.get(Kind.CUSTOMER, ["1"])
        assert 2 == tokens.renewals


# --------------------------------------------------------------------------- webhooks


@pytest.mark.parametrize("system", SYSTEMS)
async def test_webhooks_twice_and_out_of_order_speak_of_the_same(system: str) -> None:
    """However they come, they name the same records, and the same event by the same id: what is only marked dirty
    can be marked twice."""
    async with harness(system) as h:
        orderly = await _events(h, "orderly")
        h.sandbox.disturb_webhooks(twice=True, disorder=True)
        disturbed = await _events(h, "disturbed")
    assert (len(orderly), 2 * len(orderly)) == (len({e.id for e in orderly}), len(disturbed))
    assert len(orderly) == len({e.id for e in disturbed})
    assert len({e.ref for e in orderly}) == len({e.ref for e in disturbed}) == 3


async def _events(h: Any, label: str) -> list[Event]:
    """The events of three records that a person makes, in the order in which they are heard."""
    url, heard, runner = await h.caught()
    h.listen(url)
    for number in range(3):
        await h.person_adds(Kind.CUSTOMER, f"{label} {number}")
    await h.deliver()
    found: list[Event] = []
    while not heard.empty():
        found += type(h.connector).parse_webhook(heard.get_nowait().body)
    h.listen(None)
    await runner.cleanup()
    return found


# --------------------------------------------------------------------------- one bad write of many


@pytest.mark.parametrize("system", SYSTEMS)
async def test_a_batch_refused_whole_denies_nobody_without_a_name(system: str) -> None:
    """400 to a whole batch that names no item: nothing was done, and who is to blame shows in smaller batches; alone
    it is denied. QuickBooks answers a batch item by item, and a 400 to all of it is a mistake of the call."""
    async with harness(system) as h:
        no = {"status": "error", "message": "Invalid input JSON", "category": "VALIDATION_ERROR"}
        h.sandbox.faults.add(status(400, "POST", h.write_path, body=no, times=2))
        writes = [creating(h.sample(Kind.CUSTOMER, f"Batch {n}"), f"m-batch-{n}") for n in range(4)]
        connector, before = await h.reopened(), await count(h, Kind.CUSTOMER)
        together = [said(outcome) for outcome in await connector.write(writes, "key-many")]
        alone = [said(outcome) for outcome in await connector.write(writes[:1], "key-one")]
        wanted = "fewer" if system == "hubspot" else "Denied"
        assert ([wanted] * 4, ["Denied"], before) == (together, alone, await count(h, Kind.CUSTOMER))
