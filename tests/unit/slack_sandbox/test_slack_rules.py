"""Block Kit is refused where Slack refuses it, and taken up to the last character that it takes."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sandbox_blocks import actions, asked, bars, button, line, modal, mrkdwn, option, plain, section, table

from bot.sandbox import block_findings, view_findings

Json = dict[str, Any]

# (what fits exactly, the same with one too many, what Slack says about the latter)
LIMITS: dict[str, tuple[list[Json], list[Json], str]] = {
    "blocks of a message": ([section()] * 50, [section()] * 51, "no more than 50 items allowed [json-pointer:/blocks]"),
    "section text": (
        [section("x" * 3000)],
        [section("x" * 3001)],
        "must be less than 3001 characters [json-pointer:/blocks/0/text/text]",
    ),
    "section fields": (
        [{"type": "section", "fields": [mrkdwn("x")] * 10}],
        [{"type": "section", "fields": [mrkdwn("x")] * 11}],
        "no more than 10 items allowed [json-pointer:/blocks/0/fields]",
    ),
    "header": (
        [{"type": "header", "text": plain("x" * 150)}],
        [{"type": "header", "text": plain("x" * 151)}],
        "must be less than 151 characters [json-pointer:/blocks/0/text/text]",
    ),
    "button text": (
        [actions(button("x" * 75))],
        [actions(button("x" * 76))],
        "must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]",
    ),
    "button value": (
        [actions(button(value="x" * 2000))],
        [actions(button(value="x" * 2001))],
        "must be less than 2001 characters [json-pointer:/blocks/0/elements/0/value]",
    ),
    "action id": (
        [actions(button(action_id="x" * 255))],
        [actions(button(action_id="x" * 256))],
        "must be less than 256 characters [json-pointer:/blocks/0/elements/0/action_id]",
    ),
    "block id": (
        [section(block_id="x" * 255)],
        [section(block_id="x" * 256)],
        "must be less than 256 characters [json-pointer:/blocks/0/block_id]",
    ),
    "elements of an actions block": (
        [actions(*(button(action_id=str(n)) for n in range(25)))],
        [actions(*(button(action_id=str(n)) for n in range(26)))],
        "no more than 25 items allowed [json-pointer:/blocks/0/elements]",
    ),
    "context": (
        [{"type": "context", "elements": [mrkdwn("x")] * 10}],
        [{"type": "context", "elements": [mrkdwn("x")] * 11}],
        "no more than 10 items allowed [json-pointer:/blocks/0/elements]",
    ),
    "overflow": (
        [actions({"type": "overflow", "options": [option(str(n)) for n in range(5)]})],
        [actions({"type": "overflow", "options": [option(str(n)) for n in range(6)]})],
        "no more than 5 items allowed [json-pointer:/blocks/0/elements/0/options]",
    ),
    "select options": (
        [actions({"type": "static_select", "options": [option(str(n)) for n in range(100)]})],
        [actions({"type": "static_select", "options": [option(str(n)) for n in range(101)]})],
        "no more than 100 items allowed [json-pointer:/blocks/0/elements/0/options]",
    ),
    "option value": (
        [actions({"type": "static_select", "options": [option("a", "x" * 150)]})],
        [actions({"type": "static_select", "options": [option("a", "x" * 151)]})],
        "must be less than 151 characters [json-pointer:/blocks/0/elements/0/options/0/value]",
    ),
    "radio buttons": (
        [actions({"type": "radio_buttons", "options": [option(str(n)) for n in range(10)]})],
        [actions({"type": "radio_buttons", "options": [option(str(n)) for n in range(11)]})],
        "no more than 10 items allowed [json-pointer:/blocks/0/elements/0/options]",
    ),
    "markdown over all blocks": (
        [{"type": "markdown", "text": "x" * 6000}] * 2,
        [{"type": "markdown", "text": "x" * 6000}, {"type": "markdown", "text": "x" * 6001}],
        "markdown text must be less than 12001 characters in total [json-pointer:/blocks/1]",
    ),
    "table rows": ([table(100, 1)], [table(101, 1)], "no more than 100 items allowed [json-pointer:/blocks/0/rows]"),
    "table columns": ([table(1, 20)], [table(1, 21)], "no more than 20 items allowed [json-pointer:/blocks/0/rows/0]"),
    "table characters": (
        [table(10, 10, "x" * 100)],
        [table(10, 10, "x" * 101)],
        "table cells must be less than 10001 characters in total [json-pointer:/blocks/0]",
    ),
    "charts": (
        [bars(), bars()],
        [bars()] * 3,
        "no more than 2 data_visualization blocks allowed [json-pointer:/blocks/2]",
    ),
    "confirmation": (
        [actions(button(confirm={n: plain("x" * 30) for n in ("title", "text", "confirm", "deny")}))],
        [actions(button(confirm={**{n: plain("x") for n in ("title", "text", "confirm")}, "deny": plain("x" * 31)}))],
        "must be less than 31 characters [json-pointer:/blocks/0/elements/0/confirm/deny/text]",
    ),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_the_last_that_fits_is_taken_and_the_next_is_refused(limit: str) -> None:
    """Each limit, from both sides."""
    fits, over, said = LIMITS[limit]
    assert [] == block_findings(fits)
    assert [said] == block_findings(over)


WRONG: dict[str, tuple[Json, str]] = {
    "an unknown block": ({"type": "sections"}, "unsupported type: sections [json-pointer:/blocks/0/type]"),
    "a field that does not exist": (
        section(colour="red"),
        "invalid additional property: colour [json-pointer:/blocks/0]",
    ),
    "a bare string for a text": (
        {"type": "section", "text": "Hello"},
        "must provide an object [json-pointer:/blocks/0/text]",
    ),
    "an empty text": (section(""), "must be more than 0 characters [json-pointer:/blocks/0/text/text]"),
    "mrkdwn on a button": (
        actions({"type": "button", "text": mrkdwn("x")}),
        "unsupported type: mrkdwn [json-pointer:/blocks/0/elements/0/text/type]",
    ),
    "a style that does not exist": (
        actions(button(style="warning")),
        "must be a valid enum value [json-pointer:/blocks/0/elements/0/style]",
    ),
    "a multi select among actions": (
        actions({"type": "multi_users_select"}),
        "unsupported element: multi_users_select [json-pointer:/blocks/0/elements/0]",
    ),
    "an action id twice": (
        actions(button(), button()),
        'action_id "apply" already exists [json-pointer:/blocks/0/elements/1/action_id]',
    ),
    "a select with nothing to select": (
        actions({"type": "static_select"}),
        "must define either `options` or `option_groups` [json-pointer:/blocks/0/elements/0]",
    ),
    "an initial option that is not offered": (
        actions({"type": "static_select", "options": [option("a")], "initial_option": option("b")}),
        "initial option(s) must match options [json-pointer:/blocks/0/elements/0]",
    ),
    "a modal's alert in a message": (
        {"type": "alert", "text": mrkdwn("x")},
        "unsupported type: alert [json-pointer:/blocks/0/type]",
    ),
    "a file input in a message": (
        asked("f", {"type": "file_input"}),
        "unsupported element: file_input [json-pointer:/blocks/0/element]",
    ),
    "a chart that leaves out a point": (
        bars(axis_config={"categories": ["Mon", "Tue", "Wed"]}),
        "must contain exactly one entry for every category [json-pointer:/blocks/0/chart/series/0/data]",
    ),
    "an empty slice": (
        {
            "type": "data_visualization",
            "title": "t",
            "chart": {"type": "pie", "segments": [{"label": "a", "value": 0}]},
        },
        "must be greater than 0 [json-pointer:/blocks/0/chart/segments/0/value]",
    ),
    "a data table without a caption": (
        {"type": "data_table", "rows": table(2, 2)["rows"]},
        "missing required field: caption [json-pointer:/blocks/0]",
    ),
    "None among the blocks": (None, "must provide an object [json-pointer:/blocks/0]"),  # type: ignore[dict-item]  # wrong
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_slack_does_not_know_is_refused_with_its_place(wrong: str) -> None:
    """The place is a JSON pointer."""
    block, said = WRONG[wrong]
    assert said in block_findings([block])


def test_a_second_table_is_refused() -> None:
    """One table a message, of either kind."""
    assert ["only_one_table_allowed [json-pointer:/blocks/1]"] == block_findings([table(1, 1), table(1, 1)])


def test_block_ids_are_unique() -> None:
    """A block id twice takes the message down."""
    found = block_findings([section(block_id="a"), section(block_id="a")])
    assert ['block_id "a" already exists [json-pointer:/blocks/1/block_id]'] == found


def test_a_modal_may_hold_100_blocks_and_needs_a_title() -> None:
    """Limits of views."""
    assert [] == view_findings(modal(*[section()] * 100))
    assert ["no more than 100 items allowed [json-pointer:/view/blocks]"] == view_findings(modal(*[section()] * 101))
    untitled = {name: value for name, value in modal().items() if name != "title"}
    assert ["missing required field: title [json-pointer:/view]"] == view_findings(untitled)
    long = modal(title=plain("x" * 25))
    assert ["must be less than 25 characters [json-pointer:/view/title/text]"] == view_findings(long)


def test_a_modal_with_inputs_needs_a_submit_button() -> None:
    """Slack refuses a form that cannot be sent."""
    form = {name: value for name, value in modal(line()).items() if name != "submit"}
    assert ["missing required field: submit [json-pointer:/view]"] == view_findings(form)


def test_tables_and_markdown_do_not_go_into_modals() -> None:
    """Surfaces differ."""
    for block in (table(1, 1), bars(), {"type": "markdown", "text": "x"}):
        assert [f"unsupported type: {block['type']} [json-pointer:/view/blocks/0/type]"] == view_findings(modal(block))


def test_a_home_tab_has_no_submit() -> None:
    """It is not a form."""
    home = {"type": "home", "blocks": [section()], "submit": plain("Go")}
    assert ["invalid additional property: submit [json-pointer:/view]"] == view_findings(home)
