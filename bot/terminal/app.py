"""The `tieout` command: its options, its commands, and where they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from bot.terminal import accounts, answers, reading, runs, slack, trail, upkeep
from bot.terminal.screen import EXIT_CODES, Screen
from bot.terminal.session import Session

if TYPE_CHECKING:
    from bot.terminal.doors import Doors

_FLAGS = ("--json", "--verbose")
_WITH_VALUE = ("--data", "--pair")
_OWN = ("demo",)  # its --data is an export, its --json a file
EVERYWHERE = "Everywhere: --json, --data DIR, --pair NAME, --verbose."
HELP = f"""Keeps a CRM and the books tied out: preview what would change, apply it, settle what needs a person, and
prove a month.

{EXIT_CODES}

{EVERYWHERE} With --json, standard output holds one JSON document and nothing else."""


def command_of(words: list[str]) -> str | None:
    """The first word that is neither an option nor an option's value."""
    found = iter(words)
    for word in found:
        if word in _WITH_VALUE:
            next(found, None)
        elif not word.startswith("-"):
            return word
    return None


def hoisted(words: list[str]) -> list[str]:
    """The words of a command line with the options that hold for every command put first, wherever they stood.
    What comes after `--` stays, and all of a command that means something else by them."""
    if command_of(words) in _OWN:
        return words
    end = words.index("--") if "--" in words else len(words)
    first: list[str] = []
    rest: list[str] = []
    found = iter(words[:end])
    for word in found:
        if word in _FLAGS or word.startswith(tuple(f"{name}=" for name in _WITH_VALUE)):
            first.append(word)
        elif word in _WITH_VALUE:
            first += [word, *[value for value in (next(found, None),) if value is not None]]
        else:
            rest.append(word)
    return [*first, *rest, *words[end:]]


class Everywhere(TyperGroup):
    """A group whose own options may stand after the command too: `tieout preview --json`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, hoisted(args))


def build(doors: Doors) -> typer.Typer:
    """The whole command over these doors."""
    app = typer.Typer(
        cls=Everywhere,
        help=HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        rich_markup_mode=None,
    )

    @app.callback()
    def begin(
        ctx: typer.Context,
        data: Annotated[
            Path | None, typer.Option(help="The data folder (TIEOUT_DATA; .tieout).", metavar="DIR")
        ] = None,
        pair: Annotated[str | None, typer.Option(help="Which pair, if there are several.", metavar="NAME")] = None,
        json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
        verbose: Annotated[bool, typer.Option("--verbose", help="Say what happens, on standard error.")] = False,
    ) -> None:
        if data is not None:
            os.environ["TIEOUT_DATA"] = str(data)
        if verbose:
            os.environ["TIEOUT_VERBOSE"] = "1"
        ctx.obj = Session(doors, Screen.of_this_process(as_json=json), pair=pair, verbose=verbose)

    for command in (
        accounts.connect, accounts.connections, accounts.pair, runs.preview, runs.sync, answers.waiting,
        answers.reconcile, reading.verify, runs.history, runs.undo, answers.bill_again, answers.make_again,
        upkeep.check, upkeep.sandbox, slack.run, slack.bot, upkeep.worker,
    ):  # fmt: skip
        app.command(epilog=EVERYWHERE)(command)
    app.add_typer(answers.conflicts, name="conflicts")
    app.add_typer(reading.webhooks, name="webhooks")
    app.add_typer(upkeep.db, name="db")
    app.add_typer(upkeep.keys, name="keys")
    app.add_typer(trail.audit, name="audit")
    begin.__doc__ = HELP
    return app
