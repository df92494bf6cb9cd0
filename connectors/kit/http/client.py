"""The one request path that every connector uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from connectors.kit import contract
from connectors.kit.http.answer import Answer, Explanation
from connectors.kit.http.pace import Pace

Params: TypeAlias = Mapping[str, str | int] | Sequence[tuple[str, str | int]]


def no_explanation(answer: Answer) -> Explanation | None:
    return None


class Http:
    """Calls to one account at one vendor.

    `base_url` is put before each path. `authorise` makes a request's auth headers from the token; `renew` gets a
    new token (None: tokens do not expire). `explain` reads a vendor's error answers, and its faults inside a 200;
    if it finds nothing or cannot read the body, the table of verdicts stands. `request_id_header` names the
    header in which the vendor tells the request's id. `deadline_s` bounds a call, retries and waits included.

    Bodies are JSON: a Decimal goes out as a JSON number with all its digits, UNSET struct fields are left out.

    Both calls raise, with `.answer` (None: no answer came):
    Reconnect (the token is refused, also after a renewal), TryLater(wait_s), Refused, Gone (404, 410), NotAllowed
    (402, 403), and for writes Doubtful."""

    def __init__(
        self,
        deps: contract.Deps,
        *,
        system: str,
        base_url: str,
        authorise: Callable[[contract.Token], Mapping[str, str]],
        renew: contract.Renew | None,
        pace: Pace,
        explain: Callable[[Answer], Explanation | None] = no_explanation,
        request_id_header: str | None = None,
        deadline_s: float = 30,
    ) -> None:
        raise NotImplementedError

    async def read(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        params: Params | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        ref: str | None = None,
    ) -> Answer:
        """Ask something that changes nothing (also by POST). Tried up to five times within the deadline while the
        vendor is busy or broken; what is wrong then is TryLater. `operation` is a stable name for logs and counts;
        `path` may be a whole URL of the same origin (a next-page link)."""
        raise NotImplementedError

    async def write(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        params: Params | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        ref: str | None = None,
    ) -> Answer:
        """Send something once. Never sent again by this layer or its library, but for a definite 401, after which
        the token is renewed and the request sent once more. Raises Doubtful whenever nobody can know."""
        raise NotImplementedError
