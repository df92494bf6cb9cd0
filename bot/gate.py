"""Who may do what, from the settings: admins and approvers by Slack user id. Pure.

Everybody in the channel may look, preview, sync what the mapping lets go alone, and reconcile.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, TypeAlias

import msgspec

Deed: TypeAlias = Literal["apply", "apply_over_limit", "settle", "schedule", "bind", "prefer"]

_WORDS: dict[Deed, str] = {
    "apply": "apply or discard a plan",
    "apply_over_limit": "approve a plan over its limit",
    "settle": "settle what needs a decision",
    "schedule": "change the schedule",
    "bind": "give a channel its pair",
    "prefer": "change the mapping",
}
_ADMINS_ONLY: tuple[Deed, ...] = ("bind", "prefer")


class Gate(msgspec.Struct, frozen=True):
    """Admins and approvers, in the order in which they were named."""

    admins: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()

    def who(self, deed: Deed) -> tuple[str, ...]:
        """Everybody who may."""
        if deed in _ADMINS_ONLY:
            return self.admins
        if deed == "apply_over_limit" and self.approvers:
            return self.approvers
        return tuple(dict.fromkeys((*self.approvers, *self.admins)))

    def refusal(self, user: str, deed: Deed) -> str | None:
        """Why `user` may not, and who may; None: they may."""
        allowed = self.who(deed)
        if user in allowed:
            return None
        if not allowed:
            setting = "TIEOUT_ADMINS" if deed in _ADMINS_ONLY else "TIEOUT_APPROVERS"
            return f"Nobody may {_WORDS[deed]} yet: set {setting} to the Slack user ids of those who may."
        return f"Only {mentions(allowed)} may {_WORDS[deed]}. Ask one of them to do it."


def mentions(users: Collection[str]) -> str:
    """`<@U1>, <@U2> or <@U3>`."""
    named = [f"<@{user}>" for user in users]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} or {named[-1]}"
