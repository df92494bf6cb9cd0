"""What the terminal needs from the rest of the house. `bot/cli.py` opens these doors; nothing here knows who is
behind them, so that commands see the worker through `worker.api` alone and never meet a vendor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from bot.terminal.screen import Failure

if TYPE_CHECKING:
    from worker.api import Api, Trail, Webhooks


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of a connection. `default` None: it has to be given."""

    name: str
    help: str
    default: str | None = None
    secret: bool = False


class System(msgspec.Struct, frozen=True, kw_only=True):
    """A system that can be connected, and how one logs in to it. `token_hint` None: it takes no pasted token;
    `account_param` names the callback's parameter that goes into the setting `account_setting`."""

    slug: str
    title: str
    settings: tuple[Ask, ...]
    token_hint: str | None = None
    oauth: bool = False
    account_param: str | None = None
    account_setting: str | None = None


class SandboxLogin(msgspec.Struct, frozen=True, kw_only=True):
    """How to connect to a local sandbox: settings with a path each, and a login that opens nothing else."""

    settings: Mapping[str, str]
    token: str | None = None
    client_id: str | None = None
    client_secret: str | None = None


class Consent(Protocol):
    """An OAuth login in progress."""

    def url(self, redirect_uri: str, state: str) -> str:
        """Where a person says yes."""

    async def exchange(self, code: str, redirect_uri: str) -> Any:
        """The token for the code that came back."""


class App(msgspec.Struct, frozen=True):
    """The OAuth app's own name and secret."""

    client_id: str
    client_secret: str

    def __repr__(self) -> str:
        return f"App({self.client_id})"


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at this machine finds before anything is opened. `revision` None: there is no database yet."""

    data: str
    data_exists: bool
    data_writable: bool
    database: str
    revision: str | None
    newest: str | None
    database_error: str | None = None
    redis: str
    redis_reachable: bool
    key: str
    key_problem: str | None = None
    served: bool = False


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a new encryption key. `given`: the keys are the environment's, `keys` of them; `lost` are what no
    key opens; `resumed`: an earlier rotation was brought to its end; `path`: the key file."""

    resealed: int
    resumed: bool
    lost: tuple[str, ...]
    given: bool
    keys: int
    path: str


class Doors(Protocol):
    """Everything behind the terminal."""

    def systems(self) -> Mapping[str, System]:
        """What can be connected, by slug."""

    def sandboxes(self) -> Mapping[str, SandboxLogin]:
        """Which systems have a local sandbox, by slug."""

    def data(self) -> Path:
        """The data folder that is used."""

    def house(self, *, work: bool = True) -> AbstractAsyncContextManager[Api]:
        """Open the house; with `work`, serve its queue unless another process does."""

    def token(self, access: str) -> Any:
        """A token that a person pasted."""

    def consent(self, slug: str, settings: Mapping[str, str], app: App) -> AbstractAsyncContextManager[Consent]:
        """Begin an OAuth login."""

    async def serve_sandbox(
        self, slug: str, port: int, seed: Path | None, limits: bool, ready: Callable[[str], None]
    ) -> None:
        """Serve a sandbox until cancelled; `ready` hears its address. Raises ValueError for a seed that is none."""

    async def serve_queue(self, lanes: Sequence[str], ready: Callable[[bool], None]) -> None:
        """Serve the queue's lanes until cancelled. `ready` hears whether this process serves: with the embedded
        Redis one process does."""

    def slack_missing(self) -> list[str]:
        """What has to be set before the bot can run in Slack, in words."""

    async def serve_bot(self, ready: Callable[[str], None], *, alone: bool) -> None:
        """Run the bot until cancelled, with a worker process beside it unless it is `alone`. `ready` hears the
        bot's address."""

    async def upgrade(self) -> tuple[str | None, str | None]:
        """Bring the database to the newest revision: what it was and what it is."""

    def trail(self, api: Api) -> Trail:
        """The audit trail of an open house."""

    def webhooks(self, api: Api) -> Webhooks:
        """The webhooks of an open house."""

    async def rotate_keys(self, by: str) -> Rotation:
        """Seal every stored login under a new key. A house need not be open, and may be."""

    async def machine(self) -> Machine:
        """Look, and change nothing."""

    async def log_in(self, api: Api, connection_id: str) -> None:
        """Read a connection's catalogue, as a test of its login. Raises what went wrong."""

    def explain(self, error: BaseException) -> Failure | None:
        """What an error of the worker or a connector means to a person. None: it is not one of theirs."""
