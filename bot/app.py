"""The bolt app: what Slack calls, and who answers."""

from __future__ import annotations

from typing import Any

import structlog
from slack_bolt.app.async_app import AsyncApp

from bot import ids
from bot.listeners.actions import Actions
from bot.listeners.commands import Commands
from bot.listeners.desk import Desk
from bot.listeners.views import Views

log = structlog.get_logger()


def create_app(desk: Desk, signing_secret: str | None) -> AsyncApp:
    """An app that answers the manifest's command and interactions. Without a signing secret it is for Socket Mode,
    where Slack signs nothing."""
    app = AsyncApp(
        client=desk.client,
        signing_secret=signing_secret or "socket-mode-signs-nothing",
        request_verification_enabled=signing_secret is not None,
        raise_error_for_unhandled_request=False,
    )
    actions = Actions(desk)
    views = Views(desk, actions)
    app.command(ids.COMMAND)(Commands(desk).tieout)
    app.action(ids.ANY_PLAN)(actions.plan)
    app.action(ids.ANY_CONFLICT)(actions.conflict)
    app.action(ids.ANY_RUN)(actions.run)
    app.action(ids.ANY_LIFT)(actions.lift)
    app.action(ids.ANY_AUDIT)(actions.audit)
    app.action(ids.ANY_SCHEDULE)(actions.schedule)
    app.view(ids.CHOOSE_VIEW)(views.chosen)
    app.view(ids.EDIT_VIEW)(views.typed)
    app.error(_unforeseen)
    return app


async def _unforeseen(error: Exception, body: dict[str, Any]) -> None:
    """What no handler told anybody: to the log. A person has been told where there was one to tell."""
    log.error("bot.handler_failed", exc_info=error, type=body.get("type") or body.get("command"))
