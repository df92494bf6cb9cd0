"""What needs a person: the message above, a card for each conflict, the modal to type a value in."""

from __future__ import annotations

from typing import Any

import msgspec
from slack_sdk.models.blocks import InputBlock, InteractiveElement, PlainTextInputElement
from slack_sdk.models.views import View

from bot import ids
from bot.blocks.parts import (
    Json,
    Say,
    actions,
    button,
    clipped,
    code,
    columns,
    context,
    overflow,
    person,
    plural,
    quiet,
    said,
    section,
    shown,
    when,
)
from bot.blocks.plan import Look
from bot.gate import mentions
from worker.api import field_name
from worker.api.views import ConflictView, RunView

LISTED = 4  # cards in an answer to one person


def title(conflict: ConflictView) -> str:
    """`Betatech, billing e-mail`: the field as people call it."""
    end = f", {conflict.field}"
    if not conflict.field or not conflict.title.endswith(end):
        return conflict.title
    return f"{conflict.title.removesuffix(end)}, {field_name(conflict.field)}"


def needs(open_now: int, look: Look) -> Say:
    """One message a pair: how many, and who can act."""
    if open_now == 0:
        return said("Nothing needs you.", [section("*Nothing needs you.* What was decided is in the thread.")])
    allowed = look.gate.who("settle")
    who = f" {mentions(allowed)} can settle them." if allowed else " Nobody may settle them yet: set TIEOUT_APPROVERS."
    line = _open(open_now)
    return said(
        line, [section(f"*{line}*{who}"), context("A card for each is in the thread, or see /tieout conflicts.")]
    )


def _open(number: int) -> str:
    return f"{plural(number, 'question')} {'needs' if number == 1 else 'need'} a decision."


def card(conflict: ConflictView, look: Look, *, note: str = "", run: RunView | None = None) -> Say:
    """An open conflict with its buttons, or how it ended."""
    if conflict.state != "open":
        return _over(conflict, look, run)
    line = f"{title(conflict)}: {conflict.reason}"
    blocks = [
        section(f"*{quiet(title(conflict))}*: {quiet(conflict.reason)}"),
        _values(conflict),
        _choices(conflict, look),
    ]
    return said(line, [*blocks, _about_all(conflict), context(note) if note else None])


def _about_all(conflict: ConflictView) -> Json | None:
    """What an answer to a question about many records does; what to do about something half done."""
    if conflict.what == "half":
        return context(
            f"Tieout could not take it back by itself. Put it right in {conflict.books_title} by hand, so that one of "
            "the two stands, then say so here."
        )
    if conflict.what != "everywhere":
        return None
    some = f"{len(conflict.candidates)} of {conflict.records:,} are shown. " if _are_some(conflict) else ""
    return context(f"{some}Nothing is written before you have seen it in a preview.")


def _are_some(conflict: ConflictView) -> bool:
    return len(conflict.candidates) < conflict.records


def _values(conflict: ConflictView) -> Json | None:
    if conflict.what == "everywhere":
        each = [[clipped(v, 40) for v in (c.title, shown(c.crm), shown(c.books))] for c in conflict.candidates]
        return code(columns(each, head=("", conflict.crm_title, conflict.books_title)))
    if conflict.what != "field":
        listed = [f"{c.title}  {_score(c.score)}{', '.join(c.reasons)}".strip() for c in conflict.candidates[:5]]
        return code("\n".join(clipped(each, 200) for each in listed)) if listed else None
    rows = [
        [conflict.crm_title, clipped(shown(conflict.crm), 400)],
        [conflict.books_title, clipped(shown(conflict.books), 400)],
    ]
    base = conflict.base
    if isinstance(base, dict):
        rows.append(["agreed then", clipped(shown(base.get("crm")), 400)])
    return code(columns(rows))


def _score(score: int | None) -> str:
    return f"{score}% alike: " if score is not None else ""


def _choices(conflict: ConflictView, look: Look) -> Json | None:
    known = {
        "field": _field, "everywhere": _everywhere, "match": _match, "create": _create, "document": _document,
        "half": _half, "removed": _removed,
    }  # fmt: skip
    return actions(known.get(conflict.what, _leave)(conflict, look))


def _value(conflict: ConflictView, look: Look, verb: str, more: str = "") -> str:
    detail = f"{conflict.number}:{conflict.fingerprint}:{more}"
    return look.buttons.seal(verb, conflict.pair_id, detail)


def meant(detail: str) -> tuple[int, str, str]:
    """A card's button: the conflict's number, the question as it was shown, and the ref of a candidate or nothing."""
    number, shown, ref = detail.split(":", 2)
    return int(number), shown, ref


def _field(conflict: ConflictView, look: Look) -> list[InteractiveElement]:
    def value(verb: str) -> str:
        return _value(conflict, look, verb)

    found = [
        button(f"Keep {conflict.crm_title}", ids.KEEP_CRM, value(ids.KEEP_CRM)),
        button(f"Keep {conflict.books_title}", ids.KEEP_BOOKS, value(ids.KEEP_BOOKS)),
    ]
    if "value" in conflict.choices:
        found.append(button("Edit...", ids.EDIT, value(ids.EDIT)))
    found.append(button("Later", ids.LATER, value(ids.LATER)))
    return [*found, *_always(conflict, look)]


def _everywhere(conflict: ConflictView, look: Look) -> list[InteractiveElement]:
    kept = [
        button(f"Keep {name} everywhere", verb, _value(conflict, look, verb))
        for name, verb in ((conflict.crm_title, ids.KEEP_CRM), (conflict.books_title, ids.KEEP_BOOKS))
    ]
    return [
        *kept,
        button("One by one", ids.ONE_BY_ONE, _value(conflict, look, ids.ONE_BY_ONE)),
        button("Later", ids.LATER, _value(conflict, look, ids.LATER)),
        *_always(conflict, look),
    ]


def _always(conflict: ConflictView, look: Look) -> list[InteractiveElement]:
    """A rule for this field from now on, where one may be made."""
    if not conflict.may_prefer:
        return []
    always = [
        (f"Always prefer {name} for {field_name(conflict.field)}", _value(conflict, look, verb))
        for name, verb in ((conflict.crm_title, ids.PREFER_CRM), (conflict.books_title, ids.PREFER_BOOKS))
    ]
    return [overflow(ids.MORE, always)]


def _match(conflict: ConflictView, look: Look) -> list[InteractiveElement]:
    found = [
        button(f"Same as {c.title}", f"{ids.SAME}:{n}", _value(conflict, look, ids.SAME, c.ref))
        for n, c in enumerate(conflict.candidates[:3])
    ]
    return [
        *found,
        button("Different", ids.DIFFERENT, _value(conflict, look, ids.DIFFERENT)),
        button("Later", ids.LATER, _value(conflict, look, ids.LATER)),
    ]


def _create(conflict: ConflictView, look: Look) -> list[InteractiveElement]:
    return [
        button("Create", ids.CREATE, _value(conflict, look, ids.CREATE)),
        button("Not needed", ids.NOT_NEEDED, _value(conflict, look, ids.NOT_NEEDED)),
        button("Later", ids.LATER, _value(conflict, look, ids.LATER)),
    ]


def _document(conflict: ConflictView, look: Look) -> list[InteractiveElement]:
    """A posted document is never edited: it is credited, with another in its place or not, or left."""
    books, again = conflict.books_title, "Credit and re-issue"
    first = "first; nothing is written before Apply."
    both = f"{books} gets a credit note for all of the old invoice and a new invoice for what the deal says now."
    alone = f"{books} gets a credit note for all of it, and the deal is not billed again."
    asked = {
        "reissue": (f"{again}...", ids.REISSUE, f"{both} A preview shows both {first}", again),
        "credit": ("Credit...", ids.CREDIT, f"{alone} A preview shows it {first}", "Credit"),
    }
    found = [
        button(text, verb, _value(conflict, look, verb), confirm=(what, yes))
        for choice, (text, verb, what, yes) in asked.items()
        if choice in conflict.choices
    ]
    return [*found, *_leave(conflict, look)]


def _half(conflict: ConflictView, look: Look) -> list[InteractiveElement]:
    return [
        button("It is put right", ids.LEAVE, _value(conflict, look, ids.LEAVE)),
        button("Later", ids.LATER, _value(conflict, look, ids.LATER)),
    ]


def _removed(conflict: ConflictView, look: Look) -> list[InteractiveElement]:
    what = "What is still there becomes inactive. Nothing is deleted, and it can be made active there again."
    too = button("Make inactive too", ids.ARCHIVE, _value(conflict, look, ids.ARCHIVE), confirm=(what, "Make inactive"))
    return [too, *_leave(conflict, look)]


def _leave(conflict: ConflictView, look: Look) -> list[InteractiveElement]:
    return [
        button("Leave as it is", ids.LEAVE, _value(conflict, look, ids.LEAVE)),
        button("Later", ids.LATER, _value(conflict, look, ids.LATER)),
    ]


# --------------------------------------------------------------------------- afterwards


def _over(conflict: ConflictView, look: Look, run: RunView | None) -> Say:
    if conflict.state == "obsolete":
        line = f"{quiet(title(conflict))}: it settled itself; nothing is to be decided any more."
        return said(line, [section(line)])
    at = when(conflict.decided_at, look.pair.time_zone) if conflict.decided_at is not None else ""
    by = person(conflict.decided_by or "somebody")
    line = f"{quiet(title(conflict))}: {_decided(conflict)} by {by}, {at}. {_written(conflict, run)}".rstrip()
    return said(line, [section(line)])


def _decided(conflict: ConflictView) -> str:
    if conflict.what == "everywhere":
        kept = {"crm": conflict.crm_title, "books": conflict.books_title}.get(conflict.decision or "")
        return f"{kept} kept everywhere" if kept is not None else "to be looked at one by one, said"
    match conflict.decision:
        case "crm":
            return f"{conflict.crm_title}'s {quiet(clipped(shown(conflict.crm), 200))} kept"
        case "books":
            return f"{conflict.books_title}'s {quiet(clipped(shown(conflict.books), 200))} kept"
        case "value":
            return "a value of their own set"
        case "same":
            return "said to be the same"
        case "different":
            return "said to be different"
        case "create":
            return "to be made on the other side, said"
        case "reissue":
            return "to be credited and re-issued, said"
        case "credit":
            return "to be credited, said"
        case "archive":
            return "to be made inactive too, said"
        case _:
            return "left as it is" if conflict.what != "half" else "put right, said"


def _written(conflict: ConflictView, run: RunView | None) -> str:
    if conflict.what == "everywhere":
        one_by_one = conflict.decision not in ("crm", "books")
        return "A card for each follows in the thread." if one_by_one else "The next preview shows what that changes."
    if conflict.decision in ("reissue", "credit"):
        return "The next preview shows it; nothing is written before Apply."
    if conflict.lost_at is not None and conflict.decision in ("crm", "books") and conflict.decision != conflict.lost_at:
        return "It stands on both sides."
    sides = {"crm": conflict.crm_title, "books": conflict.books_title}
    to = {"crm": sides["books"], "books": sides["crm"], "value": "both sides"}.get(
        conflict.decision or "", "the other side"
    )
    if conflict.lost_at is not None and conflict.decision == conflict.lost_at:
        to = sides[conflict.lost_at]
    if run is None:
        return "It is being written." if conflict.decision in ("crm", "books", "value", "create") else ""
    if run.outcome.get("done"):
        return f"Written to {to}."
    if run.state == "failed":
        return f"It could not be written: {quiet(run.error or '')} It stays decided, and comes with the next preview."
    if run.state == "waiting":
        return f"Writing waits: {quiet(run.error or '')}."
    if run.outcome.get("rejected"):
        return f"Refused when it was written to {to}: /tieout preview says why."
    return "It comes with the next preview." if conflict.decision in ("crm", "books", "value", "create") else ""


def listed(conflicts: list[ConflictView], look: Look) -> Say:
    """The answer to /tieout conflicts: the first cards, with their buttons."""
    if not conflicts:
        return said("Nothing needs you.", [section("*Nothing needs you.* Both sides agree, or a rule decides.")])
    line = _open(len(conflicts))
    blocks: list[Json | None] = [section(f"*{line}*")]
    for number, conflict in enumerate(conflicts[:LISTED]):
        blocks += [_apart(block, number) for block in card(conflict, look).blocks]
    if len(conflicts) > LISTED:
        names = ", ".join(quiet(clipped(title(c), 40)) for c in conflicts[LISTED : LISTED + 10])
        blocks.append(context(f"{len(conflicts) - LISTED} more: {names}. Their cards come as these are settled."))
    return said(line, blocks)


def _apart(block: Json, number: int) -> Json:
    """Action ids of several cards in one message must differ."""
    if block["type"] != "actions":
        return block
    apart = [{**each, "action_id": f"{ids.verb_of(each['action_id'])}:{number * 10 + n}"}
             for n, each in enumerate(block["elements"])]  # fmt: skip
    return {**block, "elements": apart}


# --------------------------------------------------------------------------- Edit...


def edit_modal(conflict: ConflictView, token: str) -> Json:
    """A value of one's own; `token` is the sealed button, which the answer carries back."""
    if conflict.typed_as == "address":
        inputs = _address_inputs(conflict.crm if isinstance(conflict.crm, dict) else {})
    else:
        current = conflict.crm if conflict.crm is not None else conflict.books
        inputs = [
            _input(
                ids.TYPED,
                field_name(conflict.field).capitalize() or "Value",
                shown(current) if current is not None else "",
            )
        ]
    titles = f"{conflict.crm_title}: {shown(conflict.crm)}\n{conflict.books_title}: {shown(conflict.books)}"
    intro = (
        f"*{quiet(clipped(title(conflict), 200))}*\n{quiet(clipped(titles, 1500))}\nWhat you type is written to both."
    )
    view = View(
        type="modal",
        callback_id=ids.EDIT_VIEW,
        private_metadata=token,
        title="Edit the value",
        submit="Write to both",
        close="Cancel",
        blocks=[section(intro), *inputs],
    )
    found: Json = view.to_dict()
    return found


def _address_inputs(current: dict[str, Any]) -> list[Json]:
    labels = {"lines": "Street, one line each", "city": "City", "region": "Region or state", "postcode": "Postcode",
              "country": "Country, two letters"}  # fmt: skip
    found = []
    for name in ids.ADDRESS_PARTS:
        value = "\n".join(current.get("lines", ())) if name == "lines" else str(current.get(name) or "")
        found.append(_input(name, labels[name], value, multiline=name == "lines"))
    return found


def _input(name: str, label: str, value: str, *, multiline: bool = False) -> Json:
    element = PlainTextInputElement(action_id=name, initial_value=value[:3000] or None, multiline=multiline)
    found: Json = InputBlock(block_id=name, label=clipped(label, 100), element=element, optional=True).to_dict()
    return found


def typed_text(values: dict[str, Any]) -> str:
    """What the modal's answer comes to, as the worker reads it: a text, or an address as JSON."""

    def text(name: str) -> str:
        return str((values.get(name, {}).get(name, {}) or {}).get("value") or "").strip()

    if ids.TYPED in values:
        return text(ids.TYPED)
    parts: dict[str, Any] = {name: text(name) for name in ids.ADDRESS_PARTS if name != "lines" and text(name)}
    lines = [line.strip() for line in text("lines").splitlines() if line.strip()]
    return msgspec.json.encode({"lines": lines, **parts}).decode() if parts or lines else ""
