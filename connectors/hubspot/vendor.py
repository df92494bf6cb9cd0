"""HubSpot's facts: where its areas live, what its calls take, and what it declares. Sources are in README.md."""

from __future__ import annotations

from typing import Literal

import msgspec

from connectors.canon.records import Kind
from connectors.kit.contract import PACE, Facts, KindFacts, Nothing, OAuth, PrivateToken, Setting, Upsert

# One constant per area, because each area gets its dated version at its own time.
OBJECTS = "/crm/objects/2026-03"
ASSOCIATIONS = "/crm/associations/2026-03"
PROPERTIES = "/crm/properties/2026-03"
PIPELINES = "/crm/pipelines/2026-03"
OWNERS = "/crm/owners/2026-03"
ACCOUNT = "/account-info/2026-03/details"
TOKEN = "/oauth/2026-03/token"  # noqa: S105 - a path
AUTHORIZE = "/oauth/authorize"

API_URL = "https://api.hubapi.com"
APP_URL = "https://app.hubspot.com"

LIST_LIMIT = 100  # records in one page of a listing
SEARCH_LIMIT = 200  # records in one page of a search
BATCH_LIMIT = 100  # inputs of a batch call on objects
HISTORY_LIMIT = 50  # the same, where a batch read asks for the history of properties
ASSOCIATION_LIMIT = 1000  # records whose associations one batch call reads
SEARCH_BODY_LIMIT = 3000  # characters of a search request
URL_LIMIT = 2000  # beyond this a listing is asked in two steps; HubSpot names no number for its 414
SEARCHES_PER_S = 5

INDEX_DELAY_S = 60.0  # how late a search may see a new record: "a few moments", no number is promised
OVERLAP_S = 300.0
MARK_MARGIN_S = 2.0  # Date headers have whole seconds, and two of the vendor's clocks may differ

MARKER = "tieout_marker"


class CrmObject(msgspec.Struct, frozen=True, kw_only=True):
    """One object type: its name in refs and settings, its place in paths, in associations, the property that holds
    the time of its last change, the property group for our own, and whether our marker can be unique there."""

    name: Literal["company", "contact", "product", "deal", "line_item"]
    path: str
    plural: str
    modified: str = "hs_lastmodifieddate"
    group: str
    unique_marker: bool = True


COMPANY = CrmObject(name="company", path="companies", plural="companies", group="companyinformation")
CONTACT = CrmObject(
    name="contact", path="contacts", plural="contacts", modified="lastmodifieddate", group="contactinformation"
)
PRODUCT = CrmObject(name="product", path="products", plural="products", group="productinformation", unique_marker=False)
DEAL = CrmObject(name="deal", path="0-3", plural="deals", group="dealinformation")
LINE_ITEM = CrmObject(name="line_item", path="line_items", plural="line_items", group="lineiteminformation")

CRM_OBJECTS: dict[str, CrmObject] = {o.name: o for o in (COMPANY, CONTACT, PRODUCT, DEAL, LINE_ITEM)}
KIND_OF: dict[str, Kind] = {
    "company": Kind.CUSTOMER,
    "contact": Kind.CUSTOMER,
    "product": Kind.ITEM,
    "deal": Kind.DEAL,
    "line_item": Kind.DEAL,
}
TYPE_IDS: dict[str, str] = {
    "0-1": "contact",
    "0-2": "company",
    "0-3": "deal",
    "0-7": "product",
    "0-8": "line_item",
}

# Association types: "primary" is the label that a person sets, the others come with every association.
COMPANY_TO_CONTACT_PRIMARY = 2
COMPANY_TO_CONTACT_BILLING = 930
DEAL_TO_COMPANY_PRIMARY = 5

SCOPES = (
    "oauth",
    "crm.objects.companies.read",
    "crm.objects.companies.write",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.objects.deals.read",
    "crm.objects.deals.write",
    "crm.objects.line_items.read",
    "crm.objects.owners.read",
    "crm.schemas.companies.write",
    "crm.schemas.contacts.write",
    "crm.schemas.deals.write",
    "e-commerce",
)

SETTINGS = (
    Setting("customers", "Which records are customers: companies, contacts or both.", "companies"),
    Setting("people", "Read a company's contacts as its people: yes or no.", "yes"),
    Setting("owners", "Tell an owner by e-mail or by id.", "email"),
    Setting(
        "properties",
        "Your own properties to read, such as company:ap_email=emails.billing,vat_id;deal:po_number=po_number.",
        "",
    ),
    Setting("sweep_min", "Minutes between two looks for archived records and changed people.", "60"),
    Setting("burst", "Calls in ten seconds that your HubSpot plan allows.", "190"),
    Setting("base_url", "Where HubSpot's API is.", API_URL),
    Setting("app_url", "Where a person logs in to HubSpot.", APP_URL),
    PACE,
)

_COMMON_CUSTOMER = frozenset({"legal_name", "phone", "addresses.billing"})

KINDS = {
    Kind.CUSTOMER: KindFacts(
        operations=frozenset({"create", "update", "archive"}),
        page=ASSOCIATION_LIMIT,
        batch_read=BATCH_LIMIT,
        batch_write=BATCH_LIMIT,
        read_calls=3,  # the companies, whose people they have, and these
        write_calls=4,
        history=HISTORY_LIMIT,
        repeat=Upsert(MARKER),
        marker=MARKER,
        marker_searchable=True,
        probe_many=True,
        search_delay_s=INDEX_DELAY_S,
        delta="time",
        overlap_s=OVERLAP_S,
        writable=_COMMON_CUSTOMER | {"website", "emails.general"},
    ),
    Kind.ITEM: KindFacts(
        operations=frozenset({"create", "update", "archive"}),
        page=ASSOCIATION_LIMIT,
        batch_read=BATCH_LIMIT,
        batch_write=BATCH_LIMIT,
        write_calls=2,
        history=HISTORY_LIMIT,
        repeat=Nothing(),
        marker=MARKER,
        marker_searchable=True,
        probe_many=True,
        search_delay_s=INDEX_DELAY_S,
        delta="time",
        overlap_s=OVERLAP_S,
        writable=frozenset({"name", "sku", "description", "price", "cost"}),
    ),
    Kind.DEAL: KindFacts(
        operations=frozenset({"update"}),
        page=ASSOCIATION_LIMIT,
        batch_read=BATCH_LIMIT,
        batch_write=BATCH_LIMIT,
        read_calls=4,  # the deals, whose they are, which lines they have, and these
        write_calls=5,
        history=HISTORY_LIMIT,
        repeat=Upsert(MARKER),
        marker=MARKER,
        marker_searchable=True,
        probe_many=True,
        search_delay_s=INDEX_DELAY_S,
        delta="time",
        overlap_s=OVERLAP_S,
        writable=frozenset({"name"}),
    ),
}

FACTS = Facts(
    system="hubspot",
    title="HubSpot",
    sides=frozenset({"crm"}),
    logins=(
        PrivateToken(
            "In HubSpot: Settings, Integrations, Service Keys (or your private app). The token starts with pat-."
        ),
        OAuth(authorize_url=APP_URL + AUTHORIZE, token_url=API_URL + TOKEN, scopes=SCOPES),
    ),
    settings=SETTINGS,
    kinds=KINDS,
    rates=((190, 10.0), (250_000, 86_400.0)),
)
