"""The one error handler: what went wrong -> what the person reads and can do next."""

from __future__ import annotations

import structlog

from bot.blocks.parts import people
from bot.metadata import BadButton, OldButton
from worker.api import BUSY, Problem, trouble

log = structlog.get_logger()

NOT_IN_CHANNEL = "I am not in this channel, so I cannot post here. Type /invite @Tieout, then try again."
_SLACK_SAYS = {
    "not_in_channel": NOT_IN_CHANNEL,
    "channel_not_found": NOT_IN_CHANNEL,
    "user_not_in_channel": NOT_IN_CHANNEL,
    "is_archived": "This channel is archived, so I cannot post here.",
    "restricted_action": "Only some people may post in this channel. Ask a workspace admin to let me.",
}


def explain(error: BaseException) -> str:
    """An error in words: what happened, and what to do next. What nobody foresaw is logged, once, here."""
    if isinstance(error, Problem):
        words = str(error) if error.by is None else str(error).replace(error.by, people(error.by))
        between = "\n" if error.details else " "
        return f"{words}{between}{error.next_step}" if error.next_step is not None else words
    if isinstance(error, OldButton):
        return "This button is too old to be pressed. /tieout preview, or /tieout conflicts, shows new ones."
    if isinstance(error, BadButton):
        return "This button was not made by this Tieout. /tieout preview, or /tieout conflicts, shows new ones."
    found = trouble(error)
    if found is not None or isinstance(error, OSError):
        log.error("bot.store_unreachable", error=type(error).__name__)
        if found is BUSY:
            return "Tieout's database is busy. Nothing was lost: try again in a moment."
        return "The database cannot be reached at the moment. Nothing was lost or changed: try again in a minute."
    log.error("bot.unforeseen", exc_info=error)
    return (
        f"That did not work ({type(error).__name__}), and nothing more was done. The log has it under "
        "bot.unforeseen; /tieout status says how things stand."
    )


def explain_refusal(code: str) -> str | None:
    """What somebody is told when Slack refuses a message for a reason that they can mend; None: they cannot."""
    return _SLACK_SAYS.get(code)
