"""`tieout demo`: its options, what it prints, and how it ends."""

from __future__ import annotations

import asyncio
import io
import logging
import time
import webbrowser
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import structlog
import typer

from bot.terminal.logs import set_up
from bot.terminal.screen import Exit, Failure
from bot.terminal.session import Session

if TYPE_CHECKING:
    from bot.demo.stage import Options, Outside, Stage

ZONE = "America/New_York"  # where the made-up company keeps its books
READ_ALONG = 20  # the last lines of the log that are shown when the story came to no end


def demo_command(outside: Callable[[], Outside]) -> Callable[..., None]:
    """The command over what the composition root brings."""

    def demo(
        ctx: typer.Context,
        once: Annotated[
            bool, typer.Option("--once", help="Play the main job without a browser, print it, and check it.")
        ] = False,
        data: Annotated[Path | None, typer.Option(help="Your own CSV export as the CRM.", metavar="DIR")] = None,
        mapping: Annotated[Path | None, typer.Option(help="What stands where in it.", metavar="FILE")] = None,
        port: Annotated[int, typer.Option(help="Where the Slack page is; 0 takes a free port.")] = 0,
        json: Annotated[Path | None, typer.Option(help="With --once: write the figures there.", metavar="FILE")] = None,
        data_folder: Annotated[
            Path | None, typer.Option(help="Keep database and log in this new folder.", metavar="DIR")
        ] = None,
        no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the browser.")] = False,
    ) -> None:
        """A made-up company on local sandboxes: see Tieout work in a Slack channel in the browser. Ctrl-C ends it."""
        from bot.demo.stage import Options

        session: Session = ctx.obj
        today = datetime.now(ZoneInfo(ZONE)).date()
        options = Options(today=today, once=once, data=data, mapping=mapping, port=port, data_folder=data_folder)
        if json is not None and not once:
            raise typer.BadParameter("--json FILE goes with --once")
        if json is not None and not json.absolute().parent.is_dir():
            raise typer.BadParameter(f"there is no folder {json.absolute().parent}")
        if once:
            session.run(lambda: _once(session, options, outside(), json))
        session.run(lambda: _open(session, options, outside(), open_page=not no_open))

    return demo


# --------------------------------------------------------------------------- once


class KeptLog(io.StringIO):
    """Everything that is logged, so that it can be searched for what must not be in it."""

    def listen(self) -> None:
        """Take over all logging of this process."""
        logging.basicConfig(stream=self, level=logging.DEBUG, format="%(name)s: %(message)s", force=True)
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.format_exc_info,
                structlog.dev.ConsoleRenderer(colors=False),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
            logger_factory=structlog.PrintLoggerFactory(self),
            cache_logger_on_first_use=False,
        )

    def last(self) -> list[str]:
        return self.getvalue().splitlines()[-READ_ALONG:]


async def _once(session: Session, options: Options, outside: Outside, json: Path | None) -> Exit:
    """Play the story; 1 if a promise broke."""
    import msgspec

    from bot.demo.conversation import Stuck
    from bot.demo.hands import NotTaken
    from bot.demo.stage import CannotStart, play_once, report
    from bot.demo.story import NothingToPlay

    started = time.monotonic()

    def seconds() -> float:
        return time.monotonic() - started

    log = KeptLog()
    log.listen()
    try:
        figures = await play_once(options, outside, session.screen.say, log.getvalue, seconds)
    except CannotStart as error:
        raise Failure(str(error), code=Exit.USAGE) from None
    except (Stuck, NothingToPlay, NotTaken) as error:
        raise Failure(f"The story came to no end: {error}", details=log.last()) from error
    if json is not None:
        await asyncio.to_thread(json.write_bytes, msgspec.json.format(msgspec.json.encode(figures)) + b"\n")
    for line in report(figures):
        session.screen.say(line)
    if not figures.kept:
        raise Failure(f"A promise broke: {', '.join(figures.broken)}", next_step="Report what was printed.")
    return Exit.DONE


# --------------------------------------------------------------------------- in the browser


async def _open(session: Session, options: Options, outside: Outside, *, open_page: bool) -> Exit:
    """Keep the stage up until Ctrl-C."""
    from bot.demo.stage import CannotStart, open_stage

    def ready(stage: Stage) -> None:
        for name, url in stage.pages.items():
            session.screen.say(f"{name:<11} {url}")
        if options.data is not None:
            session.screen.say(f"{'CSV export':<11} {stage.folder.parent / 'export'}")
        session.screen.say("Type /tieout preview in the Slack page. Ctrl-C ends it, and everything in it is gone.")
        if open_page:
            webbrowser.open(stage.pages["Slack"])

    set_up(verbose=session.verbose)
    session.screen.note("Setting up a company on this machine ...")
    try:
        await open_stage(options, outside, ready)
    except CannotStart as error:
        raise Failure(str(error), code=Exit.USAGE) from None
    except OSError as error:
        raise Failure(f"Port {options.port} cannot be served: {error.strerror}", next_step="Choose another.") from None
    except asyncio.CancelledError:
        session.screen.note("Ended.")
    return Exit.DONE
