"""A process that has imported everything and opened nothing: it forks the lives of a visit, and waits for them.

    python -m tests.crash.parent FOLDER [POSTGRES_URL]

It reads one `Visit` a line, as JSON, and answers each with one `Seen`. It never runs a loop or a thread itself, so
that what it forks is as good as new and may be killed at any instant.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from connectors.canon.fields import FieldType, key
from connectors.canon.records import decode, encode
from tests.crash import databases
from tests.crash.bench import Place, first_shift, living, run_life
from tests.crash.ending import Ending
from tests.crash.saboteurs import SABOTEURS
from tests.crash.scenarios import SCENARIOS, SHAPES, play
from tests.crash.slack import serve
from tests.crash.trap import Stop, Trap
from tests.flows.rig import deal, item, mapping, payment, told
from worker import crash
from worker.engine.mapping import parse


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """One way to die, or several in a row; after the last, a successor brings it to an end. `deep`: what is left then
    is applied too, until nothing is."""

    scenario: str
    shape: str
    stops: tuple[Stop, ...] = ()
    saboteur: str = ""
    deep: bool = False


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a visit. `reached`: how many of the stops were come by; `visits`: the last life's count of points;
    `failed`: a life that ended otherwise than it should, in words."""

    reached: int
    seconds: float
    visits: dict[str, int] = {}
    ending: Ending | None = None
    failed: str | None = None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a life that came to its end leaves in the visit's folder."""

    ending: Ending
    visits: dict[str, int]


CANCELLED, FAILED = 3, 4
PATIENCE_S = 60  # a life takes a second; one that hangs is ended by the system, and is a failure


class Parent:
    """Templates of what there is before, and visits to copies of them."""

    def __init__(self, folder: Path, postgres: str) -> None:
        self._folder, self._postgres = folder, postgres
        self._templates: dict[tuple[str, str], Place] = {}
        self._number = 0

    # ----------------------------------------------------------------- a visit

    def visit(self, visit: Visit) -> Seen:
        started = time.monotonic()
        try:
            template = self._template(visit.scenario, visit.shape)
        except RuntimeError as error:
            return Seen(reached=0, seconds=0, failed=str(error))
        self._number += 1
        name = f"v{os.getpid()}_{self._number}"
        folder = self._folder / name
        shutil.copytree(template.folder, folder)
        slack = self._slack(folder) if SCENARIOS[visit.scenario].slack else None
        reached, failed = 0, None
        for stop in (*visit.stops, None):
            code = self._forked(lambda stop=stop: self._life(visit, template, folder, name, stop), folder)  # type: ignore[misc]  # mypy does not see the default
            if code == 0:
                break
            if code not in (-signal.SIGKILL, CANCELLED):
                failed = _words(folder)
                break
            reached += 1
        if slack is not None:
            os.kill(slack, signal.SIGKILL)
            os.waitpid(slack, 0)
        told = folder / "told.json"
        left = msgspec.json.decode(told.read_bytes(), type=Told) if told.exists() and failed is None else None
        shutil.rmtree(folder, ignore_errors=True)
        return Seen(
            reached=reached,
            seconds=time.monotonic() - started,
            visits=left.visits if left is not None else {},
            ending=left.ending if left is not None else None,
            failed=failed,
        )

    def _life(self, visit: Visit, template: Place, folder: Path, name: str, stop: Stop | None) -> int:
        """One process: it dies at the stop, or leaves word of how it ended."""
        trap = Trap(stop)
        crash.arm(trap)
        if visit.saboteur:
            SABOTEURS[visit.saboteur].break_it()

        async def live() -> None:
            place = await self._place(template, folder, name)
            async with living(place, trap) as bench:
                seen = await play(bench, SCENARIOS[visit.scenario], deep=visit.deep)
            told = Told(ending=seen, visits=dict(trap.visits))
            (folder / "told.json").write_bytes(msgspec.json.encode(told))
            await databases.dropped(self._postgres, name)

        return 0 if run_life(live(), trap) else CANCELLED

    async def _place(self, template: Place, folder: Path, name: str) -> Place:
        """The visit's own copy; the first life makes it."""
        known = folder / "place.json"
        if known.exists():
            return msgspec.json.decode(known.read_bytes(), type=Place)
        template_folder = Path(template.folder)
        url = await databases.copied(self._postgres, template_folder, template_folder.name, folder, name)
        place = msgspec.structs.replace(template, folder=str(folder), url=url)
        known.write_bytes(msgspec.json.encode(place))
        return place

    # ----------------------------------------------------------------- what there is before

    def _template(self, scenario: str, shape: str) -> Place:
        key = (scenario, shape)
        if key not in self._templates:
            folder = self._folder / f"t{os.getpid()}_{len(self._templates)}"
            folder.mkdir()
            if self._forked(lambda: self._prepared(scenario, shape, folder), folder) != 0:
                raise RuntimeError(f"{scenario}, {shape}: {_words(folder)}")
            self._templates[key] = msgspec.json.decode((folder / "template.json").read_bytes(), type=Place)
            (folder / "template.json").unlink()
        return self._templates[key]

    def _prepared(self, scenario: str, shape: str, folder: Path) -> int:
        trap = Trap(None)

        async def prepare() -> None:
            url = await databases.fresh(self._postgres, folder, folder.name)
            place = Place(folder=str(folder), url=url, shift_us=first_shift(), shape=SHAPES[shape])
            async with living(place, trap) as bench:
                await SCENARIOS[scenario].prepare(bench)
                bench.pass_time(0)
            (folder / "template.json").write_bytes(msgspec.json.encode(place))

        return 0 if run_life(prepare(), trap) else CANCELLED

    # ----------------------------------------------------------------- processes

    def _slack(self, folder: Path) -> int:
        """A Slack sandbox for this visit; its process."""
        child = os.fork()
        if child == 0:
            try:
                serve(folder)
            finally:
                os._exit(FAILED)
        for _ in range(400):
            if (folder / "slack").exists():
                break
            time.sleep(0.02)
        return child

    def _forked(self, life: Callable[[], int], folder: Path) -> int:
        """A life in a process of its own; its exit code, negative for the signal that killed it."""
        child = os.fork()
        if child == 0:
            code = FAILED
            signal.alarm(PATIENCE_S)
            gc.disable()  # a life is short, and a collection would touch, and so copy, what it shares with its parent
            try:
                code = life()
            except BaseException:  # noqa: BLE001  # the last border of a process: it says why and ends
                with contextlib.suppress(OSError):
                    (folder / "failed.txt").write_text(traceback.format_exc())
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)


def _words(folder: Path) -> str:
    said = folder / "failed.txt"
    return said.read_text()[-1_000:] if said.exists() else "it ended without a word"


def _warm() -> None:
    """Load what is loaded at first use, by pure functions alone; and let nothing that is there be looked at by the
    collector again, so that forks share it."""
    parse(mapping())
    key(FieldType.PHONE, "+1 212 555 0100")
    for record in (deal("c1"), told("Acme"), item("Advice"), payment("c1", "inv1", "1.00")):
        decode(encode(record))
    gc.collect()
    gc.freeze()


def main() -> None:
    _warm()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    parent = Parent(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
    for text in sys.stdin:
        seen = parent.visit(msgspec.json.decode(text, type=Visit))
        sys.stdout.buffer.write(msgspec.json.encode(seen) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
