"""Settings of the worker, read once from the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class WorkerSettings(BaseSettings):
    """`TIEOUT_DATA` is the folder of the embedded database, Redis and key; the two URLs replace the first two on
    more than one machine. `TIEOUT_KEY` holds encryption keys, newest first, separated by commas."""

    model_config = SettingsConfigDict(env_prefix="TIEOUT_", extra="ignore")

    data: Path = Path(".tieout")
    database_url: str | None = None
    redis_url: str | None = None
    key: str | None = Field(default=None, repr=False)

    @property
    def database(self) -> str:
        """The SQLAlchemy URL."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data.resolve() / 'tieout.db'}"

    @property
    def embedded(self) -> bool:
        """Whether this machine's own Redis and SQLite serve."""
        return self.redis_url is None
