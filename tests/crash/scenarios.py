"""What is done while processes die: a table of scenarios and of shapes that the two vendors can have.

A scenario's `prepare` makes what there is before, once. Its `play` is lived by every process alike: the person asks
for what is not in the store yet, the worker works until nothing is left, so a successor goes on where another died.
A person who got no answer asks again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date

import msgspec

from connectors.canon.records import Customer, Kind
from connectors.memory.vendor import Knobs
from tests.crash.bench import PERSON, Bench, Shape
from tests.crash.ending import Ending, ending
from tests.crash.slack import channel as slack_channel
from tests.crash.trap import Stop
from tests.crash.vendor import Login, Mortal
from tests.flows.rig import deal, item, line, mapping, payment, told, usd
from worker.vault import save_token

ROUNDS = 6
SECRET = "a secret that both know"
LANDED_S = 300.0  # whatever was on its way to a vendor has landed by then
Play = Callable[[Bench], Awaitable[None]]

_SEARCHABLE = Knobs(batch_write=2)
SHAPES: dict[str, Shape] = {
    "marker searchable": Shape(crm=_SEARCHABLE, books=_SEARCHABLE),
    "marker kept": Shape(crm=_SEARCHABLE, books=Knobs(batch_write=3, marker="kept")),
    "no marker": Shape(crm=Knobs(batch_write=2, marker="none"), books=Knobs(batch_write=2, marker="none")),
    "no lock": Shape(
        crm=Knobs(batch_write=2, optimistic_lock=False), books=Knobs(batch_write=2, optimistic_lock=False)
    ),
    "one by one": Shape(crm=Knobs(batch_write=1), books=Knobs(batch_write=1, unique_names=False)),
    "slow search": Shape(crm=_SEARCHABLE, books=Knobs(batch_write=10, search_delay_s=30, unique_names=False)),
}
USUAL = "marker searchable"


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of work.

    first            how an earlier process died already, for what only a successor does
    again            at the end one looks what the next plan would do
    slack            a Slack sandbox is there to post to
    shapes           those that make a difference
    may_log_in       points at which a renewed login is lost with the process, so that a person has to log in anew
    suite            how the points begin at which processes die in the test suite. In the benchmark they do at all of
                     them; what is left out is what another scenario does there
    every_visit      whether the benchmark kills at every visit, and not at the first alone: it does not where the later
                     ones are those of `apply`
    in_either_order  sections that are not compared, where two things were asked for and either may come first
    """

    prepare: Play
    play: Play
    first: tuple[Stop, ...] = ()
    again: bool = True
    slack: bool = False
    shapes: tuple[str, ...] = tuple(SHAPES)
    suite: tuple[str, ...] = ("",)
    every_visit: bool = True
    in_either_order: frozenset[str] = frozenset()
    may_log_in: frozenset[str] = frozenset()


# --------------------------------------------------------------------------- what there is before


async def _paired(bench: Bench, **changed: object) -> None:
    await bench.connect()
    await bench.pair_up(mapping(**changed))  # type: ignore[arg-type]  # flow -> what it says otherwise


_KNOWN = ("Alder", "Birch", "Cedar", "Fir")


async def _company(bench: Bench) -> None:
    """Customers in both systems, one with a billed deal; then a day of work on both sides: edits this way, that
    way and of one record on both, new customers, deals with new items, a payment."""
    both = [(bench.crm.add(told(name)), bench.books.add(told(name))) for name in _KNOWN]
    await bench.settled()
    bench.crm.add(deal(both[1][0], "500.00", name="Old work"))
    await bench.settled()
    _a_days_work(bench, both)


def _a_days_work(bench: Bench, both: list[tuple[str, str]]) -> None:
    (alder, _), (birch, birch_books), (cedar, cedar_books), _ = both
    bench.crm.edit(Kind.CUSTOMER, alder, phone="+1 212 555 0101")
    bench.books.edit(Kind.CUSTOMER, birch_books, notes="Pays on Fridays")
    bench.crm.edit(Kind.CUSTOMER, cedar, phone="+1 212 555 0103")
    bench.books.edit(Kind.CUSTOMER, cedar_books, notes="Call first")
    bench.books.add(payment(birch_books, bench.one_invoice().ref, "500.00", on=date(2026, 11, 10)))
    advice, travel = (bench.crm.add(item(name)) for name in ("Advice", "Travel"))
    lines = (line(advice, "100.00"), line(travel, "30.00"))
    bench.crm.add(deal(alder, "130.00", name="Advice for Alder", lines=lines))
    bench.crm.add(deal(alder, "70.00", name="More for Alder"))
    bench.crm.add(deal(birch, "71.00", name="More for Birch"))
    for customer, amount in (("Dogwood", "72.00"), ("Elm", "73.00")):
        ref = bench.crm.add(told(customer, phone="+1 212 555 0199"))
        bench.crm.add(deal(ref, amount, name=f"First for {customer}"))


async def prepare_preview(bench: Bench) -> None:
    await _paired(bench)
    await _company(bench)


async def prepare_apply(bench: Bench) -> None:
    await prepare_preview(bench)
    await bench.preview()


async def prepare_sync(bench: Bench) -> None:
    """Flows that may write alone."""
    alone = {flow: {"apply": "auto"} for flow in ("customers", "items", "invoices", "payments")}
    await _paired(bench, **alone)
    await _company(bench)


async def prepare_resolve(bench: Bench) -> None:
    """One phone number typed on both sides, and the question asked in the channel."""
    await _paired(bench)
    await bench.channel_api.bind(bench.pair.name, slack_channel(), PERSON)
    crm, books = await bench.linked("Alder", phone="+1 212 555 0100")
    bench.crm.edit(Kind.CUSTOMER, crm, phone="+1 212 555 0101")
    bench.books.edit(Kind.CUSTOMER, books, phone="+1 212 555 0102")
    await bench.preview()


async def prepare_login(bench: Bench) -> None:
    """A plan to apply, half an hour later, at books whose access token lasts some calls and whose refresh token works
    once."""
    await prepare_apply(bench)
    login = Login.make(bench.place.path("login.json"), lasts=4)
    async with bench.db.read() as tx:
        pair = await _pair_row(tx, bench.pair.id)
    await save_token(bench.db, bench.office.vault, pair, login.account().token)
    bench.pass_time(1800)


async def prepare_beside(bench: Bench) -> None:
    """A plan to apply, and a question about a record that is not in it."""
    await prepare_preview(bench)
    _a_question(bench)
    await bench.preview()


def _a_question(bench: Bench) -> None:
    """Both sides type another phone number of the last customer."""
    for world, phone in ((bench.crm, "+1 212 555 0111"), (bench.books, "+1 212 555 0112")):
        (fir,) = (c for c in world.all(Kind.CUSTOMER) if isinstance(c, Customer) and c.legal_name == _KNOWN[-1])
        world.edit(Kind.CUSTOMER, fir.ref, phone=phone)


async def prepare_reissue(bench: Bench) -> None:
    """A deal of another amount than its posted invoice: the rule is to credit it and post a new one."""
    await bench.connect()
    rule = {"changed_after_posting": "credit_and_reissue"}
    await bench.pair_up(mapping("customers", "items", "invoices", invoices=rule))
    crm, _ = await bench.linked("Alder")
    sold = bench.crm.add(deal(crm, "500.00", name="Work"))
    await bench.settled()
    bench.crm.edit(Kind.DEAL, sold, amount=usd("600.00"))
    plan = await bench.preview()
    if plan.changes != 2:
        raise AssertionError(f"a new invoice and a credit note, not {plan}")


async def prepare_half(bench: Bench) -> None:
    """The same, and the books refuse the credit note: then the new invoice is voided again."""
    await prepare_reissue(bench)
    bench.place.path("refused").write_text("credit_note create")


async def prepare_post(bench: Bench) -> None:
    """A preview with a question, and its apply, asked for in a channel; nothing of it is posted yet."""
    await prepare_preview(bench)
    _a_question(bench)
    api = bench.channel_api
    await api.bind(bench.pair.name, slack_channel(), PERSON)
    asked = await api.ask_run(bench.pair.id, "preview", PERSON, slack_channel())
    await bench.work()
    plan = await api.plan((await api.run(asked.run_id)).plan_id or "")
    await api.approve(plan.id, plan.fingerprint, PERSON, "all", tell={"channel": slack_channel(), "user": PERSON})
    await bench.work()


async def prepare_webhook(bench: Bench) -> None:
    """A pair that is in step, and edits that the books announce."""
    await _paired(bench)
    both = [(bench.crm.add(told(name)), bench.books.add(told(name))) for name in ("Alder", "Birch")]
    await bench.settled()
    await bench.webhooks.expect("books", SECRET)
    bench.place.path("since").write_text(str(bench.books.state.head))
    for _, books in both:
        bench.books.edit(Kind.CUSTOMER, books, notes="Pays on Fridays")


async def prepare_undo(bench: Bench) -> None:
    """A run that made, changed and billed, and that somebody thinks better of."""
    await prepare_apply(bench)
    run = await bench.apply()
    bench.place.path("undone").write_text(run.id)
    await bench.preview()


async def _pair_row(tx: object, pair_id: str) -> str:
    from worker.store import connections

    return (await connections.get_pair(tx, pair_id)).books  # type: ignore[arg-type]  # a unit


# --------------------------------------------------------------------------- what is done


async def play_preview(bench: Bench) -> None:
    """Somebody types it in the channel; the same press again is the same run."""
    await bench.channel_api.ask_run(bench.pair.id, "preview", PERSON, slack_channel(), once="pressed")
    await bench.work()


async def play_apply(bench: Bench) -> None:
    plan = await bench.api.current_plan(bench.pair.id)
    if plan is not None and plan.state == "open":
        await bench.api.apply(plan.id, plan.fingerprint, PERSON)
    await bench.work()


async def play_beside(bench: Bench) -> None:
    """The plan is approved, and before it is carried out the question is answered."""
    plan = await bench.api.current_plan(bench.pair.id)
    if plan is not None and plan.state == "open" and not await bench.asked("apply"):
        await bench.api.apply(plan.id, plan.fingerprint, PERSON)
    for conflict in await bench.conflicts():
        await bench.channel_api.settle_and_write(bench.pair.id, conflict.number, "crm", PERSON)
    await bench.work()


async def play_sync(bench: Bench) -> None:
    if not await bench.asked("sync"):
        await bench.api.ask(bench.pair.id, "sync", PERSON)
    await bench.work()


async def play_resolve(bench: Bench) -> None:
    """The CRM's number is right, says the person on the card."""
    for conflict in await bench.conflicts():
        await bench.channel_api.settle_and_write(bench.pair.id, conflict.number, "crm", PERSON)
    await bench.work()


async def play_post(bench: Bench) -> None:
    await bench.speak()


async def play_webhook(bench: Bench) -> None:
    """The vendor delivers until it is answered: so every life gets the same call."""
    since = int(bench.place.path("since").read_text())
    connection = (await bench.webhooks.list())[0].connection
    headers, body = bench.books.webhook(SECRET, since)
    await bench.webhooks.take(connection, "POST", "https://tieout.example/webhooks/x", headers, body)
    await bench.work()


async def play_undo(bench: Bench) -> None:
    if not await bench.asked("undo"):
        undoes = bench.place.path("undone").read_text()
        await bench.api.ask(bench.pair.id, "undo", PERSON, {"undoes": undoes})
    await bench.work()
    plan = await bench.api.current_plan(bench.pair.id)
    if plan is not None and plan.state == "open" and plan.changes and not await bench.asked("apply"):
        await bench.api.apply(plan.id, plan.fingerprint, PERSON)
    await bench.work()


_WRITES = ("intent.", "vendor.", "call.answered", "outcome.", "batch.", "close.")
_DOUBT = (Stop("call.answered", 3),)
SCENARIOS: dict[str, Scenario] = {
    "preview": Scenario(prepare=prepare_preview, play=play_preview, again=False, shapes=(USUAL,)),
    "apply": Scenario(prepare=prepare_apply, play=play_apply),
    "beside": Scenario(
        prepare=prepare_beside,
        play=play_beside,
        shapes=(USUAL, "no lock"),
        every_visit=False,
        in_either_order=frozenset({"plans", "runs", "audit"}),
        suite=("beside.", "outcome.", "call.answered", "close.", "end.", "vendor.done"),
    ),
    "reissue": Scenario(prepare=prepare_reissue, play=play_apply, shapes=(USUAL, "marker kept"), suite=_WRITES),
    "half": Scenario(prepare=prepare_half, play=play_apply, shapes=(USUAL, "marker kept"), suite=("groups.", *_WRITES)),
    "sync": Scenario(prepare=prepare_sync, play=play_sync, shapes=(USUAL, "marker kept")),
    "doubt": Scenario(
        prepare=prepare_apply, play=play_apply, first=_DOUBT, every_visit=False, suite=("lease.", "probe.", *_WRITES)
    ),
    "resolve": Scenario(prepare=prepare_resolve, play=play_resolve, shapes=(USUAL, "no lock")),
    "login": Scenario(
        prepare=prepare_login,
        play=play_apply,
        shapes=(USUAL,),
        suite=("token.", "page.", *_WRITES),
        every_visit=False,
        may_log_in=frozenset({"token.answered", "token.stored"}),
    ),
    "undo": Scenario(prepare=prepare_undo, play=play_undo, shapes=(USUAL, "no lock")),
    "post": Scenario(prepare=prepare_post, play=play_post, again=False, slack=True, shapes=(USUAL,)),
    "webhook": Scenario(prepare=prepare_webhook, play=play_webhook, shapes=(USUAL,)),
}


LONG = ("sync", "undo", "reissue")  # points that others come by too; tested in a file of their own, beside the others


async def play(bench: Bench, scenario: Scenario, *, deep: bool) -> Ending:
    """Live a life to its end, and look at everything. What the next plan would do is looked at too: the same as if
    nobody had died. `deep`: it is done as well, until nothing is left to do."""
    await scenario.play(bench)
    Mortal.trap.disarm()
    bench.pass_time(LANDED_S)
    if scenario.again:
        await bench.preview()
    rounds = 0
    while deep and rounds < ROUNDS:
        rounds += 1
        plan = await bench.preview()
        if plan.changes == 0:
            break
        await bench.apply()
    writes = await bench.writes_made()
    if deep:
        await bench.preview()
    echoes = await bench.writes_made() - writes
    seen = await ending(bench)
    return msgspec.structs.replace(seen, rounds=rounds, echoes=echoes)
