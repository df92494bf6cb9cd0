"""HubSpot keeps each property's history, and has no lock: what somebody typed there while we wrote is found again,
over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.hubspot.sandbox import HubSpotSandbox
from tests.flows.vendors_rig import MAPPING, VendorRig, open_vendors

THEIRS, OURS, TYPED = "(212) 555-0100", "(212) 555-0199", "(212) 555-0155"


@pytest.fixture
async def vendors(flow_url: str, tmp_path: Path) -> AsyncIterator[VendorRig]:
    async with open_vendors(flow_url, tmp_path) as rig:
        yield rig


def types_meanwhile(hubspot: HubSpotSandbox, company: str, **properties: str) -> None:
    """Somebody's edit is stored the moment our next update of a record arrives, right before it."""
    portal = hubspot.portal
    draft = portal.draft_update

    def first_theirs(kind: Any, record: Any, sent: Mapping[str, object], **more: Any) -> Any:
        portal.draft_update = draft  # type: ignore[method-assign]  # the next update finds nobody at the keyboard
        hubspot.edit("companies", company, **properties)
        hubspot.clock.advance(0.05)
        return draft(kind, hubspot.record("companies", company), sent, **more)

    portal.draft_update = first_theirs  # type: ignore[method-assign]  # this is the moment between read and write


async def test_what_was_typed_under_our_write_is_found_and_put_back(vendors: VendorRig) -> None:
    """The write is done, the lost number stands on a card; kept, it is in both systems."""
    company = vendors.hubspot.add_company("Nordwind", phone=THEIRS)
    vendors.wins("Q4 pumps", company)
    await vendors.done()
    await vendors.settled()
    vendors.quickbooks.edit("Customer", "1", PrimaryPhone={"FreeFormNumber": OURS})
    await vendors.preview()
    types_meanwhile(vendors.hubspot, company, phone=TYPED)
    run = await vendors.apply()
    assert {"done": 1} == run.outcome
    question = await vendors.question()
    assert ("field", TYPED) == (question.what, question.crm)
    assert "somebody typed this in HubSpot while Tieout was writing, and it was overwritten" == question.reason
    await vendors.settle("crm")
    await vendors.settled()
    (there,) = [row["PrimaryPhone"]["FreeFormNumber"] for row in vendors.rows("Customer")]
    here = vendors.hubspot.properties("companies", company)["phone"]
    assert ([], TYPED, "+12125550155") == (await vendors.conflicts(), here, there)


async def test_a_town_typed_under_our_street_is_no_agreement(vendors: VendorRig) -> None:
    """HubSpot is sent the parts of an address that changed, so that the town stands beside our street: it travels as
    any edit does, and what the address was is asked about."""
    phone = "transform: phone(US)}}\n"
    address = "      - {{crm: addresses.billing, books: addresses.billing, authority: ask}}\n"
    text = MAPPING.replace(phone, phone + address)
    cut_over = f"{datetime.now(UTC) - timedelta(days=60):%Y-%m-%d}"
    vendors.pair = await vendors.api.pair(
        text.format(cut_over=cut_over, books="first_document", crm="ask"), "t.yaml", "tests"
    )
    company = vendors.hubspot.add_company(
        "Nordwind", phone=THEIRS, address="1 Main St", city="Boston", state="MA", zip="02101", country="United States"
    )
    vendors.wins("Q4 pumps", company)
    await vendors.done()
    await vendors.settled()
    (customer,) = vendors.rows("Customer")
    vendors.quickbooks.edit("Customer", "1", BillAddr={**customer["BillAddr"], "Line1": "9 High St"})
    await vendors.preview()
    types_meanwhile(vendors.hubspot, company, city="Salem")
    run = await vendors.apply()
    assert {"done": 1} == run.outcome
    question = await vendors.question()
    assert (("1 Main St", "Salem"), "9 High St") == (
        (question.crm["lines"][0], question.crm["city"]), question.books["lines"][0],
    )  # fmt: skip
    await vendors.settled()
    (customer,) = vendors.rows("Customer")
    here = vendors.hubspot.properties("companies", company)
    assert [("9 High St", "Salem")] * 2 == [
        (customer["BillAddr"]["Line1"], customer["BillAddr"]["City"]), (here["address"], here["city"]),
    ]  # fmt: skip
