"""The rules that decide tables and contract, each with the tests that show it: the list is kept honest here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

SHAPES: dict[str, tuple[str, ...]] = {
    "engine 1, base per field and side": (
        "test_base_is_kept_for_each_side",
        "test_saboteur_base_of_one_value_writes_for_ever",
        "test_own_writes_come_back_and_cause_nothing",
    ),
    "engine 2, planning reads a durable dirty set": (
        "test_page_cursor_and_dirty_are_one_unit",
        "test_cleared_only_for_the_stamp_that_was_read",
        "test_saboteur_cursor_as_dirty_set_forgets_what_was_not_applied",
    ),
    "engine 3, unbased": (
        "test_unbased_and_different_is_one_question",
        "test_a_field_that_is_mapped_later_is_compared_then",
        "test_a_field_of_many_records_is_one_question",
        "test_saving_a_mapping_asks_at_once",
        "test_a_changed_value_map_asks_again_as_one",
        "test_saboteur_a_question_for_each_record_floods_the_inbox",
        "test_saboteur_an_answer_for_every_link_overwrites_an_edit",
    ),
    "engine 4, groups merge as one": (
        "test_an_address_is_one_value",
        "test_saboteur_merged_apart_a_group_becomes_a_mixture",
    ),
    "engine 8, refused is not tried again": (
        "test_refused_is_remembered_under_these_settings",
        "test_one_bad_item_does_not_spoil_its_batch",
        "test_a_refused_document_is_tried_again_when_its_customer_is_mended",
    ),
    "engine 10, intent first": (
        "test_two_workers_cannot_both_send",
        "test_saboteur_a_look_before_the_write_sends_twice",
    ),
    "engine 11, groups of changes": (
        "test_a_change_comes_back_as_it_was",
        "test_an_approval_covers_a_subset_never_more",
        "test_what_is_left_out_takes_its_group_and_what_needs_it_along",
        "test_a_group_is_held_whole",
        "test_a_part_of_a_plan_is_never_half_of_a_group",
        "test_saboteur_members_that_are_approved_one_by_one",
        "test_the_old_invoice_moved_and_none_is_sent",
        "test_a_refused_credit_note_takes_the_new_invoice_back",
        "test_saboteur_without_compensation_two_documents_stand",
        "test_what_cannot_be_taken_back_is_asked_about_until_somebody_closes_it",
        "test_a_worker_that_dies_over_a_half_is_followed_by_another",
        "test_a_group_of_which_one_stays_is_left_whole",
        "test_an_undo_takes_back_both_or_none",
    ),
    "engine 12, how a repeat behaves": ("test_contract", "a_repeat_does_what_is_declared"),
    "engine 13, key and marker": ("test_keys_of_calls_differ_between_attempts", "the_marker_reads_back"),
    "engine 14, two probes": (
        "the_marker_finds_a_lost_write",
        "the_window_finds_a_lost_write",
        "test_saboteur_a_probe_before_the_call_can_have_landed_makes_two",
    ),
    "engine 15, open intents before matching": (
        "test_what_may_be_an_open_intents_own_waits",
        "test_while_a_plan_is_carried_out_no_other_is_drawn",
        "test_twins_of_one_side_are_asked_about_before_anything_is_made",
    ),
    "engine 16, definite or doubtful": ("test_a_write_in_doubt_is_sent_once", "a_write_is_never_sent_twice"),
    "engine 21, links have members": (
        "test_two_primaries_of_a_side_are_refused",
        "test_a_merge_moves_the_link_to_the_survivor",
    ),
    "engine 22, documents hang on positions": (
        "test_one_live_document_for_a_position_and_generation",
        "test_a_voided_invoice_is_spent_and_not_billed_again",
        "test_saboteur_a_document_on_the_link_would_bill_again",
    ),
    "engine 23, unique connections, one writer a field, one rate budget": (
        "test_an_account_is_unique_in_the_table",
        "test_a_field_has_one_writing_pair",
        "test_connectors_of_one_process_share_without_redis",
        "test_two_processes_keep_to_one_limit",
        "test_saboteur_a_budget_for_each_connector_is_over_the_limit",
    ),
    "engine 35, audit chain per pair": (
        "test_harm_is_found_where_it_was_done",
        "test_erasing_a_person_keeps_the_chain",
        "test_saboteur_a_chain_without_hashes_hides_a_change",
        "test_saboteur_without_the_posted_heads_a_cut_off_trail_passes",
    ),
    "accounting 1, a deal gives rise to documents": (
        "test_a_won_deal_becomes_one_invoice",
        "test_each_instalment_is_billed_on_its_day",
    ),
    "accounting 2, cut-over": ("test_history_is_linked_and_never_billed", "test_a_mapping_without_cut_over_is_refused"),
    "accounting 3, amount basis": (
        "test_a_gross_amount_is_split_into_net_and_tax",
        "test_lines_that_do_not_add_up_to_the_amount_hold_the_deal",
    ),
    "accounting 4, field groups": ("test_an_address_merges_as_one", "test_fields_that_belong_together_go_together"),
    "accounting 5, posted is frozen": ("test_nothing_of_a_posted_document_is_ever_updated",),
    "accounting 6, draft is an ability": (
        "test_drafts_are_refused_where_the_books_know_none",
        "test_a_draft_is_saved_unposted",
    ),
    "accounting 7, catalogue and figures": (
        "the_catalogue_tells",
        "figures_are_the_vendors_own",
        "test_a_lost_row_shows",
    ),
    "accounting 8, when it may write alone": (
        "test_observe_writes_nothing_whatever_is_pressed",
        "test_alone_only_under_the_limit",
        "test_a_new_flow_observes",
    ),
}

KNOWN = {
    name
    for path in TESTS.rglob("*.py")
    if path != Path(__file__)
    for name in re.findall(r"^(?:async )?def (\w+)", path.read_text(), re.M)
}


@pytest.mark.parametrize("rule", SHAPES)
def test_a_rule_has_its_tests(rule: str) -> None:
    """Each named test (or clause of the contract suite) is there."""
    assert [] == [name for name in SHAPES[rule] if name not in KNOWN]
