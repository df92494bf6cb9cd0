"""What Slack says no with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Refusal(Exception):
    """A Web API call refused with Slack's error code. `messages` goes to response_metadata; HTTP status is 200 but
    for rate limits (https://docs.slack.dev/apis/web-api/)."""

    def __init__(
        self,
        code: str,
        messages: Sequence[str] = (),
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.messages = tuple(messages)
        self.status = status
        self.headers = dict(headers or {})
        self.more = more

    def body(self) -> dict[str, Any]:
        said: dict[str, Any] = {"ok": False, "error": self.code, **self.more}
        if self.messages:
            said["errors"] = list(self.messages)
            said["response_metadata"] = {"messages": [f"[ERROR] {text}" for text in self.messages]}
        return said


class CannotDo(Exception):
    """Something that a person cannot do in Slack either: no such button, a closed modal, a channel they are not in."""
