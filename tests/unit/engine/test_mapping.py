"""A pair's mapping: read whole or refused with every line named, and held against what two systems can do."""

from __future__ import annotations

import re
from datetime import date, time
from decimal import Decimal

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.canon.records import Kind
from connectors.kit.contract import (
    Account,
    Catalogue,
    Facts,
    FieldInfo,
    KindFacts,
    NamedTerms,
    NoLogin,
    Operation,
    Side,
    TaxCode,
)
from worker.engine.mapping import (
    DayAt,
    Every,
    FieldRule,
    Mapping,
    MappingError,
    Problem,
    WorkingDayAt,
    check_against,
    digest,
    fit,
    parse,
    to_yaml,
)
from worker.engine.mapping_read import parse_timing, read_mapping
from worker.engine.transform import Transform, ValueMap

TEXT = """\
pair: nordwind
crm: hubspot
books: quickbooks
time_zone: America/New_York
cut_over: 2026-10-01
customers_from: both
deal_amount: net
flows:
  customers:
    apply: ask
    direction: two-way
    create: {books: first_document, crm: never}
    match: [marker, tax_id, email, name+postal_code, phone]
    removed: {crm: deactivate, books: leave}
    fields:
      - {crm: name, books: legal_name}
      - {crm: email, books: emails.general, authority: crm}
      - {crm: properties.ap_email, books: emails.billing}
      - {crm: phone, books: phone, transform: phone(US)}
      - {crm: address, books: addresses.billing, authority: books}
      - {crm: properties.vat_id, books: tax_identity, authority: books, check: tax_id}
      - {crm: properties.terms, books: payment_terms, values: {net30: Net 30, net14: Net 14}}
      - {crm: properties.notes}
  items:
    apply: auto
  invoices:
    apply: ask
    from: deals
    when: {status: won}
    as: post
    date: won_on
    due: 14
    lines: line_items
    number: books
    ready: {require: [bill_to, billing_email, tax_status], wait_after_won_min: 30, missing: ask deal.owner}
    accounts: {income: by item, shipping: Freight, rounding: Round Off}
    tax:
      - {ship_to: US-NY, class: goods, status: taxable, code: NY-GOODS}
      - {status: exempt, code: NON}
      - otherwise: hold
    cents: rounding_line
    changed_after_posting: leave
  payments:
    apply: auto
    direction: books-to-crm
    fields:
      - {books: state, crm: properties.invoice_status}
      - {books: paid_cash, crm: properties.amount_paid}
guards:
  changed_in_24_h: {share: 12.5%, at_least: 20}
  removed_in_24_h: 3
  approvals: {over: 10000, currency: USD, approvers: 2}
period: {lock: the later of books and pair, closed: hold}
four_eyes: [credit_note, void, emails.billing]
expected_without_deal: [{origin: recurring}, {number: "POS-*"}]
schedule:
  - {do: sync, when: every 15 minutes}
  - {do: digest, when: weekdays at 08:30}
  - {do: reconcile, when: working day 1 of the month at 08:00}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(MappingError) as refused:
        parse(text)
    return [str(problem) for problem in refused.value.problems]


def changed(before: str, after: str) -> str:
    assert TEXT.count(before) == 1
    return TEXT.replace(before, after)


def field(mapping: Mapping, books: str) -> FieldRule:
    assert mapping.customers is not None
    return next(rule for rule in mapping.customers.fields if rule.books == books)


# --------------------------------------------------------------------------- read


def test_the_head() -> None:
    """Who, where, since when."""
    mapping = parse(TEXT)
    said = (mapping.pair, mapping.crm, mapping.books, mapping.time_zone, mapping.cut_over, mapping.region)
    assert said == ("nordwind", "hubspot", "quickbooks", "America/New_York", date(2026, 10, 1), "US")


def test_paths_are_canonical_and_keys_stable() -> None:
    """`name`, `email` and `address` are short for longer paths; the key says the long ones."""
    mapping = parse(TEXT)
    assert mapping.customers is not None
    assert [rule.key for rule in mapping.customers.fields[:3]] == [
        "legal_name:legal_name",
        "emails.general:emails.general",
        "properties.ap_email:emails.billing",
    ]
    assert [rule.line for rule in mapping.customers.fields[:3]] == [16, 17, 18]


@pytest.mark.parametrize(
    ("books", "authority", "direction"),
    [
        ("legal_name", "crm", "two-way"),
        ("emails.general", "crm", "two-way"),
        ("emails.billing", "books", "two-way"),
        ("phone", "ask", "two-way"),
        ("payment_terms", "books", "books-to-crm"),
    ],
)
def test_what_is_not_said_is_accountings_default(books: str, authority: str, direction: str) -> None:
    """Names are the CRM's, billing e-mail and terms the books'; terms travel to the CRM only; else a person."""
    rule = field(parse(TEXT), books)
    assert (rule.authority, rule.direction) == (authority, direction)


def test_a_legal_name_is_asked_about_once_posted_unless_the_mapping_says_whose_it_is() -> None:
    """The default shifts with the first posted document; what the mapping says does not."""
    default = field(parse(TEXT), "legal_name")
    assert (default.authority_for(posted=False), default.authority_for(posted=True)) == ("crm", "ask")
    said = field(parse(changed("books: legal_name}", "books: legal_name, authority: crm}")), "legal_name")
    assert said.authority_for(posted=True) == "crm"


def test_transforms_and_value_maps_are_read() -> None:
    """And the transform's country reads the phone numbers."""
    mapping = parse(TEXT)
    phone = field(mapping, "phone")
    assert (phone.transform, phone.conversion.region) == (Transform("phone", ("US",)), "US")
    assert field(mapping, "payment_terms").values == ValueMap((("net30", "Net 30"), ("net14", "Net 14")))


def test_a_field_without_counterpart_stays_home() -> None:
    """It is named and does not travel."""
    mapping = parse(TEXT)
    assert mapping.customers is not None
    home = mapping.customers.fields[-1]
    assert (home.stays_home, home.writes("books"), home in mapping.rules(Kind.CUSTOMER)) == (True, False, False)


def test_a_flow_without_fields_has_the_usual_ones() -> None:
    """Items: name, SKU, description and price, out of the books."""
    assert [(r.books, r.authority, r.implied) for r in parse(TEXT).rules(Kind.ITEM)] == [
        ("name", "books", True),
        ("sku", "books", True),
        ("description", "ask", True),
        ("price", "books", True),
    ]


def test_invoices_guards_and_the_rest() -> None:
    """Each word has its place."""
    mapping = parse(TEXT)
    invoices = mapping.invoices
    assert invoices is not None
    assert (invoices.as_, invoices.due_days, invoices.cents, invoices.tax_otherwise) == (
        "post", 14, "rounding_line", "hold",
    )  # fmt: skip
    assert [(row.ship_to, row.item_class, row.status, row.code) for row in invoices.tax] == [
        ("US-NY", "goods", "taxable", "NY-GOODS"),
        (None, None, "exempt", "NON"),
    ]
    assert (invoices.accounts.income, invoices.accounts.shipping) == (None, "Freight")
    assert (mapping.guards.changed_share, mapping.guards.changed_at_least) == (Decimal("0.125"), 20)
    assert mapping.guards.approvals is not None
    assert mapping.guards.approvals.over == Decimal(10000)
    assert [(one.origin, one.number) for one in mapping.expected_without_deal] == [
        ("recurring", None),
        (None, "POS-*"),
    ]


@pytest.mark.parametrize(
    ("text", "timing"),
    [
        ("every 15 minutes", Every(15)),
        ("every hour", Every(60)),
        ("Every 2 hours", Every(120)),
        ("weekdays at 08:30", DayAt((0, 1, 2, 3, 4), time(8, 30))),
        ("daily at 7:05", DayAt((0, 1, 2, 3, 4, 5, 6), time(7, 5))),
        ("mondays at 09:00", DayAt((0,), time(9))),
        ("working day 3 of the month at 08:00", WorkingDayAt(3, time(8))),
        ("every 0 minutes", None),
        ("weekdays at 25:00", None),
        ("working day 31 of the month at 08:00", None),
        ("now and then", None),
    ],
)
def test_when_things_are_done(text: str, timing: object) -> None:
    """In plain words, or not at all."""
    assert parse_timing(text) == timing


def test_words_are_taken_as_written() -> None:
    """NO is Norway, not false; yes is a word of a value map."""
    text = changed("values: {net30: Net 30, net14: Net 14}", "values: {yes: Net 30, no: Net 14}")
    mapping = parse(text + "region: NO\n")
    assert mapping.region == "NO"
    assert field(mapping, "payment_terms").values == ValueMap((("yes", "Net 30"), ("no", "Net 14")))


def test_saboteur_yaml_by_itself_loses_norway() -> None:
    """What a plain loader makes of it."""
    assert yaml.safe_load("region: NO") == {"region": False}


# --------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            "emails.general, authority: crm}",
            "emails.general, authority: crmm}",
            'mapping.yaml:17:56 flows.customers.fields[1].authority: there is no "crmm" here.  Did you mean "crm"?',
        ),
        (
            "customers_from: both",
            "custmers_from: both",
            'mapping.yaml:6:1 custmers_from: "custmers_from" is not known here.  Did you mean "customers_from"?',
        ),
        (
            "{crm: phone, books: phone,",
            "{crm: phone, books: fone,",
            'mapping.yaml:19:29 flows.customers.fields[3].books: a customer has no field "fone".  '
            'Did you mean "phone"?',
        ),
        (
            "{books: paid_cash,",
            "{books: payd_cash,",
            'mapping.yaml:48:17 flows.payments.fields[1].books: a settlement has no field "payd_cash".  '
            'Did you mean "paid_cash"?',
        ),
        (
            "transform: phone(US)",
            "transform: fone(US)",
            'mapping.yaml:19:47 flows.customers.fields[3].transform: there is no transform "fone(US)".  '
            'Did you mean "phone"?',
        ),
        (
            "share: 12.5%",
            "share: 12.5",
            'mapping.yaml:50:28 guards.changed_in_24_h.share: "12.5" is no percentage from 0% to 100%.  '
            "Write it like 10%.",
        ),
        (
            "time_zone: America/New_York",
            "time_zone: America/New_Yrok",
            'mapping.yaml:4:12 time_zone: there is no time zone "America/New_Yrok".  Did you mean "America/New_York"?',
        ),
    ],
)
def test_a_slip_is_named_with_its_place_and_what_was_meant(before: str, after: str, said: str) -> None:
    """Line, column, path, why, and the nearest word."""
    assert problems(changed(before, after)) == [said]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("transform: phone(US)", "transform: first(3)", "first(3) has no way back, so the field cannot travel two-way"),
        (
            "values: {net30: Net 30, net14: Net 14}",
            "values: {net30: Net 30, n30: Net 30}",
            'several words lead to "Net 30": with no way back the field cannot travel books-to-crm',
        ),
        ("{crm: name, books: legal_name}", "{crm: name, books: display_name}", "never travels: map legal_name"),
        ("{crm: name, books: legal_name}", "{crm: name, books: parent}", "is a link between records"),
        ("{crm: name, books: legal_name}", "{crm: website, books: balance, direction: two-way}", "books-to-crm only"),
        ("{crm: name, books: legal_name}", "{crm: properties.x, books: addresses.shipping}", "do not convert"),
        ("{crm: name, books: legal_name}", "{crm: website, books: emails.general}", "written by the rule in line 16"),
        ("{crm: name, books: legal_name}", "{authority: crm}", "a rule names a field of crm, of books, or of both"),
        ("{crm: properties.notes}", "{crm: properties.notes, authority: crm}", "stays home, so authority says nothing"),
        ("check: tax_id", "check: currency, transform: x", "there is no transform"),
        ("books: phone, transform", "books: phone, check: address, transform", "the check address cannot judge phone"),
        ("    apply: auto\n  invoices", "    fields: [{crm: cost, books: cost}]\n  invoices", "never leaves the books"),
        ("due: 14", "due: soon", '"soon" says no due date'),
        ("due: 14", "due: 400", "no whole number from 0 to 365"),
        ("      - otherwise: hold", "      - otherwise: hold\n      - {code: X}", "no line ever comes to this row"),
        ("code: NON}", "cod: NON}", "names the code it gives"),
        ("ship_to: US-NY", "ship_to: New York", '"New York" is no place'),
        ("status: exempt", "status: exmpt", 'there is no "exmpt" here'),
        ("number: books", "number: template", "numbered by a template, and none is given"),
        ("    direction: books-to-crm\n", "    direction: two-way\n", "what was paid is the books' word"),
        ("currency: USD, ", "currency: USS, ", '"USS" is no currency code'),
        ("over: 10000, ", "", "approvals need an amount and its currency"),
        ("removed_in_24_h: 3", "removed_in_24_h: -3", '"-3" is no whole number'),
        ("{origin: recurring}", "{}", "which invoices need no deal?"),
        ("when: weekdays at 08:30", "when: sometimes", '"sometimes" says no time'),
        ("cut_over: 2026-10-01", "cut_over: October", '"October" is no day'),
        ("deal_amount: net\n", "", "what is a deal's amount: net, gross, tcv or lines?"),
        ("cents: rounding_line", "cents: [adjust_line]", "here stands one word or text"),
        ("four_eyes: [credit_note, void, emails.billing]", "four_eyes: void", "here stands a list"),
        ("create: {books: first_document", "create: {books: customer_stage", "customer_stage"),
        ("pair: nordwind", "pair: nordwind\npair: other", "said twice, first in line 1"),
        ("period: {lock", "period: [lock", "this is no YAML"),
        ("pair: nordwind", "pair: &a nordwind\nregion: *a", "anchors and aliases"),
        ("rounding: Round Off}", "deposit: Round Off}", "rounding_line needs accounts.rounding"),
    ],
)  # fmt: skip
def test_what_cannot_stand_is_refused(before: str, after: str, reason: str) -> None:
    """In words that say why."""
    assert reason in "\n".join(problems(changed(before, after)))


def test_without_a_cut_over_day_nothing_is_accepted() -> None:
    """The reason is said: every old deal would be billed again."""
    (said,) = problems(changed("cut_over: 2026-10-01\n", ""))
    assert "cut_over: the cut-over day is missing" in said
    assert "billed again" in said


def test_all_problems_come_at_once_in_the_order_of_the_text() -> None:
    """A person mends them in one go."""
    text = changed("apply: auto\n    direction", "aply: auto\n    direction").replace("number: books", "number: boks")
    assert [line.split()[1] for line in problems(text)] == ["flows.invoices.number:", "flows.payments.aply:"]


def test_a_problem_names_the_file_it_is_in() -> None:
    """The source is the caller's word."""
    assert str(Problem(3, 5, "pair", "why", "Do this.", "acme")) == "acme.yaml:3:5 pair: why.  Do this."


@pytest.mark.parametrize("text", ["", "just words", "- a\n- b", "[" * 2000, "a: b: c", "\x00"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    """Whatever is sent, the answer is a list of problems."""
    assert problems(text)


@settings(max_examples=60)
@given(st.integers(0, len(TEXT) - 1), st.sampled_from(["", ":", "- ", "[", "{", '"', "\n", "x", " ", "&", "#"]))
def test_no_slip_of_the_pen_breaks_the_reader(at: int, slip: str) -> None:
    """Any character replaced: a mapping or problems, and never another error."""
    mapping, found_problems = read_mapping(TEXT[:at] + slip + TEXT[at + 1 :], "mapping")
    assert (mapping is None) == (len(found_problems) > 0)


# --------------------------------------------------------------------------- versions


def test_the_version_is_the_meaning() -> None:
    """Layout, comments and order of keys change nothing; a word does."""
    version = parse(TEXT).version
    relaid = changed(
        "{crm: email, books: emails.general, authority: crm}", "{authority: crm, books: emails.general, crm: email}"
    )
    assert parse("# our mapping\n\n" + relaid).version == version
    assert parse(changed("due: 14", "due: 15")).version != version
    assert digest(parse(TEXT)) == version


def test_saboteur_a_digest_of_the_text_makes_versions_of_comments() -> None:
    """Hashing the text, every comment would ask its questions anew."""
    assert hash(TEXT) != hash("# our mapping\n" + TEXT)
    assert parse(TEXT).version == parse("# our mapping\n" + TEXT).version


def test_columns_are_left_as_they_are_and_count() -> None:
    """They are the CSV connector's; a name like `line` is one of theirs."""
    one = parse(TEXT + "columns: {deal: {line: Zeile}}\n")
    assert one.columns == {"deal": {"line": "Zeile"}}
    assert one.version != parse(TEXT + "columns: {deal: {line: Linie}}\n").version


def test_written_out_it_means_the_same() -> None:
    """`to_yaml` and back: the same version."""
    mapping = parse(TEXT + "columns: {deal: {line: Zeile}}\n")
    assert parse(to_yaml(mapping)).version == mapping.version


# --------------------------------------------------------------------------- held against two systems

CREATES: frozenset[Operation] = frozenset({"create", "update", "archive"})
CUSTOMER_FIELDS = frozenset(
    {"legal_name", "emails.general", "emails.billing", "phone", "addresses.billing", "tax_identity"}
)
ITEM_FIELDS = frozenset({"name", "sku", "description", "price"})


def facts(system: str, side: Side, **kinds: KindFacts) -> Facts:
    usual = {
        Kind.CUSTOMER: KindFacts(operations=CREATES, writable=CUSTOMER_FIELDS),
        Kind.ITEM: KindFacts(operations=CREATES, writable=ITEM_FIELDS),
        Kind.DEAL: KindFacts(operations=CREATES),
        Kind.INVOICE: KindFacts(operations=CREATES),
    }
    more = {Kind(name): known for name, known in kinds.items()}
    return Facts(system=system, title=system.title(), sides=frozenset({side}), logins=(NoLogin(),), kinds=usual | more)


CRM_CATALOGUE = Catalogue(
    account_id="1",
    account_name="Nordwind",
    stages={"closedwon": "won", "qualified": "open"},
    fields={
        Kind.CUSTOMER: (
            FieldInfo(name="ap_email", label="AP e-mail"),
            FieldInfo(name="vat_id", label="VAT"),
            FieldInfo(name="terms", label="Terms", options=("net30", "net14")),
            FieldInfo(name="notes", label="Notes"),
        ),
        Kind.DEAL: (FieldInfo(name="invoice_status", label="S"), FieldInfo(name="amount_paid", label="P")),
    },
)
BOOKS_CATALOGUE = Catalogue(
    account_id="2",
    account_name="Nordwind Inc.",
    home_currency="USD",
    accounts=(Account(ref="1", name="Freight", type="income"), Account(ref="2", name="Round Off", type="other")),
    tax_codes=(TaxCode(ref="3", name="NY-GOODS", rate=Decimal(8)), TaxCode(ref="NON", name="Non-taxable", rate=None)),
    terms=(NamedTerms(ref="1", name="Net 30"), NamedTerms(ref="2", name="Net 14")),
)


def found(
    text: str = TEXT,
    crm: Facts | None = None,
    books: Facts | None = None,
    crm_catalogue: Catalogue = CRM_CATALOGUE,
    books_catalogue: Catalogue = BOOKS_CATALOGUE,
) -> list[str]:
    crm = crm if crm is not None else facts("hubspot", "crm")
    books = books if books is not None else facts("quickbooks", "books")
    return [str(problem) for problem in check_against(parse(text), crm, crm_catalogue, books, books_catalogue)]


def test_a_mapping_that_fits_has_no_problem() -> None:
    """It can be saved."""
    assert found() == []


def test_an_unknown_property_is_named_with_its_line() -> None:
    """With the nearest one there is."""
    assert found(changed("properties.ap_email", "properties.ap_mail")) == [
        'mapping.yaml:18:9 flows.customers.fields[2].crm: Hubspot has no customer field "ap_mail".  '
        'Did you mean "properties.ap_email"?'
    ]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("as: post", "as: draft", "Quickbooks knows no drafts: an invoice that is saved there is posted"),
        ("crm: hubspot", "crm: salesforce", 'the pair is connected to Hubspot, and the mapping says "salesforce"'),
        ("shipping: Freight", "shipping: Freigth", 'Quickbooks has no account "Freigth".  Did you mean "Freight"?'),
        ("code: NY-GOODS", "code: NY-GODS", 'Quickbooks has no tax code "NY-GODS".  Did you mean "NY-GOODS"?'),
        ("otherwise: hold", "otherwise: EXEMPT", 'Quickbooks has no tax code "EXEMPT"'),
        ("net14: Net 14", "net14: Net 15", 'Quickbooks does not know "Net 15".  Did you mean'),
        ("net14: Net 14", "net41: Net 14", 'Hubspot does not know "net41".  Did you mean "net14"?'),
        ("when: {status: won}", "when: {stages: [closdwon]}", 'no deal stage "closdwon".  Did you mean "closedwon"?'),
        ("when: {status: won}", "when: {stages: [qualified]}", 'deals in the stage "qualified" are open, not won'),
        ("currency: USD", "currency: EUR", 'a limit in EUR would never be reached: Quickbooks keeps its books in USD'),
        ("properties.amount_paid", "properties.amount_payd", 'Hubspot has no deal field "amount_payd"'),
        ("{crm: name, books: legal_name}", "{crm: website, books: website}", "website cannot be written in Quickbooks"),
        ("number: books", "number: template\n    number_template: INV-{seq}", "Quickbooks numbers invoices by itself"),
    ],
)  # fmt: skip
def test_what_the_systems_cannot_do_is_refused_with_the_reason(before: str, after: str, said: str) -> None:
    """Before it is saved, not when it is applied."""
    assert said in "\n".join(found(changed(before, after)))


def test_a_field_that_cannot_be_written_may_still_be_read() -> None:
    """One-way out of the side that does not let it be written."""
    one_way = "{crm: website, books: website, direction: books-to-crm}"
    crm = facts("hubspot", "crm", customer=KindFacts(operations=CREATES, writable=CUSTOMER_FIELDS | {"website"}))
    assert found(changed("{crm: name, books: legal_name}", one_way), crm=crm) == []


def test_a_property_that_is_read_only_is_refused_where_it_would_be_written() -> None:
    """With what to do instead."""
    fields = (
        msgspec.structs.replace(info, writable=info.name != "vat_id") for info in CRM_CATALOGUE.fields[Kind.CUSTOMER]
    )
    catalogue = msgspec.structs.replace(CRM_CATALOGUE, fields={**CRM_CATALOGUE.fields, Kind.CUSTOMER: tuple(fields)})
    (said,) = found(crm_catalogue=catalogue)
    assert said.endswith('Hubspot does not let "VAT" be written.  Let it travel crm-to-books only.')


def test_a_kind_that_a_system_lacks_is_said_once() -> None:
    """Not once for each field."""
    books = facts("quickbooks", "books")
    less = msgspec.structs.replace(
        books, kinds={kind: known for kind, known in books.kinds.items() if kind is not Kind.CUSTOMER}
    )
    assert found(books=less) == ["mapping.yaml:10:1 flows.customers: Quickbooks has no customers"]


def test_books_that_do_not_number_need_a_template() -> None:
    """And books that know drafts may be asked for them."""
    catalogue = msgspec.structs.replace(BOOKS_CATALOGUE, numbering="caller")
    assert "does not number invoices by itself" in "\n".join(found(books_catalogue=catalogue))
    drafts = facts("quickbooks", "books", invoice=KindFacts(operations=CREATES, draft=True))
    assert found(changed("as: post", "as: draft"), books=drafts) == []


def test_what_an_export_does_not_tell_is_refused() -> None:
    """A CSV without the column."""
    catalogue = msgspec.structs.replace(CRM_CATALOGUE, columns={Kind.CUSTOMER: frozenset({"legal_name", "phone"})})
    said = "\n".join(found(crm_catalogue=catalogue))
    assert "Hubspot does not tell addresses.billing of a customer here" in said


def test_implied_fields_go_as_far_as_the_systems_can() -> None:
    """Not refused, since nobody named them: left out."""
    crm = facts("hubspot", "crm", item=KindFacts(operations=CREATES, writable=frozenset({"name", "price"})))
    assert found(crm=crm) == []
    fitted = fit(parse(TEXT), crm, CRM_CATALOGUE, facts("quickbooks", "books"), BOOKS_CATALOGUE)
    assert [rule.books for rule in fitted.rules(Kind.ITEM)] == ["name", "price"]
    assert fitted.version == parse(TEXT).version


@pytest.mark.parametrize("name", ["crm", "books", "pair", "time_zone", "cut_over"])
def test_a_key_without_a_value_is_missing(name: str) -> None:
    """`crm:` with nothing behind it is said like a missing one, with its line."""
    text = re.sub(rf"(?m)^{name}:.*$", f"{name}:", TEXT, count=1)
    with pytest.raises(MappingError) as refused:
        parse(text)
    assert name in [problem.path for problem in refused.value.problems]
