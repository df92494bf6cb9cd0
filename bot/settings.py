"""The bot's settings, read once from the environment."""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class BotSettings(BaseSettings):
    """`SLACK_BOT_TOKEN`; `SLACK_APP_TOKEN` for Socket Mode, or `SLACK_SIGNING_SECRET` for HTTP on `TIEOUT_HOST` and
    `TIEOUT_PORT`. `TIEOUT_ADMINS` and `TIEOUT_APPROVERS` are Slack user ids, separated by commas.
    `TIEOUT_SLACK_URL` replaces https://slack.com/api/, for the sandbox. `TIEOUT_PUBLIC_URL` is where the outside
    reaches this bot, if a proxy stands before it: vendors sign the address that they call."""

    model_config = SettingsConfigDict(env_prefix="TIEOUT_", extra="ignore", populate_by_name=True)

    bot_token: str | None = Field(default=None, repr=False, validation_alias=AliasChoices("SLACK_BOT_TOKEN"))
    app_token: str | None = Field(default=None, repr=False, validation_alias=AliasChoices("SLACK_APP_TOKEN"))
    signing_secret: str | None = Field(default=None, repr=False, validation_alias=AliasChoices("SLACK_SIGNING_SECRET"))
    slack_url: str = "https://slack.com/api/"
    host: str = "127.0.0.1"
    port: int = 3000
    public_url: str | None = None
    admins: Annotated[tuple[str, ...], NoDecode] = ()
    approvers: Annotated[tuple[str, ...], NoDecode] = ()

    @field_validator("admins", "approvers", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @property
    def socket_mode(self) -> bool:
        return self.app_token is not None

    def missing(self) -> list[str]:
        """What has to be set before the bot can start, in words."""
        found = []
        if self.bot_token is None:
            found.append("SLACK_BOT_TOKEN (xoxb-...): the app's page in Slack, OAuth & Permissions")
        if self.app_token is None and self.signing_secret is None:
            found.append("SLACK_APP_TOKEN (xapp-...): the app's page, Basic Information, App-Level Tokens")
        if not self.admins and not self.approvers:
            found.append("TIEOUT_APPROVERS: the Slack user ids of those who may apply a plan")
        return found
