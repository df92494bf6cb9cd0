"""A run on its way, waiting, or failed; and what is said when there was nothing to do."""

from __future__ import annotations

from bot import ids
from bot.blocks.parts import Say, actions, button, context, plural, quiet, said, section, when
from bot.blocks.plan import Look
from worker.api.views import ProgressView, RunView, StatusView

BAR = 12
NAMES = {
    "preview": "Preview",
    "sync": "Sync",
    "apply": "Apply",
    "reconcile": "Reconciliation",
    "settle": "Decision",
    "undo": "Undo",
    "hear": "Webhook",
    "poll": "Poll",
    "verify": "Verification",
}


def bar(done: int, total: int) -> str:
    """`########----`"""
    full = min(BAR, BAR * done // total) if total > 0 else 0
    return "#" * full + "-" * (BAR - full)


def how_far(progress: ProgressView | None) -> str:
    if progress is None or not progress.step:
        return "Starting"
    if progress.total > 0:
        return f"{progress.step} {bar(progress.done, progress.total)} {progress.done:,} of {progress.total:,}"
    return f"{progress.step}, {plural(progress.done, 'record')} so far" if progress.done else progress.step


def progress(run: RunView, look: Look) -> Say:
    """Step and a bar, edited in place."""
    words = f"{NAMES.get(run.what, run.what)}: {how_far(run.progress)}"
    pair = look.pair
    names = f"{quiet(pair.crm.name)} ({pair.crm.title}) and {quiet(pair.books.name)} ({pair.books.title})"
    return said(words, [section(f"*{NAMES.get(run.what, run.what)}*   `{how_far(run.progress)}`"), context(names)])


def waits(run: RunView) -> Say:
    """A run that can do nothing for now, and goes on by itself."""
    why = run.error or "it waits for its turn"
    words = f"{NAMES.get(run.what, run.what)} waits: {why}."
    return said(words, [section(f"*{NAMES.get(run.what, run.what)} waits*   {quiet(why)}. It goes on by itself.")])


def failed(run: RunView, look: Look) -> Say:
    """What happened, and what to do next."""
    name = NAMES.get(run.what, run.what)
    line = f"{name} stopped: {run.error or 'the reason is in the log'}"
    parts = [section(f"*{name} stopped*   {quiet(run.error or 'The reason is in the log.')}")]
    if run.next_step is not None:
        parts.append(section(f"*Next*: {quiet(run.next_step)}"))
    parts.append(context(f"Nothing half done is lost: what was written is on record. Run {run.id}"))
    again = actions([button("Try again", ids.AGAIN, look.buttons.seal(ids.AGAIN, look.pair.id, run.id))])
    return said(line, [*parts, again if run.what in ("preview", "sync", "reconcile") else None])


def in_step(status: StatusView) -> Say:
    """Nothing to do: only to who asked."""
    crm, books = status.sides["crm"], status.sides["books"]
    compared = [
        plural(number, kind.replace("_", " "))
        for kind in ("customer", "deal", "invoice", "payment")
        if (number := max(crm.records.get(kind, 0), books.records.get(kind, 0)))
    ]
    last = max((at for at in (crm.read_at, books.read_at) if at is not None), default=None)
    when_read = f"; last change seen {when(last, status.pair.time_zone)}" if last is not None else ""
    words = f"In step. {', '.join(compared)} compared{when_read}."
    return said(words, [section(quiet(words))])
