"""Rule 37: undo."""

from __future__ import annotations

from tests.saboteurs.saboteur import Saboteur

UNDOING = (
    Saboteur(
        rules=(37,),
        breaks="a field that was put back keeps its old base",
        file="worker/usecases/outcomes.py",
        old='for a in done if a.change.operation == "update" for row in _bases(a, a.change.link_id)]\n',
        new='for a in done if a.change.operation == "update" and a.change.undoes is None\n'
        "             for row in _bases(a, a.change.link_id)]\n",
        red="tests/flows/test_flow_undo.py::test_a_field_is_put_back_and_the_next_sync_does_not_redo_it[sqlite]",
    ),
    Saboteur(
        rules=(37,),
        breaks="what somebody changed since is written over",
        file="worker/engine/undo.py",
        old="        if current not in {key(",
        new="        if current in {...} and current not in {key(",
        red="tests/flows/test_flow_undo.py::test_what_somebody_changed_since_is_left_and_said[sqlite]",
    ),
    Saboteur(
        rules=(37,),
        breaks="what a later run wrote is taken back with it",
        file="worker/engine/undo.py",
        old="        if touched is not None:\n            return touched\n",
        new="",
        red="tests/flows/test_flow_undo.py::test_what_a_later_run_wrote_again_is_left_with_its_name[sqlite]",
    ),
    Saboteur(
        rules=(37,),
        breaks="an edit at the source is lost by an undo",
        file="worker/engine/undo.py",
        old="        if there is not ABSENT and key(kind, there,",
        new="        if there is ABSENT and key(kind, there,",
        red="tests/flows/test_flow_undo.py::test_an_edit_at_the_source_travels_instead[sqlite]",
    ),
    Saboteur(
        rules=(37,),
        breaks="what moves between preview and apply of an undo is written over",
        file="worker/usecases/still_true.py",
        old='    if change.operation == "update":\n        reason = ',
        new='    if change.operation == "update" and change.undoes is None:\n        reason = ',
        red="tests/flows/test_flow_undo.py::test_what_moves_between_preview_and_apply_is_left[sqlite]",
    ),
    Saboteur(
        rules=(37,),
        breaks="an invoice that somebody has seen is voided",
        file="worker/engine/undo.py",
        old="        seen = why_credited(invoice, house)\n",
        new="        seen = why_credited(invoice, house) if invoice.ref == '' else None\n",
        red="tests/flows/test_flow_undo.py::test_an_invoice_that_was_sent_is_credited[sqlite]",
    ),
    Saboteur(
        rules=(37,),
        breaks="an invoice is taken back although somebody paid it",
        file="worker/engine/undo.py",
        old="        if now.applied:\n",
        new="        if now.applied and not now.live:\n",
        red="tests/flows/test_flow_undo.py::test_a_payment_is_never_taken_off[sqlite]",
    ),
    Saboteur(
        rules=(37,),
        breaks="a customer that something hangs on is made inactive",
        file="worker/engine/undo.py",
        old="        if hanging:\n            more",
        new="        if hanging and not now.hanging:\n            more",
        red="tests/flows/test_flow_undo.py::test_a_customer_that_somebody_worked_with_is_left[sqlite]",
    ),
    Saboteur(
        rules=(22, 37),
        breaks="an undone document is made again",
        file="worker/usecases/settle_undone.py",
        old='    await billing.set_position(tx, document.position_id, "settled", reason)\n',
        new='    await billing.set_position(tx, document.position_id, "open", None)\n',
        red="tests/flows/test_flow_undo.py::"
        "test_an_invoice_is_voided_and_its_customer_made_inactive_and_neither_is_made_again[sqlite]",
    ),
    Saboteur(
        rules=(22, 37),
        breaks="an undone customer is made again",
        file="worker/usecases/settle_undone.py",
        old="    await conflicts.decide_all(tx, desk.pair.id, said, actor)\n",
        new="    said.clear()\n",
        red="tests/flows/test_flow_undo.py::test_a_customer_that_was_taken_back_is_not_made_again[sqlite]",
    ),
    Saboteur(
        rules=(37,),
        breaks="an undo begins with what was made first",
        file="worker/engine/undo.py",
        old="key=lambda each: (-rank[each[1].change.flow], -each[0])",
        new="key=lambda each: (rank[each[1].change.flow], each[0])",
        red="tests/unit/engine/test_undo.py::test_the_order_is_the_reverse_of_how_it_was_made",
    ),
    Saboteur(
        rules=(11, 37),
        breaks="an undo takes half of a group",
        file="worker/engine/undo.py",
        old="    if whole:\n        taking.keep_whole(run)\n",
        new="",
        red="tests/unit/engine/test_undo.py::test_a_group_of_which_one_stays_is_left_whole",
    ),
)
