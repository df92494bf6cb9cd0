"""`tieout check`: what is configured, reachable and missing, and what to do about each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from bot.terminal.doors import Doors, Machine
from bot.terminal.screen import Exit
from bot.terminal.tables import table
from bot.terminal.words import count

if TYPE_CHECKING:
    from worker.api import Api
    from worker.api.views import ConnectionView

State = Literal["ok", "missing", "wrong", "away", "waits"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at. `wrong` has to be mended, `missing` to be set up, `away` cannot be reached, `waits` needs
    somebody's answer."""

    what: str
    state: State
    said: str
    do: str | None = None


async def examine(doors: Doors) -> list[Finding]:
    """Look at this machine first; connections and pairs only if what they stand on is sound."""
    machine = await doors.machine()
    found = [*machine_findings(machine), slack_finding(doors.slack_missing())]
    if machine.revision is None or any(finding.state == "wrong" for finding in found):
        return found
    async with doors.house(work=False) as api:
        for connection in await api.connections():
            found.append(await _login(doors, api, connection))
        if not await api.connections():
            found.append(_missing("connections", "no account is connected", "tieout connect SYSTEM"))
        for pair in await api.pairs():
            questions, waiting = len(await api.conflicts(pair.id)), len(await api.waiting(pair.id))
            found.append(pair_finding(pair.name, pair.mapping_version, questions, waiting))
        if not await api.pairs():
            found.append(_missing("pairs", "nothing is paired", "tieout pair MAPPING.yaml"))
    return found


def machine_findings(machine: Machine) -> list[Finding]:
    """Data folder, database, Redis, key. Pure."""
    return [_folder(machine), _database(machine), _redis(machine), _key(machine)]


def slack_finding(missing: list[str]) -> Finding:
    """Whether the bot could run in Slack. Pure."""
    if not missing:
        return Finding(what="Slack", state="ok", said="set up; tieout run starts the bot")
    names = ", ".join(said.partition(" ")[0].rstrip(":") for said in missing)
    return Finding(what="Slack", state="ok", said=f"not set up; tieout run, and only that, needs {names}")


def _folder(machine: Machine) -> Finding:
    if not machine.data_exists:
        return _missing(
            "data folder", f"{machine.data} is not there yet", "Nothing: the first tieout connect makes it."
        )
    if not machine.data_writable:
        return Finding(
            what="data folder", state="wrong", said=f"{machine.data} cannot be written",
            do="Give yourself the right to write there, or name another folder with --data.",
        )  # fmt: skip
    served = ", in use by a running Tieout" if machine.served else ""
    return Finding(what="data folder", state="ok", said=f"{machine.data}{served}")


def _database(machine: Machine) -> Finding:
    if machine.database_error is not None:
        return Finding(
            what="database", state="wrong", said=f"{machine.database}: {machine.database_error}",
            do="Start the database, or correct TIEOUT_DATABASE_URL.",
        )  # fmt: skip
    if machine.revision is None:
        return _missing("database", f"{machine.database} is empty", "Nothing: the first tieout connect makes it.")
    if machine.revision != machine.newest:
        said = f"{machine.database} is at revision {machine.revision}, this Tieout knows {machine.newest}"
        is_newer = machine.newest is not None and machine.revision > machine.newest
        do = "Upgrade Tieout: this database was made by a newer one." if is_newer else "tieout db upgrade"
        return Finding(what="database", state="wrong", said=said, do=do)
    return Finding(what="database", state="ok", said=f"{machine.database}, revision {machine.revision}")


def _redis(machine: Machine) -> Finding:
    if machine.redis_reachable:
        return Finding(what="Redis", state="ok", said=machine.redis)
    return Finding(
        what="Redis", state="wrong", said=machine.redis,
        do="Start it or correct TIEOUT_REDIS_URL; without one, install redis-server.",
    )  # fmt: skip


def _key(machine: Machine) -> Finding:
    if machine.key_problem is not None:
        return Finding(what="key", state="wrong", said=machine.key_problem, do=f"chmod 600 {machine.key}")
    return Finding(what="key", state="ok", said=machine.key)


def _missing(what: str, said: str, do: str) -> Finding:
    return Finding(what=what, state="missing", said=said, do=do)


async def _login(doors: Doors, api: Api, connection: ConnectionView) -> Finding:
    """Whether a connection's login is good, by reading how the account is set up."""
    what = f"{connection.title} {connection.account}"
    try:
        await doors.log_in(api, connection.id)
    except Exception as error:  # a failed login is what is being looked for, not a failure of the check
        failure = doors.explain(error)
        if failure is None:
            raise
        if failure.code is Exit.LATER:
            return Finding(what=what, state="away", said=failure.message, do="Wait, or see whether it is running.")
        return Finding(what=what, state="wrong", said=failure.message, do=failure.next_step)
    return Finding(what=what, state="ok", said=f"{connection.name}, logged in")


def pair_finding(name: str, version: int, questions: int, waiting: int) -> Finding:
    """A pair, and what it waits for. Pure."""
    what, said = f"pair {name}", f"mapping version {version}"
    if questions:
        said += f", {count(questions, 'question')} open"
    if waiting:
        said += f", {count(waiting, 'record')} held back"
    if not questions and not waiting:
        return Finding(what=what, state="ok", said=said)
    return Finding(what=what, state="waits", said=said, do="tieout conflicts" if questions else "tieout waiting")


_MARKS = {"ok": "ok", "missing": "to do", "wrong": "WRONG", "away": "AWAY", "waits": "waits"}


def text(found: Sequence[Finding]) -> str:
    """A line for each finding, and under it what to do."""
    rows = []
    for finding in found:
        rows.append([_MARKS[finding.state], finding.what, finding.said])
        if finding.do is not None:
            rows.append(["", "", f"-> {finding.do}"])
    return f"{headline(found)}\n\n{table(rows)}"


def headline(found: Sequence[Finding]) -> str:
    """The worst of it in one line."""
    states = [finding.state for finding in found]
    if "wrong" in states:
        return f"{count(states.count('wrong'), 'thing')} to mend."
    if "away" in states:
        return f"{count(states.count('away'), 'account')} cannot be reached."
    if "missing" in states:
        return f"Nothing is wrong; {count(states.count('missing'), 'thing')} still to set up."
    return "Nothing is wrong; somebody is waited for." if "waits" in states else "All is well."


def exit_code(found: Sequence[Finding]) -> Exit:
    """What a script goes by: the worst finding. What is still to set up is no failure."""
    states = {finding.state for finding in found}
    codes = {"wrong": Exit.FAILED, "away": Exit.LATER, "waits": Exit.PERSON}
    return next((code for state, code in codes.items() if state in states), Exit.DONE)
