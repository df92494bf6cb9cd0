"""Settings of the worker, read once from the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

# As people and hosting companies write it, and the driver that is ours.
_DRIVERS = {"postgres": "postgresql+asyncpg", "postgresql": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}


class WorkerSettings(BaseSettings):
    """`TIEOUT_DATA` is the folder of the embedded database, Redis and key; the two URLs replace the first two on
    more than one machine. `TIEOUT_KEY` holds encryption keys, newest first, separated by commas.
    `TIEOUT_VERIFY_A_DAY` records of each pair are read again a day; 0: none."""

    model_config = SettingsConfigDict(env_prefix="TIEOUT_", extra="ignore")

    data: Path = Path(".tieout")
    database_url: str | None = None
    redis_url: str | None = None
    key: str | None = Field(default=None, repr=False)
    verify_a_day: int = Field(default=200, ge=0)

    @property
    def database(self) -> str:
        """The SQLAlchemy URL."""
        if self.database_url is not None:
            scheme, mark, rest = self.database_url.partition("://")
            return f"{_DRIVERS.get(scheme, scheme)}{mark}{rest}"
        return f"sqlite+aiosqlite:///{self.data.resolve() / 'tieout.db'}"

    @property
    def embedded(self) -> bool:
        """Whether this machine's own Redis and SQLite serve."""
        return self.redis_url is None
