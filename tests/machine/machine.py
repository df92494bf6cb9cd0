"""The state machine: people, Tieout and bad weather in any order; then it settles, and everything must be true."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from connectors.canon.records import Kind
from connectors.kit.contract import Side
from connectors.memory.faults import Fault
from connectors.memory.vendor import Knobs
from tests.machine.people import PATHS, rules
from tests.machine.town import Town, open_town
from tests.machine.typed import SIDES
from tests.machine.verdict import complaints, duplicates, shown
from tests.machine.weather import CALM, Storm

APPLY = st.sampled_from(("ask", "auto"))
REMOVED = st.sampled_from(("ask", "deactivate"))
WHO = st.integers(0, 5)
SIDE: st.SearchStrategy[Side] = st.sampled_from(SIDES)
PATH = st.sampled_from(PATHS)
HOW = st.sampled_from(("new", "new", "new", "empty", "copy"))
KNOBS = st.builds(
    Knobs,
    marker=st.sampled_from(("searchable", "kept", "none")),
    optimistic_lock=st.booleans(),
    unique_names=st.booleans(),
    tombstones=st.booleans(),
    trims=st.booleans(),
    batch_write=st.sampled_from((1, 10)),
    search_delay_s=st.sampled_from((0, 30)),
)
BROKEN = st.builds(
    Storm,
    end=st.sampled_from((None, "killed", "killed", "cancelled")),
    dies_at=st.integers(1, 24),
    edits_at=st.none() | st.integers(1, 12),
)
STORMS = st.just(CALM) | BROKEN
EDITS = st.tuples(SIDE, WHO, PATH, HOW)
# What people do: the name of it, and with what (see `People`).
FILLED = st.lists(st.sampled_from(PATHS[1:]), max_size=4, unique=True)
ACTS = st.one_of(
    st.tuples(st.just("edit"), EDITS),
    st.tuples(st.just("edit"), EDITS),
    st.tuples(st.just("collide"), st.tuples(WHO, PATH, st.tuples(HOW, HOW))),
    st.tuples(st.just("add"), st.tuples(SIDE, st.integers(0, 4), FILLED)),
    st.tuples(st.just("remove"), st.tuples(SIDE, WHO, st.sampled_from(("delete", "archive", "merge")))),
    st.tuples(st.just("win"), st.tuples(WHO)),
    st.tuples(st.just("change_deal"), st.tuples(WHO, st.sampled_from(("amount", "lost", "won", "delete")))),
    st.tuples(st.just("end_invoice"), st.tuples(WHO, st.sampled_from(("void", "delete")))),
    st.tuples(st.just("bill_by_hand"), st.tuples(WHO)),
    st.tuples(st.just("pay"), st.tuples(WHO)),
)
Act: TypeAlias = tuple[str, tuple[Any, ...]]
# What befalls a call: by what it is, whether it writes, and how many go well before.
WRITING = ("lose", "cut", "doubt", "late", "hang", "stall", "refuse", "stale", "throttle", "expired", "forbidden")
READING = ("down", "throttle", "expired", "stall")
READS = ("changes", "get", "by_marker", "mark", "created_since", "catalogue")
SPOILED = st.builds(
    Fault,
    what=st.sampled_from(WRITING),
    kind=st.sampled_from((None, None, None, Kind.INVOICE)),
    skip=st.integers(0, 1),
    times=st.integers(1, 2),
    first=st.integers(0, 2),
    item=st.sampled_from((None, 0)),
    after_s=st.sampled_from((3, 60, 100)),
    wait_s=st.sampled_from((1, 40)),
)
UNREAD = st.builds(Fault, what=st.sampled_from(READING), point=st.sampled_from(READS), skip=st.integers(0, 3))


class PairMachine(RuleBasedStateMachine):
    """One town for each example. `make_url` gives a database of its own."""

    make_url: ClassVar[Callable[[], str]]

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._open = contextlib.AsyncExitStack()
        self.town: Town | None = None

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    @property
    def here(self) -> Town:
        assert self.town is not None
        return self.town

    @initialize(crm=KNOBS, books=KNOBS, apply=APPLY, removed=REMOVED)
    def found(self, crm: Knobs, books: Knobs, apply: str, removed: str) -> None:
        """Two vendors, a mapping, and a first customer on both sides."""
        folder = Path(tempfile.gettempdir())
        opened = open_town(type(self).make_url(), folder, crm=crm, books=books, text=rules(apply, removed))
        self.town = self.run(self._open.enter_async_context(opened))
        for which, (ours, theirs) in enumerate((PATHS[1:4], PATHS[4:5]) for _ in range(2)):
            self.here.people.add("crm", which, ours)
            self.here.people.add("books", which, theirs)
        self.here.people.win(0)
        self.run(self.here.ask("preview"))
        self.run(self.here.apply())

    # ----------------------------------------------------------------- people

    def _act(self, acts: Sequence[Act]) -> None:
        for what, how in acts:
            getattr(self.here.people, what)(*how)

    @rule(acts=st.lists(ACTS, min_size=1, max_size=4))
    def people(self, acts: list[Act]) -> None:
        self._act(acts)

    @rule(which=WHO, choice=st.integers(0, 2))
    def answer(self, which: int, choice: int) -> None:
        self.run(self.here.answer(which, choice))

    # ----------------------------------------------------------------- Tieout

    @rule(what=st.sampled_from(("preview", "sync", "apply", "resume")), storm=STORMS, acts=st.lists(ACTS, max_size=2))
    def tieout(self, what: str, storm: Storm, acts: list[Act]) -> None:
        """One verb; what people do meanwhile comes where the storm says."""
        here, meanwhile = self.here, partial(self._act, acts)
        work = {"apply": here.apply, "resume": here.resume}.get(what) or partial(here.ask, what)
        self.run(work(storm, meanwhile))

    @rule(part=st.integers(0, 2))
    def apply_a_part(self, part: int) -> None:
        self.run(self.here.apply(part=part))

    @rule(acts=st.lists(ACTS, min_size=1, max_size=4), fault=SPOILED, storm=STORMS, more=st.lists(ACTS, max_size=2))
    def busy_hour(self, acts: list[Act], fault: Fault, storm: Storm, more: list[Act]) -> None:
        """People do things, a plan is shown and applied, and things go wrong just then, at whichever vendor is met."""
        self._act(acts)
        self.run(self.here.ask("preview"))
        for side in SIDES:
            self._spoil(side, fault)
        self.run(self.here.apply(storm, partial(self._act, more)))

    # ----------------------------------------------------------------- weather

    @rule(side=SIDE, fault=SPOILED | UNREAD | st.none(), seconds=st.sampled_from((0, 1, 130, 3_700, 90_000)))
    def weather(self, side: Side, fault: Fault | None, seconds: int) -> None:
        """Something will go wrong (a feed that lags, if nothing else), and time passes."""
        if fault is None:
            self.here.lag(side)
        else:
            self._spoil(side, fault)
        self.here.rig.pass_time(seconds)

    def _spoil(self, side: Side, fault: Fault) -> None:
        """But for what lands late on a vendor without a lock: that lands on what people typed since."""
        if fault.what != "late" or self.here.people.world(side).knobs.optimistic_lock:
            self.here.fault(side, fault)

    # ----------------------------------------------------------------- what must be true

    @invariant()
    def one_document_a_deal(self) -> None:
        if self.town is not None:
            assert [] == duplicates(self.town.people)

    def teardown(self) -> None:
        """It settles; then people answer everything, and it settles again."""
        try:
            if self.town is not None and sys.exc_info()[0] is None:
                self.run(self._judged(self.town))
        finally:
            self.run(self._open.aclose())
            self._runner.close()

    @staticmethod
    async def _judged(town: Town) -> None:
        found = await town.settle() or await complaints(town)
        assert [] == found, shown(found)
        for _ in range(3):  # an answer may raise the next question
            await town.answer_all()
            found = await town.settle() or await complaints(town)
            assert [] == found, shown(found)
