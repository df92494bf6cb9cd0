"""Every message inside Slack's limits, whatever the data: the sandbox, which shares no code with the blocks, says."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.blocks import answers, choose, conflict, parts, plan, report, run
from bot.blocks.parts import Say
from bot.sandbox import block_findings, view_findings
from tests.unit.bot import looks
from tests.unit.bot.looks import LOOK
from worker.api.views import FieldView, HistoryView

UNSETTLING = st.one_of(
    st.text(max_size=60),
    st.sampled_from(["", " ", "x" * 5000, "<!channel>", "*bold* _it_ `c` ```", "é" * 3000, "a|b\nc" * 400, "&" * 3000]),
)


def findings(say: Say) -> list[str]:
    """What Slack would refuse."""
    found = block_findings(say.blocks)
    if len(say.text) > 4000:
        found.append("text is too long to edit with")
    if not say.text.strip():
        found.append("no text")
    if sum(_length(b) for b in say.blocks if b["type"] != "table") > 12_000:
        found.append("msg_blocks_too_long")
    return found


def _length(value: Any) -> int:
    if isinstance(value, list):
        return sum(_length(each) for each in value)
    if isinstance(value, dict):
        own = value.get("text")
        return (len(own) if isinstance(own, str) else 0) + sum(_length(each) for each in value.values())
    return 0


def wild_change(text: str) -> Any:
    fields = tuple(FieldView(path=text, before=text, after=text, overwrites=text) for _ in range(5))
    return looks.change(title=text, why=text, reason=text, system=text or "x", fields=fields)


def renderings(text: str, many: int) -> list[Callable[[], Say]]:
    changes = [msgspec.structs.replace(wild_change(text), state=state) for state in plan.TROUBLE for _ in range(many)]
    wild_plan = msgspec.structs.replace(
        looks.PLAN,
        shown=tuple(wild_change(text) for _ in range(40)),
        waiting={f"{text}{n}": n for n in range(many)},
        net={"USD": Decimal(10) ** 20, "KWD": Decimal("0.001")},
    )
    wild = msgspec.structs.replace(
        looks.CONFLICT, title=f"{text}, emails.general", reason=text, crm=text, books={"lines": [text] * 9}
    )
    wild_match = msgspec.structs.replace(
        looks.MATCH,
        title=text,
        candidates=tuple(
            msgspec.structs.replace(looks.MATCH.candidates[0], title=text or "x", reasons=(text,)) for _ in range(9)
        ),
    )
    example = msgspec.structs.replace(looks.EVERYWHERE.candidates[0], title=text, crm=text, books={"lines": [text] * 9})
    wild_field = msgspec.structs.replace(wild_match, what="everywhere", candidates=(example,) * 5, records=10**6)
    stopped = looks.run(state="failed", error=text, next_step=text)
    history = [HistoryView(run=stopped, changes=0)] * 15
    lines = [msgspec.structs.replace(looks.LINE, number=n, words=text or "x") for n in range(1, many + 2)]
    wild_report = msgspec.structs.replace(looks.REPORT, headline=f"{text}.", text=f"{text}\n" * 400)
    done = looks.run("apply", outcome={"done": 9, "rejected": 5})
    return [
        lambda: plan.preview(wild_plan, looks.run(), LOOK),
        lambda: plan.outcome(wild_plan, done, changes, LOOK),
        lambda: plan.replaced(wild_plan, LOOK),
        lambda: conflict.card(wild, LOOK, note=text),
        lambda: conflict.card(wild_match, LOOK),
        lambda: conflict.card(wild_field, LOOK),
        lambda: conflict.listed([wild_field] * 30, LOOK),
        lambda: conflict.listed([wild] * 30, LOOK),
        lambda: run.failed(stopped, LOOK),
        lambda: run.waits(stopped),
        lambda: report.report(wild_report, looks.run("reconcile"), LOOK),
        lambda: answers.history(history, "America/New_York"),
        lambda: answers.schedules(lines, LOOK),
        lambda: answers.status(msgspec.structs.replace(looks.STATUS, linked=10**9)),
        lambda: answers.help_(text),
        lambda: answers.plain(f"{text}."),
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(UNSETTLING, st.integers(0, 60))
def test_no_message_is_ever_refused(text: str, many: int) -> None:
    """Long, empty, many, with markup: folded, never refused."""
    for rendering in renderings(text, many):
        assert [] == findings(rendering())


@settings(max_examples=60, deadline=None)
@given(UNSETTLING)
def test_nobody_is_called_by_what_a_record_says(text: str) -> None:
    """A customer called <!channel> wakes nobody, and no link is made."""
    wild = msgspec.structs.replace(looks.CONFLICT, title=f"<!channel> {text} <@U0123456789>", crm="<!here>")
    shown = json.dumps(conflict.card(wild, LOOK).blocks)
    assert "<!" not in shown
    assert "<@" not in shown


@settings(max_examples=40, deadline=None)
@given(UNSETTLING)
def test_modals_are_taken(text: str) -> None:
    """Edit and Choose."""
    wild = msgspec.structs.replace(looks.CONFLICT, title=text, crm=text, books=text)
    address = msgspec.structs.replace(wild, typed_as="address", crm={"lines": [text], "city": text})
    for view in (
        conflict.edit_modal(wild, "C1 - token"),
        conflict.edit_modal(address, "C1 - token"),
        choose.choose_modal(looks.PLAN, LOOK, "C1 - token"),
    ):
        assert [] == view_findings(view)


def test_saboteur_an_unfolded_text_is_refused() -> None:
    """The check fails for a section that was not clipped."""
    block = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}
    assert [] != findings(Say(text="x", blocks=[block]))


def test_saboteur_unescaped_names_call_people(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without escaping, the check above sees the mention."""
    monkeypatch.setattr(parts, "escaped", lambda text: text)
    wild = msgspec.structs.replace(looks.CONFLICT, title="<!channel>")
    assert "<!" in json.dumps(conflict.card(wild, LOOK).blocks)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "(empty)"),
        ("", "(empty)"),
        (0, "0"),
        (False, "no"),
        ({"absent": True}, "(not to be seen)"),
        ({"amount": "12.5", "currency": "USD"}, "USD 12.50"),
        ({"amount": "12.505", "currency": "KWD"}, "KWD 12.505"),
        ({"name": "Net 30", "net_days": 30}, "Net 30"),
        ({"lines": ["1 Main St"], "city": "Nairobi", "country": "KE"}, "1 Main St, Nairobi, KE"),
        ({"ids": [{"scheme": "gb.vat", "value": "123"}]}, "123"),
    ],
)
def test_values_are_shown_as_people_read_them(value: Any, expected: str) -> None:
    """Empty, absent and zero are three things."""
    assert expected == parts.shown(value)


def test_a_table_leaves_out_rows_beyond_slacks_characters() -> None:
    """Ten thousand in all."""
    found = parts.table([["x" * 600] * 4] * 50)
    assert found is not None
    assert 10_000 > sum(len(cell["text"]) for row in found["rows"] for cell in row)


@pytest.mark.parametrize(
    ("decision", "said"),
    [("crm", "Written to HubSpot."), ("books", "It stands on both sides."), ("value", "both sides.")],
)
def test_what_becomes_of_an_edit_that_was_lost(decision: str, said: str) -> None:
    """Kept, the lost value is written back where it was typed; the other one stands already."""
    settled = msgspec.structs.replace(
        looks.CONFLICT, state="settled", decision=decision, decided_by="U1", decided_at=looks.NOW, lost_at="crm"
    )
    assert said in conflict.card(settled, LOOK, run=looks.run("settle", outcome={"done": 1})).text
