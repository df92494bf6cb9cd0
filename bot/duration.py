"""How long a plan takes, in words, for whoever is about to apply it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.terminal.words import count

if TYPE_CHECKING:
    from worker.api.views import PlanView, TakesView

SHORT_S = 60  # so long one waits without being told
HOURS_FROM_S = 90 * 60
DAYS_FROM_S = 36 * 3600
_EACH = {1: "a second", 60: "a minute", 3600: "an hour", 86400: "a day"}


def how_long(plan: PlanView) -> str | None:
    """`About 12 minutes: QuickBooks takes 40 batches a minute.` None for a plan that is over, or is applied soon."""
    takes = plan.takes
    if plan.state != "open" or takes is None or takes.seconds <= SHORT_S:
        return None
    what = "batches" if takes.batches else "calls"
    each = _EACH.get(takes.per_s, f"in {takes.per_s:,} seconds")
    used = f" and {takes.used:,} {'is' if takes.used == 1 else 'are'} used" if takes.used else ""
    return f"About {_length(takes)}: {takes.system} takes {takes.at_most:,} {what} {each}{used}."


def _length(takes: TakesView) -> str:
    if takes.seconds < HOURS_FROM_S:
        return count(round(takes.seconds / 60), "minute")
    if takes.seconds < DAYS_FROM_S:
        return count(round(takes.seconds / 3600), "hour")
    return count(round(takes.seconds / 86400), "day")
