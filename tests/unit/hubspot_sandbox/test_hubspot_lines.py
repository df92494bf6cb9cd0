"""Line items and what they do, and do not do, to a deal."""

from decimal import Decimal

import msgspec
import pytest

from connectors.hubspot.sandbox import Account, HubSpotSandbox, TaxRate

LINES = "/crm/v3/objects/line_items"


async def line(api, deal, **properties):
    bond = {"to": {"id": deal}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 20}]}
    return await api("POST", LINES, {"properties": properties, "associations": [bond]})


@pytest.mark.parametrize(
    ("properties", "net", "discount", "before"),
    [
        ({"price": "10.50", "quantity": "3"}, "31.50", "0.00", "31.50"),
        ({"price": "10.50", "quantity": "3", "discount": "0.50"}, "30.00", "1.50", "31.50"),
        ({"price": "19.99", "quantity": "1", "hs_discount_percentage": "12.5"}, "17.49", "2.50", "19.99"),
        ({"price": "100", "quantity": "0"}, "0.00", "0.00", "0.00"),
    ],
)
async def test_a_line_computes_its_net_from_a_discount_per_unit_or_in_percent(
    api, sandbox, properties, net, discount, before
):
    """amount is net, hs_pre_discount_amount is price times quantity."""
    reply = await line(api, sandbox.add_deal("Desk"), name="Oak", **properties)
    held = sandbox.properties("line_items", reply.body["id"])
    assert (net, discount, before) == (
        held["amount"],
        held["hs_total_discount"],
        held["hs_pre_discount_amount"],
    )


async def test_a_line_without_quantity_has_no_amount(sandbox):
    """Nothing is guessed."""
    made = sandbox.add_line(sandbox.add_deal("Desk"), name="Oak", price="10")
    assert "amount" not in sandbox.properties("line_items", made)


async def test_lines_do_not_change_the_deals_amount_nor_its_modified_time(api, sandbox):
    """Totals are filled in silently; the amount is what was typed."""
    deal = sandbox.add_deal("Desk", "1000")
    before = sandbox.properties("deals", deal)
    sandbox.clock.advance(60)
    await line(api, deal, name="Oak", price="10", quantity="3")
    after = sandbox.properties("deals", deal)
    assert (after["amount"], after["hs_tcv"], after["hs_num_of_associated_line_items"]) == ("1000", "30.00", "1")
    assert before["hs_lastmodifieddate"] == after["hs_lastmodifieddate"]


async def test_the_roll_up_can_be_switched_on(api_of):
    """With it, the amount follows the lines, and the modified time with it."""
    async with HubSpotSandbox(limits=False, account=Account(roll_up="hs_tcv")) as sandbox:
        deal = sandbox.add_deal("Desk", "1000", lines=[{"name": "Oak", "price": "10", "quantity": 3}])
        assert sandbox.properties("deals", deal)["amount"] == "30.00"


async def test_a_products_values_are_copied_once(sandbox):
    """The line keeps them when the product changes, and keeps its own where it has some."""
    product = sandbox.add_product("Oak desk", "200", hs_sku="D-1")
    made = sandbox.add_line(sandbox.add_deal("Desk"), product=product, quantity=2, price="180")
    sandbox.edit("products", product, name="Pine desk", price="90")
    held = sandbox.properties("line_items", made)
    assert (held["name"], held["hs_sku"], held["price"], held["amount"]) == ("Oak desk", "D-1", "180", "360.00")


async def test_a_line_belongs_to_one_deal(api, sandbox):
    """A second deal is refused, by association and on create."""
    one, other = sandbox.add_deal("One"), sandbox.add_deal("Other")
    made = sandbox.add_line(one, name="Oak")
    reply = await api("PUT", f"/crm/v4/objects/line_items/{made}/associations/default/deals/{other}")
    assert (reply.status, reply.body["category"]) == (400, "VALIDATION_ERROR")


async def test_a_tax_group_fills_the_tax_fields():
    """Rate and label come from the tax library; without a group the fields stay empty."""
    rates = (TaxRate(id="77", label="VAT", rate=Decimal("19")),)
    sandbox = HubSpotSandbox(account=Account(tax_rates=rates))
    deal = sandbox.add_deal("Desk")
    taxed = sandbox.add_line(deal, name="Oak", price="99.99", quantity=1, hs_tax_rate_group_id="77")
    bare = sandbox.add_line(deal, name="Pine", price="99.99", quantity=1)
    held = sandbox.properties("line_items", taxed)
    assert (
        held["hs_tax_rate"],
        held["hs_tax_label"],
        held["hs_tax_amount"],
        held["hs_post_tax_amount"],
    ) == ("19", "VAT", "19.00", "118.99")
    assert "hs_tax_amount" not in sandbox.properties("line_items", bare)


@pytest.mark.parametrize(
    ("frequency", "period", "expected"),
    [
        ("monthly", "P12M", ("1200.00", "1200.00", "1200.00", "100.00")),
        ("monthly", "P24M", ("2400.00", "1200.00", "1200.00", "100.00")),
        ("quarterly", "P6M", ("200.00", "200.00", "400.00", "33.33")),
        ("annually", "P2Y", ("200.00", "100.00", "100.00", "8.33")),
    ],
)
async def test_a_recurring_line_has_totals(sandbox, frequency, period, expected):
    """tcv, acv, arr, mrr of 100 for each bill."""
    made = sandbox.add_line(
        sandbox.add_deal("Desk"),
        name="Rent",
        price="100",
        quantity=1,
        recurringbillingfrequency=frequency,
        hs_recurring_billing_period=period,
    )
    held = sandbox.properties("line_items", made)
    assert expected == (held["hs_tcv"], held["hs_acv"], held["hs_arr"], held["hs_mrr"])


async def test_a_deleted_deal_leaves_its_lines_reachable(api, sandbox):
    """The lines of an archived deal are still there."""
    deal = sandbox.add_deal("Desk", lines=[{"name": "Oak", "price": "1", "quantity": 1}])
    made = sandbox.ids("line_items")[0]
    sandbox.archive("deals", deal)
    assert (await api("GET", f"{LINES}/{made}")).status == 200


async def test_the_check_of_the_amount_finds_a_sandbox_that_rolls_up_by_itself(api):
    """Saboteur: where lines write the amount, the promise above breaks."""
    kind = HubSpotSandbox(limits=False)
    kind.set_account(msgspec.structs.replace(kind.portal.account, roll_up="hs_tcv"))
    deal = kind.add_deal("Desk", "1000")
    kind.add_line(deal, name="Oak", price="10", quantity=3)
    assert kind.properties("deals", deal)["amount"] != "1000"
