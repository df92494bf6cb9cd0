"""What happens when processes die: every named point, every time it is come by, every shape of key; seconds until
another process goes on; and what the same deaths do to a loop without keys. Writes docs/reliability.md.

`python -m benchmarks reliability` runs all of it, with `--small` the first visits alone."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from queue import Empty, SimpleQueue

import msgspec

from benchmarks.faults import faults_tried
from benchmarks.figures import Figure, figure
from benchmarks.machine import ROOT, here
from benchmarks.webhooks import deliver_badly
from tests.crash import house
from tests.crash.baseline import naive
from tests.crash.databases import Dialect, postgres_server
from tests.crash.matrix import Matrix, Verdict, matrix
from tests.crash.parent import Visit
from tests.crash.saboteurs import SABOTEURS
from tests.crash.scenarios import SCENARIOS, USUAL
from tests.crash.trap import VENDOR_POINTS
from worker.crash import POINTS

FIRST = 1
PAGE = ROOT / "docs" / "reliability.md"


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """Which scenarios, how often each point kills (None: every time it is come by), whether all shapes of keys
    are tried, how often a real worker is killed, and whether what is left is applied until nothing is."""

    scenarios: tuple[str, ...] = tuple(SCENARIOS)
    most: int | None = None
    shapes: bool = True
    kills: int = 6
    deep: bool = True


FULL, SMALL = Size(), Size(scenarios=("preview",), most=1, shapes=False, kills=1, deep=False)


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """Verdicts of many visits, on a database."""

    database: Dialect
    verdicts: tuple[Verdict, ...]

    @property
    def died(self) -> int:
        return sum(bool(verdict.seen.reached) for verdict in self.verdicts)

    def red(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.wrong]


Row = tuple[str, str]


def _faults(size: Size) -> Sequence[Row]:
    """Everything that can go wrong between Tieout and a vendor while nobody dies. `python -m benchmarks.faults` tries
    it at later visits too, in half an hour."""
    tried = faults_tried()
    return [
        ("faults tried, one at a time, at every sort of call of every flow", f"{tried.faults:,}"),
        ("of these: ended otherwise than without the fault", f"{len(tried.wrong)}"),
        ("of these: duplicates, lost, echoes, unsettled",
         f"{tried.duplicates}, {tried.lost}, {tried.echoes}, {tried.unsettled}"),
    ]  # fmt: skip


def _webhooks(size: Size) -> Sequence[Row]:
    """A vendor that delivers twice, out of order, or not at all."""
    told = deliver_badly()
    return [
        ("webhook events delivered, of these twice, and dropped", f"{told.delivered}, {told.doubled}, {told.dropped}"),
        ("of these: duplicates, lost, echoes", f"{told.duplicates}, {told.lost}, {told.echoes}"),
    ]


# Rows of other kinds of trouble: each is called with the size and gives rows of the page.
BRINGS: tuple[Callable[[Size], Sequence[Row]], ...] = (_faults, _webhooks)


def measure(size: Size) -> list[Figure]:
    """Kill, compare, and write the page."""
    with tempfile.TemporaryDirectory() as named:
        folder = Path(named)
        tried = [_tried(folder / "sqlite", "sqlite", "", size)]
        with postgres_server() as url:
            tried.append(_tried(folder / "postgres", "postgresql", url, size))
        seen = _saboteurs_seen(folder / "saboteurs")
        outcomes = asyncio.run(_killed(folder, size.kills))
        loop = naive()
    rows = _rows(tried, seen, outcomes)
    if size.deep:
        for brings in BRINGS:
            rows += brings(size)
        PAGE.write_text(_page(rows, loop, tried))
    return _figures(tried, outcomes)


# --------------------------------------------------------------------------- visits


def _visits(made: Matrix, size: Size, database: Dialect) -> Iterator[Visit]:
    """Every way to die: at every visit for the usual shape of keys; for other shapes, on PostgreSQL and for jobs that
    are cancelled, at the first visit of each point."""
    for name in size.scenarios:
        scenario = SCENARIOS[name]
        wide = size.shapes and database == "sqlite"
        for shape in scenario.shapes if wide else (USUAL,):
            usual = shape == USUAL and database == "sqlite"
            most = size.most if usual and scenario.every_visit else FIRST
            yield from made.visits(name, shape, most=most, every=True, deep=size.deep)
            if usual:
                yield from made.visits(name, shape, how="cancel", most=FIRST, every=True, deep=size.deep)


def _tried(folder: Path, database: Dialect, postgres: str, size: Size) -> Tried:
    """All visits, by two parents at a time: one for each core."""
    todo: SimpleQueue[Visit] = SimpleQueue()
    done: SimpleQueue[Verdict] = SimpleQueue()
    with ExitStack() as open_:
        parents = [open_.enter_context(matrix(folder / str(n), postgres)) for n in range(2)]
        for visit in _visits(parents[0], size, database):
            todo.put(visit)
        workers = [threading.Thread(target=_work, args=(parent, todo, done)) for parent in parents]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    return Tried(database=database, verdicts=tuple(done.get() for _ in range(done.qsize())))


def _work(made: Matrix, todo: SimpleQueue[Visit], done: SimpleQueue[Verdict]) -> None:
    while True:
        try:
            visit = todo.get_nowait()
        except Empty:
            return
        done.put(made.verdict(visit))


def _saboteurs_seen(folder: Path) -> int:
    """How many of the deliberately broken mechanisms are found."""
    with matrix(folder) as made:
        found = 0
        for name, saboteur in SABOTEURS.items():
            visit = Visit(scenario=saboteur.scenario, shape=saboteur.shape, stops=saboteur.stops, saboteur=name)
            found += any(saboteur.shows in line for line in made.verdict(visit).wrong)
    return found


async def _killed(folder: Path, times: int) -> list[house.Outcome]:
    """A real worker process, killed in mid-apply so often; two at a time, for they mostly wait."""
    outcomes: list[house.Outcome] = []
    for start in range(0, times, 2):
        pair = [house.killed(folder / f"house{n}", visit=2 + n) for n in range(start, min(start + 2, times))]
        outcomes += await asyncio.gather(*pair)
    return outcomes


# --------------------------------------------------------------------------- figures


def _found(tried: Sequence[Tried]) -> Counter[str]:
    """What was wrong, by what it means: a record too many or too few in an account, a value that is another one."""
    found: Counter[str] = Counter(duplicates=0, lost=0, echoes=0, broken=0)
    for verdict in (verdict for each in tried for verdict in each.verdicts):
        ending = verdict.seen.ending
        if ending is None:
            found["unfinished"] += 1
            continue
        found["echoes"] += ending.echoes
        found["broken"] += ending.broken is not None
        in_accounts = [d for d in verdict.different if d.section.endswith(" account")]
        found["duplicates"] += max(0, sum(d.more for d in in_accounts))
        found["lost"] += sum(-d.more for d in in_accounts if d.more < 0)
        found["different"] += bool(verdict.wrong)
    return found


def _rows(tried: Sequence[Tried], seen: int, outcomes: Sequence[house.Outcome]) -> list[Row]:
    found = _found(tried)
    seconds = sorted(outcome.resumed_s for outcome in outcomes)
    right = sum((o.state, o.nets, o.left, o.broken) == ("done", house.wanted(), 0, None) for o in outcomes)
    rows = [
        ("named crash points", f"{len(POINTS)} in the code, {len(VENDOR_POINTS)} in the middle of a vendor's call"),
        ("scenarios", ", ".join(SCENARIOS)),
    ]
    rows += [(f"processes that died, {each.database}", f"{each.died:,}") for each in tried]
    rows += [
        ("runs that ended otherwise than the one in which nobody died", f"{found['different'] + found['unfinished']}"),
        ("duplicates", f"{found['duplicates']}"),
        ("lost records and edits", f"{found['lost']}"),
        ("echoes (writes after settling)", f"{found['echoes']}"),
        ("audit chains broken", f"{found['broken']}"),
        ("broken mechanisms that the matrix finds", f"{seen} of {len(SABOTEURS)}"),
        ("real workers killed in mid-apply and made good", f"{right} of {len(outcomes)}"),
        ("seconds until another process goes on", f"p50 {statistics.median(seconds):.1f}, max {seconds[-1]:.1f}"),
    ]
    return rows


def _figures(tried: Sequence[Tried], outcomes: Sequence[house.Outcome]) -> list[Figure]:
    found, seconds = _found(tried), sorted(outcome.resumed_s for outcome in outcomes)
    died = sum(each.died for each in tried)
    return [
        figure("crash points", len(POINTS) + len(VENDOR_POINTS), "points"),
        figure("processes that died", died, "deaths"),
        figure("ended otherwise", found["different"] + found["unfinished"], "runs", 0, f"of {died} deaths"),
        figure("duplicates", found["duplicates"], "records", 0, f"of {died} deaths"),
        figure("lost records and edits", found["lost"], "records", 0, f"of {died} deaths"),
        figure("echoes", found["echoes"], "writes", 0, "after settling"),
        figure("audit chains broken", found["broken"], "chains", 0),
        figure("resumed after SIGKILL, p50", statistics.median(seconds), "s", 20, f"{len(seconds)} kills"),
        figure("resumed after SIGKILL, max", seconds[-1], "s", 20, f"{len(seconds)} kills"),
    ]


# --------------------------------------------------------------------------- the page


_INTRODUCTION = """\
Written by `python -m benchmarks reliability` from its own run. Every process was ended by SIGKILL (or its job was
cancelled, as arq does when its time is up) at a named point between what is decided, committed, sent and answered;
another process then went on. Both accounts and the whole store are compared with the run in which nobody died.
"""


def _page(rows: Sequence[Row], loop: Sequence[Row], tried: Sequence[Tried]) -> str:
    setting = here()
    machine = setting.machine
    parts = [
        "# Reliability, measured\n",
        _INTRODUCTION,
        _table(("what", "figure"), rows),
        "\n## The same sandbox without Tieout\n",
        "A loop over the vendor's plain create, without keys, killed after each call and started again:\n",
        _table(("what", "figure"), loop),
        "\n## Points\n",
        _table(("point", "where", "deaths"), _by_point(tried)),
        f"\nMeasured on {machine.cpu}, {machine.cores} cores, {machine.memory_gb} GB; commit {setting.commit}.",
    ]
    red = [str(verdict) for each in tried for verdict in each.red()]
    if red:
        parts += ["\n## What ended otherwise\n", *(f"- {line[:600]}" for line in red)]
    return "\n".join(parts) + "\n"


def _by_point(tried: Sequence[Tried]) -> list[tuple[str, str, str]]:
    died = Counter(v.visit.stops[-1].point for each in tried for v in each.verdicts if v.seen.reached)
    return [(name, where, f"{died[name]:,}") for name, where in {**POINTS, **VENDOR_POINTS}.items()]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
