"""Each rule of engine.md is in the program, not only in its tests: taken out of the source, a named test turns red."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.saboteurs.bench import FAILED, Copy, Stale
from tests.saboteurs.rules import RULES, SABOTEURS
from tests.saboteurs.saboteur import Saboteur


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """The program once more, to be broken."""
    made = Copy(tmp_path_factory.mktemp("program"))
    yield made
    made.close()


def test_unbroken_all_of_them_pass(copy: Copy) -> None:
    """What turns red is not red anyway."""
    said = copy.run(sorted({saboteur.red for saboteur in SABOTEURS}))
    assert 0 == said.code, said.text


@pytest.mark.parametrize("saboteur", SABOTEURS, ids=lambda saboteur: f"{saboteur.rules[0]}, {saboteur.breaks}")
def test_saboteur_turns_its_test_red(copy: Copy, saboteur: Saboteur) -> None:
    """The test runs and fails: it is not that it cannot be collected, or is not there. What is left is a program."""
    with copy.broken_by(saboteur):
        ast.parse((copy.root / saboteur.file).read_text())
        said = copy.run([saboteur.red])
    assert FAILED == said.code, said.text
    assert " failed" in said.text and " error" not in said.text.splitlines()[-1], said.text
    assert "NameError" not in said.text, said.text


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_has_its_saboteur(rule: int) -> None:
    """One at least."""
    assert [] != [saboteur.breaks for saboteur in SABOTEURS if rule in saboteur.rules]


def test_no_saboteur_is_listed_twice() -> None:
    """Neither what it breaks nor in what words."""
    assert len(SABOTEURS) == len({saboteur.breaks for saboteur in SABOTEURS})
    assert len(SABOTEURS) == len({(saboteur.file, saboteur.old, saboteur.new) for saboteur in SABOTEURS})


def test_a_text_that_is_not_there_any_more_is_said(copy: Copy) -> None:
    """A saboteur that breaks nothing would prove nothing."""
    gone = Saboteur(rules=(1,), breaks="nothing", file="worker/outside.py", old="not there", new="", red="")
    with pytest.raises(Stale, match="0 times, not once"), copy.broken_by(gone):
        pass
