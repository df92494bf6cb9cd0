"""Named points between what is decided, committed, sent and answered, at which a test makes this process die.

In service nothing is armed and a point does nothing. `POINTS` names every one of them: a test holds the list equal to
the code, and another sees that each is visited.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Armed: TypeAlias = Callable[[str], None]

POINTS: dict[str, str] = {
    "request.committed": "a run is asked for; no worker was woken yet",
    "wake.sent": "a worker was woken",
    "lease.taken_over": "a dead worker's lease is taken over, not committed",
    "lease.taken": "the lease is committed, nothing was done with it",
    "catalogue.committed": "an account's catalogue is stored",
    "page.stored": "a page, what it made dirty and the cursor are stored, not committed",
    "page.committed": "a page is committed, the next is not read",
    "parked.stored": "what waits and what is settled left the dirty set, not committed",
    "plan.stored": "a plan and its decisions are stored, not committed",
    "plan.committed": "a plan stands, its run does not know it yet",
    "plan.noted": "the run knows its plan",
    "approval.consumed": "a plan was approved and its run asked for, not committed",
    "wave.pulled": "both sides were read again before a wave",
    "refresh.committed": "single records were read again",
    "intent.stored": "what is about to be sent is written down, not committed",
    "intent.committed": "the intent stands, nothing was sent",
    "call.answered": "the vendor's answer is read, and stored nowhere",
    "outcome.stored": "outcome, link, base, document and audit are stored, not committed",
    "outcome.committed": "the outcome stands",
    "batch.done": "between two calls of a plan, or two members of a group",
    "probe.answered": "what the vendor holds after a doubt is read, and stored nowhere",
    "probe.stored": "a doubt is settled, not committed",
    "probe.committed": "a doubt is settled",
    "audit.appended": "the trail's rows are stored, its head is not moved",
    "audit.head_moved": "the trail's head is moved, not committed",
    "close.stored": "a plan is over, not committed",
    "close.committed": "a plan is over, its run goes on",
    "groups.stored": "what takes back a half of a group is stored as a plan beside, not committed",
    "groups.committed": "what takes back a half of a group stands, nothing of it was sent",
    "groups.closing": "a plan of which a group came to a half is over, not committed",
    "groups.closed": "a plan of which a group came to a half is over",
    "answer.stored": "a person's answer to a conflict is stored, not committed",
    "answer.committed": "a person's answer stands, nothing carries it out yet",
    "beside.stored": "what goes beside an open plan is stored as a plan of its own, not committed",
    "beside.committed": "what goes beside an open plan stands",
    "webhook.stored": "what a webhook announced is stored, and a run asked for, not committed",
    "webhook.committed": "what a webhook announced stands, the vendor has no answer yet",
    "announced.read": "what a webhook announced is read by id, and stored nowhere",
    "announced.stored": "what was announced and read is stored, and no longer waits to be read; not committed",
    "announced.committed": "what was announced and read is committed, the change feed is not read",
    "message.stored": "a letter is put into the outbox, not committed",
    "end.stored": "a run's end and what is said of it are stored, not committed",
    "lease.given_back": "the lease is given back",
    "token.marked": "the right to renew a login is taken, the vendor was not asked",
    "token.answered": "the renewed login has come, and is stored nowhere",
    "token.stored": "the renewed login is stored, not committed",
    "token.committed": "the renewed login stands, nobody used it yet",
    "letter.claimed": "a letter is this sender's, nothing was posted",
    "slack.posting": "a message is about to be posted",
    "slack.answered": "a message was posted, and nobody wrote it down",
    "letter.stored": "that a message was posted is stored, not committed",
    "letter.committed": "that a message was posted is known",
}

_armed: Armed | None = None


def crash(name: str) -> None:
    """A point: tells whoever armed this process that it came by."""
    if _armed is not None:
        _armed(name)


def arm(armed: Armed | None) -> None:
    """From now on `armed` hears of each point that is passed; None: nobody does."""
    global _armed  # noqa: PLW0603  # one process, one trap: it must reach every module without being handed through
    _armed = armed
