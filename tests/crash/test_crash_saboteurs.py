"""Each mechanism, broken on purpose, turns the matrix red; unbroken, the same death leaves no trace."""

from __future__ import annotations

import pytest

from tests.crash.matrix import Matrix
from tests.crash.parent import Visit
from tests.crash.saboteurs import SABOTEURS


@pytest.mark.parametrize("name", list(SABOTEURS))
def test_saboteur_is_seen(on_sqlite: Matrix, name: str) -> None:
    """The duplicate, the loss or the lost login is named."""
    saboteur = SABOTEURS[name]
    visit = Visit(scenario=saboteur.scenario, shape=saboteur.shape, stops=saboteur.stops, saboteur=name)
    wrong = on_sqlite.verdict(visit).wrong
    assert [saboteur.shows] == [saboteur.shows for line in wrong if saboteur.shows in line][:1], wrong


@pytest.mark.parametrize("name", list(SABOTEURS))
def test_without_the_saboteur_nothing_is_wrong(on_sqlite: Matrix, name: str) -> None:
    """So it is the broken mechanism that is seen, and not the death."""
    saboteur = SABOTEURS[name]
    verdict = on_sqlite.verdict(Visit(scenario=saboteur.scenario, shape=saboteur.shape, stops=saboteur.stops))
    assert ((), len(saboteur.stops)) == (verdict.wrong, verdict.seen.reached)
