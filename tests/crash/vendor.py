"""A pretend vendor that outlives its client, with points of its own in the middle of a call, and a login whose
refresh token works once."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from connectors.canon.records import kind_of
from connectors.kit.contract import Act, Create, Denied, NotSent, Outcome, Token, Write
from connectors.kit.errors import Reconnect
from connectors.memory.faults import Call
from tests.crash.trap import Trap
from tests.flows.rig import Vendor
from worker.crash import crash

LATE_S = 60.0


class Account(msgspec.Struct):
    """What the vendor knows of the login: what works now, how many calls the access token is still good for, and how
    often a refresh token came that was used before."""

    number: int = 1
    calls_left: int = 4
    lasts: int = 4
    refused: int = 0
    logins: int = 0

    @property
    def token(self) -> Token:
        return Token(access=f"access-{self.number}", refresh=f"refresh-{self.number}")


class Login:
    """The vendor's token endpoint, in a file: a refresh gives a new pair of tokens and ends the old one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def _turn(self) -> Iterator[Account]:
        with self.path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            account = msgspec.json.decode(file.read(), type=Account)
            yield account
            file.seek(0)
            file.truncate()
            file.write(msgspec.json.encode(account))

    @classmethod
    def make(cls, path: Path, lasts: int) -> Login:
        path.write_bytes(msgspec.json.encode(Account(calls_left=lasts, lasts=lasts)))
        return cls(path)

    def account(self) -> Account:
        with self._turn() as account:
            return account

    def lets_in(self, token: Token) -> bool:
        """Whether a call with this token is let in; each is one less."""
        with self._turn() as account:
            good = token.access == account.token.access and account.calls_left > 0
            account.calls_left -= int(good)
            return good

    def log_in(self) -> Token:
        """A person logs in anew."""
        with self._turn() as account:
            account.number, account.calls_left, account.logins = account.number + 1, account.lasts, account.logins + 1
            return account.token

    async def refresh(self, token: Token) -> Token:
        with self._turn() as account:
            if token.refresh != account.token.refresh:
                account.refused += 1
                raise Reconnect("The refresh token was used before.", system="memory", operation="login")
            account.number, account.calls_left = account.number + 1, account.lasts
            return account.token


class Mortal(Vendor):
    """The reference connector for processes that die. `trap` and `endpoint` (where the login is renewed) are the
    process's own; `refused` is what the books refuse, as "credit_note create"."""

    trap: Trap
    endpoint: Login | None = None
    refused: str = ""

    async def _read(self, call: Call) -> None:
        await self._let_in()
        await super()._read(call)

    async def _let_in(self) -> None:
        if self.endpoint is None or self.world.name != "books":
            return
        token = await self._deps.tokens.current()
        for _ in range(3):
            if self.endpoint.lets_in(token):
                return
            token = await self._deps.tokens.renewed(token, self.endpoint.refresh)
        raise Reconnect("The authorisation has expired.", system="memory", operation="login")

    async def write(self, writes: Sequence[Write], key: str) -> list[Outcome]:
        batch = tuple(writes)
        try:
            await self._let_in()
        except Reconnect as error:
            return [NotSent(error.message, next="reconnect") for _ in batch]
        if self.world.name == "books" and self.refused == _said(batch[0]):
            return [Denied("The books do not take that.", code="refused") for _ in batch]
        if self.trap.is_next("vendor.sent"):
            with self.world.turn():
                self.world.send_later(batch, key, LATE_S)
        crash("vendor.sent")
        if len(batch) > 1:
            if self.trap.is_next("vendor.half"):
                with self.world.turn():
                    self.world.execute(batch[: len(batch) // 2], key)
            crash("vendor.half")
        outcomes = await super().write(batch, key)
        crash("vendor.done")
        return outcomes


def _said(write: Write) -> str:
    match write:
        case Create():
            return f"{kind_of(write.record).value} create"
        case Act():
            return f"{write.kind.value} {write.operation}"
        case _:
            return f"{write.kind.value} update"
