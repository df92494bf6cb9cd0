"""What came back from the app."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Trouble = Literal["operation_timeout", "dispatch_failed", "http_client_error", "http_service_error"]


class Answer(msgspec.Struct, frozen=True):
    """An acknowledgement. `trouble`: why there was none, in Slack's word; `body`: JSON or text, None if empty;
    `no_retry`: the app asked not to be sent this event again."""

    body: Any = None
    trouble: Trouble | None = None
    reason: str = ""
    no_retry: bool = False

    @property
    def said(self) -> dict[str, Any]:
        """The body as a message: plain text becomes its text."""
        if isinstance(self.body, dict):
            return self.body
        return {"text": self.body} if self.body else {}
