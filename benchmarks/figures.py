"""What a benchmark gives: named numbers, each with its unit and, where there is one, its aim."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

Unit: TypeAlias = str


class Aim(msgspec.Struct, frozen=True):
    """What a figure should stay under (`at_most`), in the figure's own unit."""

    at_most: float


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured number. `note`: what it was measured on."""

    name: str
    value: float
    unit: Unit
    aim: Aim | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None: there is none."""
        return None if self.aim is None else self.value <= self.aim.at_most


def figure(name: str, value: float, unit: Unit, at_most: float | None = None, note: str = "") -> Figure:
    """A figure rounded to what is worth reading: three digits behind the point below ten, else one."""
    places = 3 if abs(value) < 10 else 1
    aim = Aim(at_most) if at_most is not None else None
    return Figure(name=name, value=round(value, places), unit=unit, aim=aim, note=note)
