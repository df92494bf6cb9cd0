"""A first sync of many customers from HubSpot to QuickBooks without rate limits: seconds, calls, peak memory."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import msgspec

from benchmarks import accounts, made_up
from benchmarks.accounts import Login
from benchmarks.apart import measured, vendor
from benchmarks.driven import Applied, Previewed, driving
from benchmarks.figures import Figure, figure
from connectors.hubspot.sandbox import HubSpotSandbox
from connectors.quickbooks.vendor import BATCH


class Size(msgspec.Struct, frozen=True):
    """Companies in HubSpot; QuickBooks has none of them."""

    customers: int = 10_000


FULL, SMALL = Size(), Size(200)


class Synced(msgspec.Struct, frozen=True):
    """A first preview and its apply."""

    previewed: Previewed
    applied: Applied


def measure(size: Size) -> list[Figure]:
    """Preview and apply into empty books; both vendors serve in processes of their own."""
    with tempfile.TemporaryDirectory() as named, vendor("hubspot") as crm, vendor("quickbooks") as books:
        crm.do(populate, size.customers)
        logins = {"hubspot": crm.do(accounts.hubspot), "quickbooks": books.do(accounts.quickbooks)}
        done = measured(sync, Path(named), logins)
        crm_calls, books_calls = crm.calls, books.calls
    synced = done.value
    made = synced.applied.states.get("done", 0)
    whole = synced.previewed.seconds + synced.applied.seconds
    note = f"{made} of {size.customers} made"
    batches = f"{math.ceil(made / BATCH)} full batches"
    return [
        figure("first sync, seconds", whole, "s", None, note),
        figure("first sync, seconds of the preview", synced.previewed.seconds, "s", None, "pull and plan"),
        figure("first sync, seconds of the apply", synced.applied.seconds, "s", None, note),
        figure("first sync, customers per second", made / whole, "1/s"),
        figure("first sync, calls to HubSpot", crm_calls, "calls"),
        figure("first sync, calls to QuickBooks", books_calls, "calls", None, batches),
        figure("first sync, peak memory", done.peak_mb, "MB", None, note),
    ]


def populate(sandbox: HubSpotSandbox, customers: int) -> None:
    """Companies that were last edited an hour ago: the pull before each wave does not read them again."""
    for n in range(customers):
        sandbox.add_company(
            made_up.name(n),
            domain=f"c{n}.example",
            phone=made_up.phone(n),
            address="1 Main Street",
            city="Springfield",
            state="IL",
            zip=made_up.postcode(n),
            country="United States",
        )
    sandbox.clock.advance(3600)


async def sync(folder: Path, logins: dict[str, Login]) -> Synced:
    mapping = accounts.mapping("hubspot", "quickbooks", email=False)
    async with driving(folder, logins, mapping) as driver:
        previewed = await driver.preview()
        applied = await driver.apply(previewed.plan)
        return Synced(previewed, applied)
