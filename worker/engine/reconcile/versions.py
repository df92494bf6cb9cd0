"""What a new version of a signed report says differently: only the difference."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from worker.engine.reconcile.report import Bridge, Item, Report


class FigureChanged(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of a bridge, before and after; None: the line was not there."""

    bridge: int
    currency: str
    home: bool
    label: str
    before: Decimal | None
    after: Decimal | None


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """Figures that moved, and items that came, went or changed (the item as it is now)."""

    figures: tuple[FigureChanged, ...]
    added: tuple[Item, ...]
    gone: tuple[Item, ...]
    different: tuple[Item, ...]

    @property
    def nothing(self) -> bool:
        return not (self.figures or self.added or self.gone or self.different)


def _figures(bridge: Bridge) -> dict[str, Decimal | None]:
    found: dict[str, Decimal | None] = {bridge.start_label: bridge.start}
    found.update({line.label: line.amount for line in bridge.lines})
    found[f"{bridge.end_label}, expected"] = bridge.expected
    found["independent"] = bridge.independent
    found["unexplained"] = bridge.unexplained
    return found


def _by_key(report: Report) -> dict[tuple[int, str, bool], dict[str, Decimal | None]]:
    return {(b.number, b.currency, b.home): _figures(b) for b in report.bridges}


def _moved(before: Report, after: Report) -> list[FigureChanged]:
    was, now = _by_key(before), _by_key(after)
    moved = []
    for key in [*was, *(key for key in now if key not in was)]:
        old, new = was.get(key, {}), now.get(key, {})
        for label in [*old, *(label for label in new if label not in old)]:
            if old.get(label) != new.get(label):
                number, currency, home = key
                row = FigureChanged(
                    bridge=number,
                    currency=currency,
                    home=home,
                    label=label,
                    before=old.get(label),
                    after=new.get(label),
                )
                moved.append(row)
    return moved


def _items(report: Report) -> dict[str, Item]:
    """Items by id, without their age: a day passing is no difference."""
    return {i.id: msgspec.structs.replace(i, age_days=None) for i in (*report.items, *report.carried)}


def changed(before: Report, after: Report) -> Changed:
    """The difference between two versions of a period's report."""
    was, now = _items(before), _items(after)
    return Changed(
        figures=tuple(_moved(before, after)),
        added=tuple(item for key, item in now.items() if key not in was),
        gone=tuple(item for key, item in was.items() if key not in now),
        different=tuple(item for key, item in now.items() if key in was and was[key] != item),
    )
