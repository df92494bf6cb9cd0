"""How far a run is, on the error stream. A terminal gets a bar; a file a line when the work waits."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, TextIO, TypeAlias

if TYPE_CHECKING:
    from worker.api.views import RunView

Tell: TypeAlias = "Callable[[RunView], Awaitable[None]]"
_FIRST = {"apply": "Applying"} | dict.fromkeys(("preview", "sync", "undo"), "Reading both sides")


@contextlib.asynccontextmanager
async def bar(stream: TextIO) -> AsyncIterator[Tell]:
    """`Applying ######---- 9 of 14`; it goes away at the end, as the outcome is said in words."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(file=stream)
    said: list[str] = []
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), TextColumn("{task.fields[at]}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Waiting for a worker", total=None, at="")

        async def tell(run: RunView) -> None:
            step, done, total = where(run)
            if not console.is_terminal and run.state == "waiting" and step not in said:
                said.append(step)
                stream.write(f"{step}\n")
                stream.flush()
            progress.update(task, description=step, completed=done, total=total, at=at(done, total))

        yield tell


def where(run: RunView) -> tuple[str, int, int | None]:
    """The step, how many are done, and of how many (None: nobody knows yet)."""
    if run.state == "waiting":
        return f"Waiting: {run.error or 'the other side is busy'}", 0, None
    if run.progress is None:
        return _FIRST.get(run.what, run.what), 0, None
    return run.progress.step, run.progress.done, run.progress.total if run.progress.total > 0 else None


def at(done: int, total: int | None) -> str:
    """`9 of 14`, or how many so far."""
    if total is not None:
        return f"{done:,} of {total:,}"
    return f"{done:,}" if done else ""
