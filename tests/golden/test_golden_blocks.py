"""Messages as files, to be reviewed as diffs. Update with `pytest tests/golden --snapshot-update`."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from bot.blocks import answers, choose, conflict, plan, report, run
from bot.blocks.parts import Say
from tests.unit.bot import looks
from tests.unit.bot.looks import LOOK
from worker.api.views import HistoryView

SETTLED = msgspec.structs.replace(
    looks.CONFLICT, state="settled", decision="crm", decided_by="U0APPROVE1", decided_at=looks.NOW
)
WRITTEN = looks.run("settle", outcome={"done": 1})
FAILED = looks.run(state="failed", error="QuickBooks refused the login", next_step="Connect it again.")
REFUSED = [
    looks.change(state="rejected", title=f"Deal {n}", reason='QuickBooks says: account "Sales - EU" does not exist')
    for n in range(3)
]
SHOWN: dict[str, Any] = {
    "preview": plan.preview(looks.PLAN, looks.run(), LOOK),
    "preview_replaced": plan.replaced(msgspec.structs.replace(looks.PLAN, state="superseded"), LOOK),
    "progress": run.progress(looks.run("apply", "running"), LOOK),
    "applied_with_trouble": plan.outcome(
        msgspec.structs.replace(looks.PLAN, state="applied", approved_by="U0APPROVE1, U0APPROVE2"),
        looks.run("apply", outcome={"done": 11, "rejected": 3}),
        REFUSED,
        LOOK,
    ),
    "failed": run.failed(FAILED, LOOK),
    "in_step": run.in_step(looks.STATUS),
    "needs": conflict.needs(2, LOOK),
    "card": conflict.card(looks.CONFLICT, LOOK),
    "card_match": conflict.card(looks.MATCH, LOOK),
    "card_create": conflict.card(looks.CREATE, LOOK),
    "card_removed": conflict.card(looks.REMOVED, LOOK),
    "card_settled": conflict.card(SETTLED, LOOK, run=WRITTEN),
    "report": report.report(looks.REPORT, looks.run("reconcile"), LOOK),
    "status": answers.status(looks.STATUS),
    "history": answers.history([HistoryView(run=FAILED, changes=0)], "America/New_York"),
    "schedules": answers.schedules([looks.LINE], LOOK),
    "help": answers.help_(),
    "no_pair": answers.no_pair([looks.PAIR]),
    "edit_modal": conflict.edit_modal(looks.CONFLICT, "C1 - token"),
    "choose_modal": choose.choose_modal(looks.PLAN, LOOK, "C1 - token"),
}


@pytest.fixture
def golden(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(JSONSnapshotExtension)


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_message(name: str, golden: SnapshotAssertion) -> None:
    """As it was when somebody last looked at it."""
    shown = SHOWN[name]
    assert golden(name=name) == (msgspec.to_builtins(shown) if isinstance(shown, Say) else shown)
