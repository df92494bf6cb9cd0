"""The portal's setup: object types, their properties, pipelines, owners, currencies. Facts, and no behaviour.

Object types and their ids: https://developers.hubspot.com/docs/api-reference/latest/crm/understanding-the-crm
Properties: https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec

# --------------------------------------------------------------------------- object types


class ObjectType(msgspec.Struct, frozen=True, kw_only=True):
    """One CRM object. `modified` is the name of its last-modified property; `required` needs one of each inner
    tuple on create; `inline` is its key in an object's inline `associations`."""

    name: str
    singular: str
    type_id: str
    legacy: str
    modified: str
    defaults: tuple[str, ...]
    required: tuple[tuple[str, ...], ...] = ()
    inline: str
    group: str
    title: str
    merges: bool = False
    uniques: bool = True


CONTACTS = ObjectType(
    name="contacts",
    singular="contact",
    type_id="0-1",
    legacy="CONTACT",
    modified="lastmodifieddate",
    defaults=("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"),
    required=(("email", "firstname", "lastname"),),
    inline="contacts",
    group="contactinformation",
    title="lastname",
    merges=True,
)
COMPANIES = ObjectType(
    name="companies",
    singular="company",
    type_id="0-2",
    legacy="COMPANY",
    modified="hs_lastmodifieddate",
    defaults=("name", "domain", "createdate", "hs_lastmodifieddate", "hs_object_id"),
    required=(("name", "domain"),),
    inline="companies",
    group="companyinformation",
    title="name",
    merges=True,
)
DEALS = ObjectType(
    name="deals",
    singular="deal",
    type_id="0-3",
    legacy="DEAL",
    modified="hs_lastmodifieddate",
    defaults=(
        "amount",
        "closedate",
        "createdate",
        "dealname",
        "dealstage",
        "hs_lastmodifieddate",
        "hs_object_id",
        "pipeline",
    ),
    required=(("dealname",), ("dealstage",), ("pipeline",)),
    inline="deals",
    group="dealinformation",
    title="dealname",
    merges=True,
)
PRODUCTS = ObjectType(
    name="products",
    singular="product",
    type_id="0-7",
    legacy="PRODUCT",
    modified="hs_lastmodifieddate",
    defaults=("createdate", "description", "hs_lastmodifieddate", "hs_object_id", "name", "price"),
    required=(("name",),),
    inline="products",
    group="productinformation",
    title="name",
    uniques=False,
)
LINE_ITEMS = ObjectType(
    name="line_items",
    singular="line_item",
    type_id="0-8",
    legacy="LINE_ITEM",
    modified="hs_lastmodifieddate",
    defaults=(
        "amount",
        "createdate",
        "hs_lastmodifieddate",
        "hs_object_id",
        "hs_product_id",
        "quantity",
    ),
    inline="line items",
    group="lineiteminformation",
    title="name",
)

OBJECT_TYPES = {kind.name: kind for kind in (CONTACTS, COMPANIES, DEALS, PRODUCTS, LINE_ITEMS)}
SPELLINGS = {spelling: kind for kind in OBJECT_TYPES.values() for spelling in (kind.name, kind.singular, kind.type_id)}

# --------------------------------------------------------------------------- properties


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """A choice of an enumeration. A write sends `value`, never `label`."""

    label: str
    value: str
    displayOrder: int = -1  # noqa: N815 - the wire's own name
    hidden: bool = False


class Property(msgspec.Struct, frozen=True, kw_only=True):
    """The definition of one property. `read_only` values are refused in a write; `calculated` ones are HubSpot's
    own arithmetic (and read only as well)."""

    name: str
    label: str
    type: str
    field_type: str
    group: str
    description: str = ""
    options: tuple[Option, ...] = ()
    unique: bool = False
    read_only: bool = False
    calculated: bool = False
    hubspot_defined: bool = False
    archived: bool = False
    created_at: str | None = None
    updated_at: str | None = None


FIELD_TYPES = {
    "string": ("text", "textarea", "file", "html", "phonenumber", "calculation_equation"),
    "number": ("number", "calculation_equation"),
    "date": ("date",),
    "datetime": ("date",),
    "enumeration": ("select", "radio", "checkbox", "booleancheckbox", "calculation_equation"),
    "bool": ("booleancheckbox", "calculation_equation"),
    "phone_number": ("phonenumber",),
}

# One line for each property: name, type, and `ro` (read only), `calc` (calculated), `many` (several options).
_LISTS = {
    "contacts": """
        email string|firstname string|lastname string|phone string|mobilephone string|company string
        jobtitle string|website string|address string|city string|state string|zip string|country string
        lifecyclestage enumeration|hs_lead_status enumeration|hubspot_owner_id enumeration
        hs_additional_emails string ro|associatedcompanyid number calc|hs_merged_object_ids string ro
        createdate datetime ro|lastmodifieddate datetime ro|hs_object_id number ro""",
    "companies": """
        name string|domain string|phone string|website string|address string|address2 string|city string
        state string|zip string|country string|industry string|description string|lifecyclestage enumeration
        numberofemployees number|annualrevenue number|hubspot_owner_id enumeration|hs_additional_domains string
        hs_merged_object_ids string ro|hs_object_id number ro
        createdate datetime ro|hs_lastmodifieddate datetime ro""",
    "deals": """
        dealname string|amount number|dealstage enumeration|pipeline enumeration|closedate datetime
        dealtype enumeration|description string|deal_currency_code enumeration|hubspot_owner_id enumeration
        closed_lost_reason string|closed_won_reason string|hs_deal_amount_in_home_currency number calc
        amount_in_home_currency number calc|hs_exchange_rate number calc|hs_is_closed bool calc
        hs_is_closed_won bool calc|hs_is_closed_lost bool calc|hs_deal_stage_probability number calc
        hs_closed_amount number calc|hs_tcv number calc|hs_acv number calc|hs_arr number calc|hs_mrr number calc
        num_associated_contacts number calc|hs_num_of_associated_line_items number calc
        hs_merged_object_ids string ro|hs_object_id number ro
        createdate datetime ro|hs_lastmodifieddate datetime ro""",
    "products": """
        name string|description string|price number|hs_sku string|hs_cost_of_goods_sold number|hs_price_usd number
        hs_price_eur number|recurringbillingfrequency enumeration|hs_recurring_billing_period string
        hubspot_owner_id enumeration|hs_url string|hs_product_type enumeration
        createdate datetime ro|hs_lastmodifieddate datetime ro|hs_object_id number ro""",
    "line_items": """
        name string|description string|quantity number|price number|amount number calc|discount number
        hs_discount_percentage number|hs_total_discount number calc|hs_pre_discount_amount number calc
        hs_tax_rate_group_id enumeration|hs_tax_rate number calc|hs_tax_label string calc|hs_tax_amount number calc
        hs_post_tax_amount number calc|hs_line_item_currency_code enumeration|hs_product_id number|hs_sku string
        hs_cost_of_goods_sold number|recurringbillingfrequency enumeration|hs_recurring_billing_period string
        hs_recurring_billing_start_date date|hs_term_in_months number calc|hs_position_on_quote number
        hs_mrr number calc|hs_arr number calc|hs_acv number calc|hs_tcv number calc
        createdate datetime ro|hs_lastmodifieddate datetime ro|hs_object_id number ro""",
}

_CHOICES = {
    "lifecyclestage": (
        "subscriber lead marketingqualifiedlead salesqualifiedlead opportunity customer evangelist other"
    ),
    "hs_lead_status": "NEW OPEN IN_PROGRESS OPEN_DEAL UNQUALIFIED ATTEMPTED_TO_CONTACT CONNECTED BAD_TIMING",
    "dealtype": "newbusiness existingbusiness",
    "hs_product_type": "inventory non_inventory service",
    "recurringbillingfrequency": (
        "weekly biweekly monthly quarterly per_six_months annually per_two_years per_three_years"
    ),
}
_FIELD_TYPE = {
    "string": "text",
    "number": "number",
    "date": "date",
    "datetime": "date",
    "enumeration": "select",
    "bool": "booleancheckbox",
}
TRUE_FALSE = (Option(label="Yes", value="true"), Option(label="No", value="false"))


def _options(name: str, kind: str) -> tuple[Option, ...]:
    if kind == "bool":
        return TRUE_FALSE
    values = _CHOICES.get(name, "").split()
    return tuple(Option(label=v.replace("_", " "), value=v, displayOrder=n) for n, v in enumerate(values))


def _property(line: str, group: str) -> Property:
    name, kind, *marks = line.split()
    return Property(
        name=name,
        label=name.removeprefix("hs_").replace("_", " ").capitalize(),
        type=kind,
        field_type=_FIELD_TYPE[kind],
        group=group,
        options=_options(name, kind),
        read_only=bool(marks),
        calculated="calc" in marks,
        hubspot_defined=True,
        created_at="2020-01-01T00:00:00Z",
        updated_at="2020-01-01T00:00:00Z",
    )


def standard_properties(kind: ObjectType) -> Iterator[Property]:
    """HubSpot's own properties of an object, as many as Tieout's users could meet."""
    lines = _LISTS[kind.name].replace("\n", "|").split("|")
    return (_property(line, kind.group) for line in lines if line.strip())


# --------------------------------------------------------------------------- the account


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A deal stage. Won: closed with probability 1; lost: closed with probability 0."""

    id: str
    label: str
    probability: str
    closed: bool = False


class Pipeline(msgspec.Struct, frozen=True, kw_only=True):
    """A deal pipeline with its stages in order."""

    id: str
    label: str
    stages: tuple[Stage, ...]


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """A HubSpot owner. `hubspot_owner_id` holds `id`, never `user_id`."""

    id: str
    email: str
    first_name: str
    last_name: str
    user_id: int
    archived: bool = False


class TaxRate(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the tax library: `rate` in percent."""

    id: str
    label: str
    rate: Decimal


DEFAULT_PIPELINE = Pipeline(
    id="default",
    label="Sales Pipeline",
    stages=(
        Stage(id="appointmentscheduled", label="Appointment Scheduled", probability="0.2"),
        Stage(id="qualifiedtobuy", label="Qualified To Buy", probability="0.4"),
        Stage(id="presentationscheduled", label="Presentation Scheduled", probability="0.6"),
        Stage(id="decisionmakerboughtin", label="Decision Maker Bought-In", probability="0.8"),
        Stage(id="contractsent", label="Contract Sent", probability="0.9"),
        Stage(id="closedwon", label="Closed Won", probability="1.0", closed=True),
        Stage(id="closedlost", label="Closed Lost", probability="0.0", closed=True),
    ),
)
DEFAULT_OWNERS = (
    Owner(id="70001", email="owner-1@example.com", first_name="Owner", last_name="One", user_id=9001),
    Owner(id="70002", email="owner-2@example.com", first_name="Owner", last_name="Two", user_id=9002),
)


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """How a portal is set up.

    tier             free, starter, professional or enterprise: decides the rate limits
    currencies       home currency first, each with its exchange rate into the home currency
    roll_up          None: a deal's amount is what was typed; or the total (hs_tcv, hs_acv, hs_arr, hs_mrr) of its
                     lines that becomes the amount whenever they change
    rules            properties that the account itself requires on create, per object: enforced by 2026-09 alone
    private_tokens   token -> granted scopes; None: all of them
    """

    portal_id: int = 62515
    app_id: int = 54321
    name: str = "Sandbox portal"
    time_zone: str = "America/New_York"
    tier: str = "starter"
    currencies: dict[str, Decimal] = msgspec.field(default_factory=lambda: {"USD": Decimal(1), "EUR": Decimal("1.10")})
    pipelines: tuple[Pipeline, ...] = (DEFAULT_PIPELINE,)
    owners: tuple[Owner, ...] = DEFAULT_OWNERS
    tax_rates: tuple[TaxRate, ...] = ()
    roll_up: str | None = None
    rules: dict[str, tuple[str, ...]] = {}
    private_tokens: dict[str, frozenset[str] | None] = msgspec.field(default_factory=lambda: {"pat-na1-sandbox": None})
    client_id: str = "sandbox-client"
    client_secret: str = "sandbox-secret"  # noqa: S105 - a sandbox's, worth nothing elsewhere

    @property
    def home_currency(self) -> str:
        return next(iter(self.currencies))

    def pipeline(self, pipeline_id: str) -> Pipeline | None:
        return next((p for p in self.pipelines if p.id == pipeline_id), None)

    def stage(self, pipeline_id: str, stage_id: str) -> Stage | None:
        pipeline = self.pipeline(pipeline_id)
        return next((s for s in pipeline.stages if s.id == stage_id), None) if pipeline else None

    def tax_rate(self, rate_id: str) -> TaxRate | None:
        return next((r for r in self.tax_rates if r.id == rate_id), None)
