"""One record's story in words, as the terminal and Slack tell it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from bot.terminal.words import clipped, count, field_name, kind_name, moment, value

if TYPE_CHECKING:
    from worker.api.views import AgainView, FieldView, RecordView, StoryView, TrailView

FIELDS = 12
_DONE = {
    "create": "Made in {system}",
    "update": "Changed in {system}",
    "void": "Voided in {system}",
    "delete": "Deleted in {system}",
    "archive": "Archived in {system}",
    "send": "Sent from {system}",
    "unlink": "Unlinked",
    "refused": "Refused by {system}",
}
_CHOICES = {
    "value": "a value of their own",
    "same": "the same",
    "different": "not the same",
    "create": "make it",
    "not-needed": "not needed",
    "leave": "leave it",
    "archive": "make it inactive too",
    "reissue": "credit and re-issue it",
    "credit": "credit it",
}
_DECIDED = {
    "link.matched": "Linked with {other}",
    "document.matched": "Linked with {other}: it was there already",
    "link.moved": "Takes the place of {other}",
    "record.erased": "What Tieout kept of this person was erased",
    "bill.again": "To be billed again",
    "make.again": "To be made again",
}


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One entry: when, what happened, who did it and who agreed to that, and beneath it what changed and where it is
    on record."""

    when: str
    what: str
    by: str
    approved_by: str | None
    lines: tuple[str, ...]

    def who(self, name: Callable[[str], str]) -> str:
        """`by alice, approved by bob`, as people are called where it is told."""
        agreed = self.approved_by is not None and self.approved_by != self.by
        return f"by {name(self.by)}" + (f", approved by {name(self.approved_by or '')}" if agreed else "")


def headline(record: RecordView) -> str:
    """`Acme: customer c1 in HubSpot`, as people find it there."""
    where = f"{kind_name(record.kind)} {record.ref} in {record.system}"
    return where if record.title == record.ref else f"{record.title}: {where}"


def standing(story: StoryView) -> str | None:
    """How it came that it is not billed or made by itself any more; None: it is."""
    if story.settled is None:
        return None
    verb = "billed" if story.again == "bill" else "made"
    return f"Settled: {story.settled}. It is not {verb} again by itself."


def lifted(again: AgainView) -> str:
    """What a person lifted, and what comes of it."""
    first = "".join(f" {each}." for each in again.inactive)
    if again.verb == "make":
        return f"{kind_name(again.kind).capitalize()} {again.title} is to be made again (it was {again.was}).{first}"
    documents = "" if again.documents == 1 else f", {count(again.documents, 'document')}"
    line = f"Deal {again.title} is to be billed again{documents} (it was settled: {again.was})."
    return (f"{line} With it: {', '.join(again.along)}." if again.along else line) + first


def steps(story: StoryView) -> list[Step]:
    """The story, oldest first."""
    return [_step(entry, story) for entry in story.entries]


def _step(entry: TrailView, story: StoryView) -> Step:
    changed = _stood(entry.fields, story) if entry.action == "conflict.settled" else _changed(entry)
    return Step(
        when=moment(entry.at, story.time_zone),
        what=_what(entry, story),
        by=entry.actor,
        approved_by=entry.approved_by,
        lines=(*changed, *_reasons(entry, story), _on_record(entry, story)),
    )


def _what(entry: TrailView, story: StoryView) -> str:
    if entry.action == "conflict.settled":
        return _answered(entry, story)
    if entry.action in _DECIDED:
        return _DECIDED[entry.action].format(other=_named(entry.source, story))
    verb = entry.action.rpartition(".")[2]
    if verb in _DONE and entry.action.count(".") == 1 and entry.subject.count(":") >= 2:
        done = _DONE[verb].format(system=_system(entry.subject, story))
        number = entry.detail.get("number")
        return f"{done}: {_thing(entry.subject)}" + (f", number {number}" if number else "")
    return entry.action.replace(".", " ").capitalize()


def _answered(entry: TrailView, story: StoryView) -> str:
    choice = str(entry.detail.get("choice", ""))
    said = f"{story.titles[choice]}'s value" if choice in story.titles else _CHOICES.get(choice, choice)
    about = f" about the {field_name(entry.field.rpartition(':')[2])}" if entry.field and choice not in _CHOICES else ""
    other = f" as {_named(entry.source, story)}" if entry.source is not None and choice == "same" else ""
    return f"Question {entry.detail.get('conflict')}{about} answered: {said}{other}"


def _system(address: str, story: StoryView) -> str:
    return story.titles.get(address.partition(":")[0], "the vendor")


def _thing(address: str) -> str:
    _, kind, ref = address.split(":", 2)
    return f"{kind_name(kind)} {ref}"


def _named(address: str | None, story: StoryView) -> str:
    if address is None or address.count(":") < 2:
        return "another record"
    return f"{_thing(address)} in {_system(address, story)}"


def _changed(entry: TrailView) -> list[str]:
    """From what to what; of something new, what it says."""
    lines = []
    for field in entry.fields[:FIELDS]:
        before, after = (clipped(value(data), 120) for data in (field.before, field.after))
        was = "" if entry.action.endswith(".create") else f"{before} -> "
        lines.append(f"{field_name(field.path)}: {was}{after}")
    if len(entry.fields) > FIELDS:
        lines.append(f"and {count(len(entry.fields) - FIELDS, 'more field')}")
    return lines


def _stood(fields: Sequence[FieldView], story: StoryView) -> list[str]:
    """What a question showed on either side, and what was chosen."""
    shown = [f"{story.titles[f.path]}: {clipped(value(f.before), 120)}" for f in fields if f.path in story.titles]
    return shown + [f"Chosen: {clipped(value(f.after), 120)}" for f in fields if f.path == "value"]


def _reasons(entry: TrailView, story: StoryView) -> list[str]:
    lines = []
    if entry.erased:
        lines.append("The values were erased.")
    if entry.said is not None:
        who = f"{_system(entry.subject, story)} said" if entry.action.endswith(".refused") else "It was asked because"
        lines.append(f"{who}: {clipped(entry.said, 300)}")
    if entry.why is not None:
        lines.append(f"Why: {clipped(entry.why, 300)}")
    if entry.detail.get("how") is not None:
        lines.append(f"It was {entry.detail['how']}.")
    return lines


def _on_record(entry: TrailView, story: StoryView) -> str:
    """Where an auditor finds it: the entry, the run, and the vendor's own number for the call."""
    said = [f"entry {entry.seq}"]
    if entry.run is not None:
        said.append(f"run {entry.run}")
    if entry.request_id is not None:
        said.append(f"{_system(entry.subject, story)}'s request {entry.request_id}")
    return ", ".join(said)
