"""What a saboteur is: an edit of the program's source that takes one mechanism away, and the test that sees it."""

from __future__ import annotations

import msgspec


class Saboteur(msgspec.Struct, frozen=True, kw_only=True):
    """`rules`: of engine.md, by number. `breaks`: in words, what is wrong afterwards. `file` is below the root; `old`
    stands in it once and becomes `new`. `red`: the test that must fail then, by its full id."""

    rules: tuple[int, ...]
    breaks: str
    file: str
    old: str
    new: str
    red: str
