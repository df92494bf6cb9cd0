"""Messages as files, to be reviewed as diffs. Update with `pytest tests/golden --snapshot-update`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from bot.blocks import answers, choose, conflict, plan, report, run
from bot.blocks.parts import Say
from tests.unit.bot import looks
from tests.unit.bot.looks import LOOK
from worker.api.views import HistoryView, LeftView, TakesView

SETTLED = msgspec.structs.replace(
    looks.CONFLICT, state="settled", decision="crm", decided_by="U0APPROVE1", decided_at=looks.NOW
)
ALL_SETTLED = msgspec.structs.replace(
    looks.EVERYWHERE, state="settled", decision="books", decided_by="U0APPROVE1", decided_at=looks.NOW
)
WRITTEN = looks.run("settle", outcome={"done": 1})
FAILED = looks.run(state="failed", error="QuickBooks refused the login", next_step="Connect it again.")
REFUSED = [
    looks.change(state="rejected", title=f"Deal {n}", reason='QuickBooks says: account "Sales - EU" does not exist')
    for n in range(3)
]
LEFT = LeftView(
    system="QuickBooks", kind="customer", title="Betatech", what="notes", reason="changed in QuickBooks since"
)
BACK = msgspec.structs.replace(
    looks.PLAN,
    undoes="run_1m842jkkbdrqgff6j35",
    held=0,
    changes=3,
    counts={"books.customer.archive": 1, "books.customer.update": 1, "books.invoice.void": 1},
    shown=(
        looks.change("invoice", "void", title="1041", why="for Q4 pumps; its number stays used", fields=()),
        looks.change("customer", "archive", title="Nordwind", why="made by that run; nothing hangs on it", fields=()),
        looks.change(why="put back as it was"),
    ),
    left=(LEFT,),
    left_out=1,
)
UNDONE = msgspec.structs.replace(
    BACK,
    state="applied",
    approved_by="U0APPROVE1",
    notes=("Invoice 1041 voided; its number stays used.", "1 record made inactive, not deleted."),
)
REISSUE = msgspec.structs.replace(
    looks.PLAN,
    held=0,
    changes=2,
    conflicts=0,
    waiting={},
    counts={"books.invoice.create": 1, "books.credit_note.create": 1},
    net={"USD": Decimal("120.00")},
    tax={},
    credited={"USD": Decimal("100.00")},
    shown=(
        looks.change("invoice", "create", title="Q4 pumps: instead of invoice 1042", fields=(), net=Decimal("120.00"),
                     currency="USD", why="won 2026-11-09, due 2026-12-09"),
        looks.change("credit_note", "create", title="Q4 pumps: credit for invoice 1042", fields=(),
                     net=Decimal("100.00"), currency="USD",
                     why="the deal now says USD 120.00; dated 2026-11-10; apply it to the invoice by hand"),
    ),
)  # fmt: skip
LONG = msgspec.structs.replace(
    looks.PLAN,
    changes=14_406,
    counts={**looks.PLAN.counts, "books.customer.update": 14_400},
    takes=TakesView(
        seconds=660, calls={"crm": 0, "books": 484}, system="QuickBooks", at_most=40, per_s=60, batches=True
    ),
)
SHOWN: dict[str, Any] = {
    "preview": plan.preview(looks.PLAN, looks.run(), LOOK),
    "preview_long": plan.preview(LONG, looks.run(), LOOK),
    "preview_replaced": plan.replaced(msgspec.structs.replace(looks.PLAN, state="superseded"), LOOK),
    "progress": run.progress(looks.run("apply", "running"), LOOK),
    "applied_with_trouble": plan.outcome(
        msgspec.structs.replace(looks.PLAN, state="applied", approved_by="U0APPROVE1, U0APPROVE2"),
        looks.run("apply", outcome={"done": 11, "rejected": 3}),
        REFUSED,
        LOOK,
    ),
    "undo": plan.preview(BACK, looks.run("undo"), LOOK),
    "undone": plan.outcome(UNDONE, looks.run("apply", outcome={"done": 3}), [], LOOK),
    "failed": run.failed(FAILED, LOOK),
    "in_step": run.in_step(looks.STATUS),
    "needs": conflict.needs(2, LOOK),
    "card": conflict.card(looks.CONFLICT, LOOK),
    "card_match": conflict.card(looks.MATCH, LOOK),
    "card_everywhere": conflict.card(looks.EVERYWHERE, LOOK),
    "card_everywhere_settled": conflict.card(ALL_SETTLED, LOOK),
    "card_create": conflict.card(looks.CREATE, LOOK),
    "card_removed": conflict.card(looks.REMOVED, LOOK),
    "card_document": conflict.card(looks.DOCUMENT, LOOK),
    "card_document_reversed": conflict.card(msgspec.structs.replace(looks.DOCUMENT, choices=("credit", "leave")), LOOK),
    "card_document_settled": conflict.card(
        msgspec.structs.replace(SETTLED, what="document", title=looks.DOCUMENT.title, decision="reissue"), LOOK
    ),
    "card_half": conflict.card(looks.HALF, LOOK),
    "preview_reissue": plan.preview(REISSUE, looks.run(), LOOK),
    "card_settled": conflict.card(SETTLED, LOOK, run=WRITTEN),
    "report": report.report(looks.REPORT, looks.run("reconcile"), LOOK),
    "status": answers.status(looks.STATUS),
    "history": answers.history([HistoryView(run=FAILED, changes=0)], "America/New_York"),
    "story": answers.story(looks.STORY, LOOK),
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
