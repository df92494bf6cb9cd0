"""Visits to every point, compared with the run in which nobody died."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.crash.ending import Difference, Ending, differences
from tests.crash.parent import Seen, Visit
from tests.crash.scenarios import SCENARIOS, USUAL
from tests.crash.trap import How, Stop

ROOT = Path(__file__).resolve().parents[2]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A visit and what was wrong with it: nothing, as it should be."""

    visit: Visit
    seen: Seen
    wrong: tuple[str, ...]
    different: tuple[Difference, ...] = ()

    def __str__(self) -> str:
        where = ", then ".join(str(stop) for stop in self.visit.stops)
        return f"{self.visit.scenario} ({self.visit.shape}), {where}: " + "; ".join(self.wrong)


class Matrix:
    """A parent process and the runs without a death that its visits are compared with."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._references: dict[tuple[str, str, bool], Seen] = {}

    def visit(self, visit: Visit) -> Seen:
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the parent has no pipes")
        self._process.stdin.write(msgspec.json.encode(visit) + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the parent of the crash tests ended: {self._process.wait()}")
        return msgspec.json.decode(answer, type=Seen)

    def reference(self, scenario: str, shape: str = USUAL, *, deep: bool = False) -> Seen:
        """The scenario in which nobody dies. Raises RuntimeError if that fails already."""
        key = (scenario, shape, deep)
        if key not in self._references:
            self._references[key] = self.visit(Visit(scenario=scenario, shape=shape, deep=deep))
        seen = self._references[key]
        if seen.ending is None or seen.ending.broken is not None:
            raise RuntimeError(f"{scenario}, {shape} fails although nobody dies: {seen.failed or seen.ending}")
        return seen

    def points(self, scenario: str, shape: str = USUAL) -> dict[str, int]:
        """How often each point is come by, by the life that may die."""
        first = SCENARIOS[scenario].first
        if not first:
            return self.reference(scenario, shape).visits
        return self.visit(Visit(scenario=scenario, shape=shape, stops=first)).visits

    def verdict(self, visit: Visit) -> Verdict:
        """Make a visit and say what is wrong with how it ended."""
        seen = self.visit(visit)
        reference = self.reference(visit.scenario, visit.shape, deep=visit.deep).ending
        if seen.ending is None or reference is None:
            return Verdict(visit=visit, seen=seen, wrong=(seen.failed or "it left no word",))
        apart = SCENARIOS[visit.scenario].in_either_order
        different = [each for each in differences(reference, seen.ending) if each.section not in apart]
        wrong = [str(difference) for difference in different]
        wrong += _wrong(visit, reference, seen.ending)
        return Verdict(visit=visit, seen=seen, wrong=tuple(wrong), different=tuple(different))

    def visits(
        self,
        scenario: str,
        shape: str = USUAL,
        *,
        how: How = "kill",
        most: int | None = 1,
        every: bool = False,
        deep: bool = False,
    ) -> Iterator[Visit]:
        """A visit for each of the suite's points (or for every one), and each time that it is come by, or the first
        `most` times."""
        first = SCENARIOS[scenario].first
        begins = SCENARIOS[scenario].suite if not every else ("",)
        for point, times in sorted(self.points(scenario, shape).items()):
            if not point.startswith(begins):
                continue
            for n in range(1, times + 1 if most is None else min(times, most) + 1):
                stops = (*first, Stop(point, n, how))
                yield Visit(scenario=scenario, shape=shape, stops=stops, deep=deep)

    def red(self, visits: Iterable[Visit]) -> list[str]:
        """What is wrong with these, in words."""
        return [str(verdict) for visit in visits if (verdict := self.verdict(visit)).wrong]


def _wrong(visit: Visit, reference: Ending, seen: Ending) -> list[str]:
    wrong = []
    if seen.broken is not None:
        wrong.append(f"the audit chain is broken: {seen.broken}")
    if seen.echoes:
        wrong.append(f"{seen.echoes} writes after everything was settled")
    if seen.rounds > reference.rounds:
        wrong.append(f"it took {seen.rounds} rounds to settle, and not {reference.rounds}")
    may = SCENARIOS[visit.scenario].may_log_in & {stop.point for stop in visit.stops}
    if seen.logins and not may:
        wrong.append(f"a person had to log in anew {seen.logins} times")
    return wrong


@contextmanager
def matrix(folder: Path, postgres: str = "") -> Iterator[Matrix]:
    """A matrix with a parent process of its own, on SQLite or on the PostgreSQL of that maintenance URL."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.crash.parent", str(folder), postgres]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield Matrix(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.wait(timeout=60)
        if process.stdout is not None:
            process.stdout.close()
