"""Answers to one person: help, status, history, the schedule, pairs."""

from __future__ import annotations

from collections.abc import Sequence

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
    escaped,
    people,
    person,
    plural,
    quiet,
    said,
    section,
    when,
)
from bot.blocks.plan import Look, over
from bot.blocks.run import NAMES
from bot.story import Step, headline, lifted, standing, steps
from worker.api.views import AgainView, HistoryView, PairView, ScheduleView, StatusView, StoryView

COMMANDS = (
    ("/tieout preview", "what would change, and why; nothing is written"),
    ("/tieout sync", "write what the mapping lets go alone, and preview the rest"),
    ("/tieout conflicts", "what needs a decision"),
    ("/tieout reconcile october", "does the money agree? A month, or the last one"),
    ("/tieout schedule sync every weekday at 9", "again and again; also digest, preview, reconcile"),
    ("/tieout schedule", "list, pause, resume, remove"),
    ("/tieout status", "how things stand"),
    ("/tieout history", "what was run, by whom, with what outcome"),
    ("/tieout undo last", "take a run back: a preview of the reverse, to be applied like any"),
    ("/tieout audit NAME", "one record's story: who or what changed it, when and why"),
    ("/tieout pair NAME", "this channel is for that pair (admins)"),
)


def help_(about: str = "") -> Say:
    """Everything there is; first what was not understood."""
    lines = [f"`{command}`  {what}" for command, what in COMMANDS]
    if about:
        text = f"{about} /tieout help lists everything."
        return said(text, [section(escaped(text))])
    return said(
        "What Tieout can do", [section("*Tieout keeps the CRM and the books tied out.*"), section("\n".join(lines))]
    )


def no_pair(pairs: Sequence[PairView]) -> Say:
    """A channel without a pair: how to get one."""
    if pairs:
        names = ", ".join(f"`/tieout pair {quiet(pair.name)}`" for pair in pairs[:10])
        text = f"This channel has no pair yet. An admin binds one with {names}."
    else:
        text = "There is no pair yet. Make one with `tieout pair MAPPING.yaml` in a terminal, then `/tieout pair NAME`."
    return said(text, [section(text)])


def bound(pair: PairView) -> Say:
    text = (
        f"This channel is for {quiet(pair.name)} now: {quiet(pair.crm.name)} ({pair.crm.title}) and "
        f"{quiet(pair.books.name)} ({pair.books.title}). Try `/tieout preview`."
    )
    return said(text, [section(text)])


def status(view: StatusView) -> Say:
    """Both sides, what waits, what comes next."""
    zone = view.pair.time_zone
    rows = []
    for side in view.sides.values():
        records = ", ".join(plural(n, kind.replace("_", " ")) for kind, n in sorted(side.records.items()))
        read = when(side.read_at, zone) if side.read_at is not None else "never"
        state = "" if side.state == "live" else " LOGIN NEEDED"
        rows.append([f"{side.title}{state}", f"{records or 'nothing'}; read {read}"])
    line = f"{view.pair.name}: {_standing(view)}"
    blocks: list[Json | None] = [section(f"*{quiet(view.pair.name)}*   {quiet(_standing(view))}"), code(columns(rows))]
    last = view.last_run
    if last is not None:
        blocks.append(context(f"Last: {_run_words(last.what, last.state)}, {when(last.created_at, zone)}"))
    blocks.append(
        context(f"Next: {when(view.next_due, zone)}" if view.next_due is not None else "Nothing is scheduled.")
    )
    blocks += [section(quiet(note)) for note in view.notes]
    return said(line, blocks)


def _standing(view: StatusView) -> str:
    words = [f"{plural(view.linked, 'customer')} linked"]
    if view.plan is not None:
        opened = plural(view.plan.changes, "change")
        words.append(f"{opened} in an open plan" if view.plan.state == "open" else over(view.plan).rstrip(".").lower())
    if view.conflicts:
        words.append(f"{view.conflicts} to decide")
    if view.waiting:
        words.append(f"{plural(view.waiting, 'record')} waiting")
    return ", ".join(words) + "."


def _run_words(what: str, state: str) -> str:
    return f"{NAMES.get(what, what).lower()} {state}"


def digest(view: StatusView) -> Say:
    """The morning's line in the channel."""
    found = status(view)
    return said(
        f"Digest, {found.text}",
        [section(f"*Digest*   {quiet(view.pair.name)}: {quiet(_standing(view))}"), *found.blocks[1:]],
    )


def history(found: Sequence[HistoryView], zone: str) -> Say:
    """The last runs."""
    if not found:
        return said("Nothing was run yet.", [section("Nothing was run yet. Try `/tieout preview`.")])
    lines = [_line(each, zone) for each in found]
    text = f"The last {plural(len(found), 'run')}"
    return said(text, [section(f"*{text}*"), section("\n".join(lines))])


def _line(each: HistoryView, zone: str) -> str:
    done = each.run.outcome.get("done", 0)
    result = plural(done, "change") if done else (each.run.error or each.run.state)
    asked = person(each.run.requested_by)
    said = f"{when(each.run.created_at, zone)}   *{each.run.what}*   {quiet(clipped(result, 80))}   by {asked}"
    return f"{said}   `{each.run.id}`" if done else said


STEPS = 20


def story(view: StoryView, look: Look) -> Say:
    """What is on record about one record; the newest steps, if there are many. What settled it can be lifted."""
    title = headline(view.record)
    told = steps(view)
    if not told:
        text = f"{title}: nothing is on record about it, it was only read."
        return said(text, [section(quiet(text)), *_settled(view, look)])
    blocks: list[Json | None] = [section(f"*{quiet(title)}*"), *_settled(view, look)]
    blocks += [_step(step) for step in told[-STEPS:]]
    if len(told) > STEPS:
        first = f"The last {STEPS} of {len(told)}; all of it: tieout audit record {view.record.address}"
        blocks.append(context(quiet(first)))
    sealed = look.buttons.seal(ids.EXPORT, look.pair.id, view.record.address)
    blocks.append(actions([button("Export CSV", ids.EXPORT, sealed)]))
    return said(f"{title}: {plural(len(told), 'entry')} on record", blocks)


def _settled(view: StoryView, look: Look) -> list[Json | None]:
    """How it came that it is not billed or made by itself any more, with the button that lifts it."""
    stands = standing(view)
    if stands is None:
        return []
    verb, word = (ids.BILL_AGAIN, "Bill again") if view.again == "bill" else (ids.MAKE_AGAIN, "Make again")
    sealed = look.buttons.seal(verb, look.pair.id, view.record.address)
    asked = f"{view.record.title}: the next preview shows it as new, with a number of its own where it is a document."
    return [section(quiet(stands)), actions([button(word, verb, sealed, confirm=(asked, word))])]


def again(view: AgainView, by: str) -> Say:
    """What somebody lifted."""
    text = f"{quiet(lifted(view))} Decided by {person(by)}. /tieout preview shows what comes of it."
    return said(text, [section(text)])


def _step(step: Step) -> Json:
    head = f"*{step.when}*   {quiet(step.what)}, {step.who(people)}"
    return section(clipped("\n".join([head, *(quiet(line) for line in step.lines)]), 2_900))


def schedules(found: Sequence[ScheduleView], look: Look) -> Say:
    """Each line with its buttons."""
    if not found:
        text = "Nothing is scheduled. Write `/tieout schedule sync every weekday at 9`."
        return said(text, [section(text)])
    blocks: list[Json | None] = [section(f"*Schedule*   times in {look.pair.time_zone}")]
    for line in found[:20]:
        due = "paused" if line.paused else f"next {when(line.next_due, line.time_zone)}" if line.next_due else ""
        blocks.append(section(f"{line.number}. *{line.what}* {quiet(line.words)}   _{due}_"))
        blocks.append(actions(_turns(line, look)))
    if len(found) > 20:
        blocks.append(context(f"{len(found) - 20} more."))
    return said(f"{plural(len(found), 'line')} in the schedule", blocks)


def _turns(line: ScheduleView, look: Look) -> list:  # type: ignore[type-arg]  # slack_sdk's element type is wide
    verb, word = (ids.RESUME, "Resume") if line.paused else (ids.PAUSE, "Pause")
    return [
        button(word, f"{verb}:{line.number}", look.buttons.seal(verb, look.pair.id, line.id)),
        button("Remove", f"{ids.REMOVE}:{line.number}", look.buttons.seal(ids.REMOVE, look.pair.id, line.id)),
    ]


def scheduled(line: ScheduleView, how: str) -> Say:
    """One line was set, paused, resumed or removed: said in the channel, since it concerns everybody."""
    due = f" Next: {when(line.next_due, line.time_zone)}." if line.next_due is not None and how != "removed" else ""
    text = f"Schedule {how}: {line.what} {line.words}.{due}"
    return said(text, [section(f"*Schedule {how}*   {line.what} {quiet(line.words)}.{due}")])


def plain(text: str) -> Say:
    """A sentence."""
    return said(text, [section(text)])
