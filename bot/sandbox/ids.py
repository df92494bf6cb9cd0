"""Ids as Slack makes them: a letter for the kind, then capitals and digits. The same seed gives the same ids."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter

from bot.sandbox.clock import SandboxClock


class Ids:
    """Makes ids, tokens and timestamps."""

    def __init__(self, seed: str, clock: SandboxClock) -> None:
        self._seed = seed
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self._last_micro = 0

    def _digest(self, kind: str) -> bytes:
        self._counts[kind] += 1
        return hashlib.sha256(f"{self._seed}:{kind}:{self._counts[kind]}".encode()).digest()

    def new(self, prefix: str) -> str:
        """`T`, `C`, `U`, `B`, `V`, `F` ... and ten capitals and digits."""
        return prefix + "0" + base64.b32encode(self._digest(prefix)).decode()[:9]

    def secret(self, kind: str) -> str:
        return self._digest(kind).hex()

    def uuid(self, kind: str) -> str:
        text = self.secret(kind)
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}"

    def ts(self) -> str:
        """A message's time and name in its channel: `1795429440.000100`, never twice, always later."""
        micro = max(int(self._clock.now() * 1_000_000), self._last_micro + 1)
        self._last_micro = micro
        return f"{micro // 1_000_000}.{micro % 1_000_000:06d}"

    def trigger(self) -> str:
        number = int(self.secret("trigger-number")[:12], 16)
        return f"{number}.{int(self._clock.now())}.{self.secret('trigger')[:32]}"
