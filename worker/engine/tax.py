"""Which tax code a line gets: a decision table read from the top. What no row decides is held, never guessed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from connectors.canon.values import Address, TaxIdentity
from worker.engine.billing import Held
from worker.engine.mapping_model import TaxRule

HOLD = "hold"


class TaxTable(msgspec.Struct, frozen=True):
    """Rows in order; the first whose every condition holds gives its code. `otherwise` is a code or "hold"."""

    rows: tuple[TaxRule, ...] = ()
    otherwise: str = HOLD


class TaxCase(msgspec.Struct, frozen=True, kw_only=True):
    """What a line's tax depends on. `place` is ISO 3166-1 country or country-region ("US-NY"); None: not known."""

    place: str | None
    item_class: str | None
    status: str | None


def place(address: Address | None) -> str | None:
    """ "US-NY" of an address; "US" without a region; None without a country."""
    if address is None or address.country is None or not address.country.strip():
        return None
    country = address.country.strip().upper()
    if address.region is None or not address.region.strip():
        return country
    region = address.region.strip().upper()
    return region if region.startswith(f"{country}-") else f"{country}-{region}"


def status_of(identity: TaxIdentity | msgspec.UnsetType | None) -> str | None:
    return None if identity is None or isinstance(identity, msgspec.UnsetType) else identity.status


def _place_fits(asked: str | None, found: str | None) -> bool:
    if asked is None:
        return True
    return found is not None and (found == asked.upper() or found.startswith(f"{asked.upper()}-"))


def _word_fits(asked: str | None, found: str | None) -> bool:
    return asked is None or (found is not None and found.casefold() == asked.casefold())


def _fits(rule: TaxRule, case: TaxCase) -> bool:
    return (
        _place_fits(rule.ship_to, case.place)
        and _word_fits(rule.item_class, case.item_class)
        and _word_fits(rule.status, case.status)
    )


def _asked(rows: Sequence[TaxRule]) -> tuple[tuple[str, str, str], ...]:
    """Condition, the field that answers it and who can mend it; only those that some row asks about."""
    asked = []
    if any(rule.status is not None for rule in rows):
        asked.append(("tax status", "tax_status", "finance"))
    if any(rule.ship_to is not None for rule in rows):
        asked.append(("ship-to place", "ship_to", "deal.owner"))
    if any(rule.item_class is not None for rule in rows):
        asked.append(("tax class", "tax_class", "admin"))
    return tuple(asked)


def _undecided(table: TaxTable, case: TaxCase) -> Held:
    known = {"tax_status": case.status, "ship_to": case.place, "tax_class": case.item_class}
    missing = [(name, field, who) for name, field, who in _asked(table.rows) if known[field] is None]
    if missing:
        names = " and ".join(name for name, _, _ in missing)
        return Held(reason=f"The tax is not decided: no {names}.", field=missing[0][1], who=missing[0][2])
    said = ", ".join(value for value in (case.place, case.item_class, case.status) if value is not None)
    return Held(reason=f"No row of the tax table covers {said or 'this line'}.", field="tax", who="admin")


def decide(table: TaxTable, case: TaxCase) -> str | Held:
    """The tax code of a line, or what is missing to decide it. First match wins."""
    for rule in table.rows:
        if _fits(rule, case):
            return _undecided(table, case) if rule.code == HOLD else rule.code
    return table.otherwise if table.otherwise != HOLD else _undecided(table, case)
