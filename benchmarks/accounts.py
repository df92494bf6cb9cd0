"""How the benchmarks log in, and what they pair: the settings that a person would give, for sandboxes without
limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiohttp
import msgspec

from connectors.hubspot.sandbox import HubSpotSandbox
from connectors.kit.contract import Token
from connectors.kit.timers import SystemClock
from connectors.quickbooks.sandbox import QuickBooksSandbox
from connectors.registry import CONNECTORS
from worker.store.database import open_database
from worker.store.migrate import upgrade
from worker.usecases.office import Office
from worker.vault import Vault, load_keys


class Login(msgspec.Struct, frozen=True):
    """Settings and token of one connection."""

    settings: Mapping[str, str]
    token: Token | None = None


def hubspot(sandbox: HubSpotSandbox) -> Login:
    """A private token: it does not expire."""
    settings = {"base_url": sandbox.url, "app_url": sandbox.url, "pace": "off"}
    return Login(settings, Token(access=sandbox.welcome.token or ""))


def quickbooks(sandbox: QuickBooksSandbox) -> Login:
    """A login as if a person had just given it."""
    told, realm = sandbox.token(), sandbox.realm
    token = Token(
        access=told["access_token"],
        refresh=told["refresh_token"],
        expires_at=sandbox.clock.now() + timedelta(hours=1),
        client_id=sandbox.authority.client_id,
        client_secret=sandbox.authority.client_secret,
    )
    settings = {
        "realm_id": realm,
        "base_url": sandbox.url,
        "token_url": sandbox.url + "/oauth2/v1/tokens/bearer",
        "authorize_url": sandbox.url + "/connect/oauth2",
        "pace": "off",
    }
    return Login(settings, token)


def memory(world: str) -> Login:
    return Login({"world": world})


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Office]:
    """An office over the SQLite database of a folder, as durable as in production (WAL, synchronous=FULL)."""
    url = f"sqlite+aiosqlite:///{folder / 'tieout.db'}"
    await upgrade(url)
    db = open_database(url)
    vault = Vault(load_keys(None, folder / "key"))
    async with aiohttp.ClientSession() as session:
        office = Office(db=db, vault=vault, registry=CONNECTORS, session=session, clock=SystemClock(), lane="bulk")
        try:
            yield office
        finally:
            await office.close()
            await db.close()


def mapping(crm: str, books: str, customers_from: str = "companies", *, email: bool = True) -> str:
    """A mapping that keeps customers in step and nothing else, and makes all of them in the books."""
    emails = "      - {crm: emails.general, books: emails.general, authority: crm}" if email else ""
    return f"""
pair: benchmark
crm: {crm}
books: {books}
time_zone: America/New_York
cut_over: 2026-01-01
customers_from: {customers_from}
deal_amount: net
flows:
  customers:
    apply: ask
    direction: two-way
    create: {{books: always, crm: never}}
    match: [email, name+postal_code, phone]
    fields:
      - {{crm: name, books: legal_name, authority: crm}}
      - {{crm: phone, books: phone, authority: crm}}
{emails}
      - {{crm: address, books: addresses.billing, authority: crm}}
"""
