"""YAML -> Mapping, section by section. Every problem is collected; none stops the reading. Pure."""

from __future__ import annotations

import re
from datetime import date, time
from typing import Any, cast, get_args

import msgspec
import yaml
from babel.core import get_global

from connectors.canon.records import Kind
from connectors.canon.values import TaxStatus
from worker.engine import mapping_model as m
from worker.engine.check import currencies, territories
from worker.engine.mapping_rules import DIRECTIONS, RuleBook, read_rules
from worker.engine.yaml_lines import Problems, Section, compose, did_you_mean, plain

_APPLY = get_args(m.Apply)
_CREATE_BOOKS = get_args(m.CreateInBooks)
_CREATE_CRM = get_args(m.CreateInCrm)
_REMOVED = get_args(m.Removed)
_EVIDENCE = get_args(m.Evidence)
REQUIRABLE = (
    "bill_to", "billing_email", "billing_address", "tax_status", "tax_id", "po_number", "payment_terms",
    "billing_contact", "ship_to", "line_items",
)  # fmt: skip
FOUR_EYES = (
    "credit_note", "void", "invoice", "emails.billing", "emails.statements", "tax_identity", "legal_name",
    "addresses.billing", "payment_terms", "credit_limit", "mapping", "rules", "roles", "connections",
)  # fmt: skip
_ORIGINS = ("person", "recurring", "import")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def read_mapping(text: str, source: str) -> tuple[m.Mapping | None, tuple[m.Problem, ...]]:
    """The mapping and no problem, or no mapping and every problem."""
    problems = Problems(source)
    node = compose(text, problems)
    if node is None:
        return None, problems.in_order()
    root = Section(node, "", problems)
    said = _head(root)
    said |= _flows(root, said.get("region"))
    said |= _rules_of_the_house(root)
    columns = root.take("columns")
    if columns is not None:
        said["columns"] = plain(columns)
    root.finish()
    if problems.found:
        return None, problems.in_order()
    return m.Mapping(**_known(said)), ()


def _known(said: dict[str, Any]) -> dict[str, Any]:
    """What was said; what was not takes the struct's default."""
    return {name: value for name, value in said.items() if value is not None}


# --------------------------------------------------------------------------- the head


def _required(root: Section, name: str, why: str) -> str | None:
    word = root.text(name)
    if word is None and root.take(name) is None:
        root.wrong(name, why)
    return word


def _head(root: Section) -> dict[str, Any]:
    zone = _zone(root)
    return {
        "pair": _required(root, "pair", "the pair has no name; write one, like pair: acme"),
        "crm": _required(root, "crm", "which CRM? Write its system, like crm: hubspot"),
        "books": _required(root, "books", "which books? Write their system, like books: quickbooks"),
        "time_zone": zone,
        "cut_over": _cut_over(root),
        "customers_from": root.choice("customers_from", get_args(m.CustomersFrom)),
        "deal_amount": root.choice("deal_amount", get_args(m.DealAmount)),
        "region": _region(root, zone),
    }


def _zone(root: Section) -> str | None:
    word = _required(root, "time_zone", "whose day counts? Write a zone, like time_zone: America/New_York")
    if word is None:
        return None
    zones = get_global("zone_territories")
    if word not in zones and word not in get_global("zone_aliases") and word != "UTC":
        root.wrong("time_zone", f'there is no time zone "{word}"', did_you_mean(word, list(zones)))
        return None
    return word


def _region(root: Section, zone: str | None) -> str | None:
    word = root.text("region")
    if word is not None:
        if word not in territories():
            root.wrong("region", f'"{word}" is no country code', "Write two letters (ISO 3166-1), like US.")
        return word
    aliases, zones = get_global("zone_aliases"), get_global("zone_territories")
    found = zones.get(aliases.get(zone, zone)) if zone is not None else None
    return found if found in territories() else None


def _cut_over(root: Section) -> date | None:
    if root.take("cut_over") is None:
        root.wrong(
            "cut_over",
            "the cut-over day is missing: deals won before it are matched to the invoices they already have and "
            "never billed; without it every old deal would be billed again",
            "Write the first day whose deals are to be billed, like cut_over: 2026-11-01.",
        )
    return root.day("cut_over")


# --------------------------------------------------------------------------- the flows


def _flows(root: Section, region: str | None) -> dict[str, Any]:
    flows = root.section("flows")
    if flows is None:
        if "flows" not in root:
            root.wrong("flows", "nothing would be kept in step: flows is missing", "Start with customers.")
        return {}
    read = {
        "customers": _customers(flows, region),
        "items": _items(flows, region),
        "invoices": _invoices(flows),
        "payments": _payments(flows, region),
    }
    flows.finish()
    if read["invoices"] is not None and "deal_amount" not in root:
        root.wrong("deal_amount", "what is a deal's amount: net, gross, tcv or lines? Invoices depend on it")
    return read


def _travelling(flow: Section, default: str) -> dict[str, Any]:
    """What customers and items say alike."""
    create, removed = flow.section("create"), flow.section("removed")
    said = {
        "apply": flow.choice("apply", _APPLY),
        "direction": flow.choice("direction", DIRECTIONS) or default,
        "match": flow.choices("match", _EVIDENCE),
        "line": flow.line,
    }
    if create is not None:
        said["create_books"] = create.choice("books", _CREATE_BOOKS)
        said["create_crm"] = create.choice("crm", _CREATE_CRM)
        create.finish()
    if removed is not None:
        said["removed_crm"] = removed.choice("crm", _REMOVED)
        said["removed_books"] = removed.choice("books", _REMOVED)
        removed.finish()
    return said


def _customers(flows: Section, region: str | None) -> m.CustomersFlow | None:
    flow = flows.section("customers")
    if flow is None:
        return None
    said = _travelling(flow, "two-way")
    book = RuleBook(Kind.CUSTOMER, Kind.CUSTOMER, said["direction"], region)
    said["fields"] = read_rules(flow, book) if "fields" in flow else default_rules(flow, book)
    flow.finish()
    return m.CustomersFlow(**_known(said))


def _items(flows: Section, region: str | None) -> m.ItemsFlow | None:
    flow = flows.section("items")
    if flow is None:
        return None
    said = _travelling(flow, "books-to-crm")
    book = RuleBook(Kind.ITEM, Kind.ITEM, said["direction"], region)
    said["fields"] = read_rules(flow, book) if "fields" in flow else default_rules(flow, book)
    flow.finish()
    return m.ItemsFlow(**_known(said))


_DEFAULT_FIELDS = {
    Kind.CUSTOMER: ("legal_name", "emails.general", "phone", "addresses.billing", "addresses.shipping"),
    Kind.ITEM: ("name", "sku", "description", "price"),
}


def default_rules(flow: Section, book: RuleBook) -> tuple[m.FieldRule, ...]:
    """What is kept in step when a flow names no fields: each with its namesake, as far as the two systems can."""
    paths = _DEFAULT_FIELDS[book.crm]
    text = f"fields: [{', '.join(f'{{crm: {path}, books: {path}}}' for path in paths)}]"
    flow.take("fields")
    implied = Section(yaml.compose(text, Loader=yaml.SafeLoader), flow.path, Problems("default"))
    return tuple(
        msgspec.structs.replace(rule, implied=True, line=flow.line, column=flow.column)
        for rule in read_rules(implied, book)
    )


def _payments(flows: Section, region: str | None) -> m.PaymentsFlow | None:
    flow = flows.section("payments")
    if flow is None:
        return None
    said: dict[str, Any] = {"apply": flow.choice("apply", _APPLY), "line": flow.line}
    direction = flow.choice("direction", DIRECTIONS)
    if direction not in (None, "books-to-crm"):
        flow.wrong("direction", "what was paid is the books' word: payments travel books-to-crm")
    book = RuleBook(Kind.DEAL, None, "books-to-crm", region)
    said["fields"] = read_rules(flow, book)
    for rule in said["fields"]:
        if rule.direction != "books-to-crm":
            message = "what was paid is the books' word: it travels books-to-crm"
            flow.problems.found.append(
                m.Problem(rule.line, rule.column, f"{flow.path}.fields", message, None, flow.problems.source)
            )
    flow.finish()
    return m.PaymentsFlow(**_known(said))


# --------------------------------------------------------------------------- invoices


def _invoices(flows: Section) -> m.InvoicesFlow | None:
    flow = flows.section("invoices")
    if flow is None:
        return None
    flow.choice("from", ("deals",))
    rows, otherwise = _tax(flow)
    number = flow.choice("number", ("books", "template"))
    template = flow.text("number_template")
    if number == "template" and template is None:
        flow.wrong("number", "numbered by a template, and none is given", "Write number_template: INV-{seq}.")
    accounts = _accounts(flow)
    cents = flow.choice("cents", ("adjust_line", "rounding_line", "match_charged", "hold"))
    if cents == "rounding_line" and (accounts is None or accounts.rounding is None):
        flow.wrong("cents", "rounding_line needs accounts.rounding: where the cents go")
    said = {
        "apply": flow.choice("apply", _APPLY),
        "when": _when(flow),
        "as_": flow.choice("as", ("draft", "post")),
        "date": flow.choice("date", ("won_on", "planned_on", "today")),
        "due_days": _due(flow),
        "lines": flow.choice("lines", ("line_items", "one_line")),
        "number": number,
        "number_template": template,
        "ready": _ready(flow),
        "accounts": accounts,
        "tax": rows,
        "tax_otherwise": otherwise,
        "cents": cents,
        "changed_after_posting": flow.choice("changed_after_posting", ("ask", "credit_and_reissue", "leave")),
        "line": flow.line,
    }
    flow.finish()
    return m.InvoicesFlow(**_known(said))


def _when(flow: Section) -> m.When | None:
    when = flow.section("when")
    if when is None:
        return None
    status = when.choice("status", ("won",))
    stages = when.texts("stages")
    when.finish()
    return m.When(**_known({"status": status, "stages": tuple(word for _, _, word in stages) if stages else None}))


def _due(flow: Section) -> int | None:
    word = flow.text("due")
    if word is None or word == "payment_terms":
        return None
    if word.isdigit():
        return flow.whole("due", 0, 365)
    flow.wrong("due", f'"{word}" says no due date', "Write payment_terms, or a number of days like 30.")
    return None


def _ready(flow: Section) -> m.Ready | None:
    ready = flow.section("ready")
    if ready is None:
        return None
    said = {
        "require": ready.choices("require", REQUIRABLE),
        "wait_after_won_min": ready.whole("wait_after_won_min", 0, 100_000),
        "missing": ready.choice("missing", ("ask deal.owner", "hold")),
    }
    ready.finish()
    return m.Ready(**_known(said))


def _accounts(flow: Section) -> m.Accounts | None:
    accounts = flow.section("accounts")
    if accounts is None:
        return None
    said = {name: accounts.text(name) for name in ("income", "shipping", "rounding", "discount", "deposit")}
    accounts.finish()
    if said["income"] == "by item":
        said["income"] = None
    return m.Accounts(**_known(said))


_PLACE = re.compile(r"(?P<country>[A-Z]{2})(-[A-Z0-9]{1,3})?")


def _tax(flow: Section) -> tuple[tuple[m.TaxRule, ...] | None, str | None]:
    """The tax table's rows, and what happens where no row fits."""
    if "tax" not in flow:
        flow.take("tax")
        return None, None
    rows: list[m.TaxRule] = []
    otherwise: str | None = None
    closed = False
    for row in flow.sections("tax"):
        if closed:
            flow.problems.add(row.node, row.path, "no line ever comes to this row: the one before takes them all")
        if "otherwise" in row:
            otherwise, closed = row.text("otherwise"), True
        else:
            rule = _tax_row(row)
            closed = closed or (rule is not None and (rule.ship_to, rule.item_class, rule.status) == (None, None, None))
            rows += [rule] if rule is not None else []
        row.finish()
    return tuple(rows), otherwise


def _tax_row(row: Section) -> m.TaxRule | None:
    place, code = row.text("ship_to"), row.text("code")
    if place is not None:
        found = _PLACE.fullmatch(place)
        if found is None or found["country"] not in territories():
            row.wrong("ship_to", f'"{place}" is no place', "Write a country or a region of it: US, US-NY.")
    item_class = row.text("class")
    status = row.choice("status", get_args(TaxStatus))
    if code is None:
        row.wrong("code", "a row of the tax table names the code it gives", "Write code: and the books' code, or hold.")
        return None
    return m.TaxRule(code=code, ship_to=place, item_class=item_class, status=status, line=row.line)


# --------------------------------------------------------------------------- guards, period, schedule


def _rules_of_the_house(root: Section) -> dict[str, Any]:
    return {
        "guards": _guards(root),
        "period": _period(root),
        "four_eyes": root.choices("four_eyes", FOUR_EYES),
        "expected_without_deal": tuple(_expected(row) for row in root.sections("expected_without_deal")),
        "schedule": tuple(line for row in root.sections("schedule") if (line := _scheduled(row)) is not None),
    }


def _guards(root: Section) -> m.Guards | None:
    guards = root.section("guards")
    if guards is None:
        return None
    said: dict[str, Any] = {"removed": guards.whole("removed_in_24_h"), "approvals": _approvals(guards)}
    for name in ("changed", "emptied"):
        limit = guards.section(f"{name}_in_24_h")
        if limit is not None:
            said[f"{name}_share"] = limit.share("share")
            said[f"{name}_at_least"] = limit.whole("at_least")
            limit.finish()
    guards.finish()
    return m.Guards(**_known(said))


def _approvals(guards: Section) -> m.Approvals | None:
    approvals = guards.section("approvals")
    if approvals is None:
        return None
    over, currency = approvals.amount("over"), approvals.text("currency")
    approvers = approvals.whole("approvers", 1, 20)
    approvals.finish()
    if currency is not None and currency not in currencies():
        approvals.wrong("currency", f'"{currency}" is no currency code', did_you_mean(currency, sorted(currencies())))
    if over is None or currency is None:
        if "over" not in approvals or "currency" not in approvals:
            approvals.wrong("over", "approvals need an amount and its currency", "Write over: 10000, currency: USD.")
        return None
    return m.Approvals(**_known({"over": over, "currency": currency, "approvers": approvers}))


_LOCKS = {"books": "books", "pair": "pair", "the later of books and pair": "later", "later": "later"}


def _period(root: Section) -> m.Period | None:
    period = root.section("period")
    if period is None:
        return None
    lock = period.choice("lock", list(_LOCKS))
    closed, locked_until = period.choice("closed", ("hold",)), period.day("locked_until")
    period.finish()
    said = {"lock": _LOCKS[lock] if lock is not None else None, "closed": closed, "locked_until": locked_until}
    return m.Period(**_known(said))


def _expected(row: Section) -> m.Expected:
    origin, number = row.choice("origin", _ORIGINS), row.text("number")
    if "origin" not in row and "number" not in row:
        row.problems.add(row.node, row.path, "which invoices need no deal? Name an origin, or a number like POS-*")
    row.finish()
    return m.Expected(origin=origin, number=number, line=row.line)


def _scheduled(row: Section) -> m.Scheduled | None:
    do, text = row.choice("do", get_args(m.Task)), row.text("when")
    row.finish()
    if "do" not in row:
        row.wrong("do", "what is to be done? sync, preview, digest, reconcile or ageing")
    if text is None:
        row.wrong("when", "when is it to be done?", "Write when: every 15 minutes.")
        return None
    timing = parse_timing(text)
    if timing is None:
        row.wrong("when", f'"{text}" says no time', f"Write it like {_TIMES}.")
    if do is None or timing is None:
        return None
    return m.Scheduled(do=cast(m.Task, do), when=timing, text=text, line=row.line)


_TIMES = "every 15 minutes, weekdays at 08:30, mondays at 09:00, or working day 1 of the month at 08:00"
_EVERY = re.compile(r"every (?P<number>\d+ )?(?P<unit>minute|hour)s?")
_DAY_AT = re.compile(r"(?P<days>every day|daily|weekdays|(?:" + "|".join(_DAYS) + r")s?) at (?P<at>\d{1,2}:\d{2})")
_WORKING = re.compile(r"working day (?P<day>\d{1,2}) of the month at (?P<at>\d{1,2}:\d{2})")


def parse_timing(text: str) -> m.Timing | None:
    """A schedule's words; None if they say no time."""
    words = " ".join(text.casefold().split())
    if (found := _EVERY.fullmatch(words)) is not None:
        minutes = int(found["number"] or 1) * (60 if found["unit"] == "hour" else 1)
        return m.Every(minutes) if 1 <= minutes <= 1440 else None
    if (found := _DAY_AT.fullmatch(words)) is not None:
        at = _time(found["at"])
        return m.DayAt(_days(found["days"]), at) if at is not None else None
    if (found := _WORKING.fullmatch(words)) is not None:
        at, day = _time(found["at"]), int(found["day"])
        return m.WorkingDayAt(day, at) if at is not None and 1 <= day <= 20 else None
    return None


def _days(words: str) -> tuple[int, ...]:
    if words in ("every day", "daily"):
        return tuple(range(7))
    return tuple(range(5)) if words == "weekdays" else (_DAYS.index(words.removesuffix("s")),)


def _time(text: str) -> time | None:
    hour, _, minute = text.partition(":")
    return time(int(hour), int(minute)) if int(hour) < 24 and int(minute) < 60 else None
