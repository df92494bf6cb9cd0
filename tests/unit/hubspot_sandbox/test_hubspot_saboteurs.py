"""Each promise can break: a sandbox with one quirk taken away turns the test of that quirk red."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import test_hubspot_associations as ties
import test_hubspot_batches as batches
import test_hubspot_records as records
import test_hubspot_search as searches
import test_hubspot_setup as setups

from connectors.hubspot.sandbox import associations, batch, calls, figures, objects, setup, values
from connectors.hubspot.sandbox.index import SearchIndex
from connectors.hubspot.sandbox.links import Links
from connectors.hubspot.sandbox.portal import Portal
from connectors.hubspot.sandbox.table import Table


@dataclasses.dataclass
class Sabotage:
    """A quirk taken away, and the check that has to notice."""

    owner: Any
    attribute: str
    instead: Any
    check: Callable[..., Any]

    def __str__(self) -> str:
        return self.attribute


def no_survivor(self: Table, record_id: int, survivor: int | None = None) -> Any:
    return REAL_DROP(self, record_id)


REAL_DROP = Table.drop
REAL_SHOWN = calls.shown
REAL_PAGE = associations._page
REAL_DRAFT = Portal.draft_create


def text_ids(*args: Any) -> Any:
    results, following = REAL_PAGE(*args)
    return [{**one, "toObjectId": str(one["toObjectId"])} for one in results], following


def without_rules(self: Portal, *args: Any, **more: Any) -> Any:
    return REAL_DRAFT(self, *args, **{**more, "strict": False})


def numbers(table: Any, record: Any, view: Any) -> Any:
    body = REAL_SHOWN(table, record, view)
    amount = body["properties"].get("amount")
    return {**body, "properties": {**body["properties"], "amount": amount and float(amount)}}


SABOTAGES = [
    Sabotage(Portal, "_check_unique", lambda *a: None, records.test_a_taken_email_is_409_and_names_the_contact),
    Sabotage(Portal, "_later", lambda self, before: before,
             records.test_every_write_moves_the_modified_time_even_on_a_clock_that_stands),
    Sabotage(Portal, "_closes", lambda *a: False, records.test_a_deal_moved_to_a_closed_stage_is_dated_now),
    Sabotage(Portal, "draft_create", without_rules, records.test_the_accounts_own_rules_bind_from_2026_09_on),
    Sabotage(Table, "drop", no_survivor, records.test_a_merge_makes_a_new_id_to_which_both_old_ones_lead),
    Sabotage(objects, "LIST_MAX", 200, records.test_a_list_takes_100_at_most_and_50_with_history),
    Sabotage(objects, "shown", numbers, records.test_a_create_answers_201_with_default_properties_as_text),
    Sabotage(SearchIndex, "forget", lambda *a: None, searches.test_an_archived_record_is_not_found_at_once),
    Sabotage(SearchIndex, "write", lambda self, record, now: self._see(record),
             searches.test_a_changed_record_is_found_with_its_old_values_until_then),
    Sabotage(Links, "_unseat", lambda *a: None, ties.test_there_is_one_primary_company),
    Sabotage(associations, "_page", text_ids,
             ties.test_a_labelled_association_is_201_and_brings_the_unlabelled_along),
    Sabotage(associations, "NO_LIST_SINCE", "never", ties.test_2026_09_has_no_list_of_one_records_associations),
    Sabotage(batch, "_any_order", list, batches.test_results_do_not_come_in_the_order_of_the_inputs),
    Sabotage(batch, "_refuse_repeats", lambda inputs: None,
             batches.test_an_update_of_the_same_record_twice_is_refused),
    Sabotage(batch, "BATCH_MAX_WITH_HISTORY", 100, batches.test_a_read_with_history_takes_50_at_most),
    Sabotage(setup, "UNIQUE_MAX", 99, setups.test_an_object_has_ten_unique_properties_at_most_and_products_none),
]  # fmt: skip


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=str)
async def test_the_check_turns_red(sabotage, api, sandbox, monkeypatch, request):
    """The broken sandbox fails the check that holds on the real one."""
    monkeypatch.setattr(sabotage.owner, sabotage.attribute, sabotage.instead)
    wanted = sabotage.check.__code__.co_varnames[: sabotage.check.__code__.co_argcount]
    given = {name: request.getfixturevalue(name) for name in wanted if name not in {"api", "sandbox"}}
    own = {"api": api, "sandbox": sandbox}
    with pytest.raises(AssertionError):
        await sabotage.check(**given, **{name: own[name] for name in wanted if name in own})


def test_two_calculations_disagree_where_a_discount_is_taken_once():
    """Saboteur of the line's arithmetic: a discount per line instead of per unit gives another net."""
    line = {"price": "10.50", "quantity": "3", "discount": "0.50"}
    honest = figures.line_figures(line, None)["amount"]
    per_line = values.plain(figures.number(line, "price") * 3 - figures.number(line, "discount"))
    assert honest != per_line
