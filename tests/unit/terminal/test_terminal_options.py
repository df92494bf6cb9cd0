"""What a command line says becomes settings, or a sentence about what is wrong with it."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bot.cli import Tieout
from bot.terminal import upkeep
from bot.terminal.accounts import app_of, columns_section, sandbox_settings, settings_of, system_named
from bot.terminal.answers import month_asked
from bot.terminal.app import HELP, hoisted
from bot.terminal.check import Finding, exit_code, headline, machine_findings, text
from bot.terminal.doors import Machine
from bot.terminal.screen import Exit, Failure, Screen

ROOT = Path(__file__).parents[3]
DOORS = Tieout()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("preview --json", "--json preview"),
        ("--pair acme sync --yes --data d", "--pair acme --data d sync --yes"),
        ("preview --pair=acme", "--pair=acme preview"),
        ("conflicts settle 3 value -- --json", "conflicts settle 3 value -- --json"),
        ("preview --pair", "--pair preview"),
    ],
)
def test_options_of_every_command_may_stand_anywhere(words: str, expected: str) -> None:
    assert expected.split() == hoisted(words.split())


def test_every_system_says_how_to_log_in_to_it() -> None:
    systems = DOORS.systems()
    quickbooks, hubspot, csv = systems["quickbooks"], systems["hubspot"], systems["csv"]
    assert ("realmId", "realm_id") == (quickbooks.account_param, quickbooks.account_setting)
    assert (True, True) == (hubspot.token_hint is not None, hubspot.oauth)
    assert (None, False) == (csv.token_hint, csv.oauth)
    for system in systems.values():
        if system.account_param is not None:
            assert system.account_setting in [ask.name for ask in system.settings]


def test_every_sandbox_points_at_settings_that_its_connector_has() -> None:
    for slug, welcome in DOORS.sandboxes().items():
        known = {ask.name for ask in DOORS.systems()[slug].settings}
        assert set() == set(welcome.settings) - known


def test_a_sandbox_s_address_becomes_the_connector_s_addresses() -> None:
    found = sandbox_settings(DOORS.sandboxes()["quickbooks"], "http://127.0.0.1:9/")
    assert {
        "base_url": "http://127.0.0.1:9",
        "token_url": "http://127.0.0.1:9/oauth2/v1/tokens/bearer",
        "authorize_url": "http://127.0.0.1:9/connect/oauth2",
    } == found


def test_an_unknown_system_gets_a_suggestion() -> None:
    with pytest.raises(Failure) as caught:
        system_named(DOORS.systems(), "quickboks")
    assert (Exit.USAGE, True) == (caught.value.code, 'Did you mean "quickbooks"?' in (caught.value.next_step or ""))


@pytest.mark.parametrize("given", [["base_url"], ["bse_url=x"]])
def test_a_setting_that_the_system_lacks_is_wrong_usage(given: list[str]) -> None:
    with pytest.raises(Failure) as caught:
        settings_of(DOORS.systems()["hubspot"], given)
    assert Exit.USAGE == caught.value.code


def test_a_folder_and_the_columns_of_a_mapping_become_settings(tmp_path: Path) -> None:
    mapping = tmp_path / "m.yaml"
    mapping.write_text("pair: x\ncolumns:\n  customers: {file: a.csv, ref: id}\n")
    found = settings_of(DOORS.systems()["csv"], [], tmp_path, mapping)
    assert (str(tmp_path), "customers:\n  file: a.csv\n  ref: id\n") == (found["folder"], found["columns"])


def test_a_mapping_without_columns_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("pair: x\n")
    with pytest.raises(Failure) as caught:
        columns_section(tmp_path / "m.yaml")
    assert Exit.USAGE == caught.value.code


def test_one_s_own_app_wins_over_the_sandbox_s() -> None:
    welcome = DOORS.sandboxes()["quickbooks"]
    own, theirs = app_of("mine", "s", welcome), app_of(None, None, welcome)
    assert ("mine", welcome.client_id) == (own.client_id if own else None, theirs.client_id if theirs else None)


@pytest.mark.parametrize("word", ["2026-13", "2026-1", "october", "2026-10-01"])
def test_a_month_is_written_as_year_and_month(word: str) -> None:
    with pytest.raises(Failure) as caught:
        month_asked(word)
    assert (Exit.USAGE, "2026-10") == (caught.value.code, month_asked("2026-10"))


# ------------------------------------------------------------------ the screen


def test_the_help_names_every_exit_code() -> None:
    words = " ".join(HELP.split())
    assert [0, 1, 2, 3, 4] == [int(n) for n in re.findall(r"(?:codes: |; )(\d) ", words)] == [int(e) for e in Exit]


def only_json(out: str) -> bool:
    try:
        json.loads(out)
    except ValueError:
        return False
    return True


def test_with_json_the_output_is_one_document_whatever_is_said() -> None:
    out, err = io.StringIO(), io.StringIO()
    screen = Screen(out, err, as_json=True)
    screen.say("3 invoices")
    screen.note("a warning")
    screen.document({"changes": 3})
    assert (True, "3 invoices\na warning\n") == (only_json(out.getvalue()), err.getvalue())


def test_a_screen_that_mixes_words_into_the_document_would_be_caught() -> None:
    """Saboteur: a screen whose words go to the output."""

    class Careless(Screen):
        def say(self, text: str) -> None:
            self._out.write(f"{text}\n")

    out = io.StringIO()
    screen = Careless(out, io.StringIO(), as_json=True)
    screen.say("3 invoices")
    screen.document({"changes": 3})
    assert not only_json(out.getvalue())


def test_a_failure_says_what_happened_what_it_means_and_what_to_do() -> None:
    failure = Failure("QuickBooks is away", means="Nothing was written.", next_step="tieout check", details=["a:1:2 x"])
    assert "QuickBooks is away.\n  a:1:2 x\nNothing was written.\nNext: tieout check" == failure.text()


# ------------------------------------------------------------------ check


SOUND = Machine(
    data=".tieout",
    data_exists=True,
    data_writable=True,
    database="SQLite in the data folder",
    revision="0002",
    newest="0002",
    redis="the program's own",
    redis_reachable=True,
    key=".tieout/key",
)


def _with(**said: object) -> list[Finding]:
    import msgspec

    return machine_findings(msgspec.structs.replace(SOUND, **said))


def test_a_sound_machine_is_said_to_be_well() -> None:
    assert ("All is well.", Exit.DONE) == (headline(_with()), exit_code(_with()))


@pytest.mark.parametrize(
    ("said", "do"),
    [
        ({"data_writable": False}, "--data"),
        ({"revision": "0001"}, "tieout db upgrade"),
        ({"database_error": "cannot be reached"}, "TIEOUT_DATABASE_URL"),
        ({"redis_reachable": False}, "TIEOUT_REDIS_URL"),
        ({"key_problem": "can be read by others"}, "chmod 600 .tieout/key"),
    ],
)
def test_each_thing_that_is_wrong_comes_with_what_to_do(said: dict[str, object], do: str) -> None:
    """Saboteur: the sound machine's findings name none of it."""
    assert (Exit.FAILED, True) == (exit_code(_with(**said)), do in text(_with(**said)))
    assert do not in text(_with())


def test_what_is_still_to_set_up_is_no_failure() -> None:
    assert Exit.DONE == exit_code(_with(data_exists=False, revision=None))


def test_an_account_that_cannot_be_reached_is_not_wrong_but_later() -> None:
    away = Finding(what="HubSpot 1", state="away", said="cannot be reached")
    assert (Exit.LATER, "1 account cannot be reached.") == (exit_code([away]), headline([away]))


# ------------------------------------------------------------------ the composition root


def test_help_loads_nothing_heavy() -> None:
    """`tieout --help` answers at once because nothing of the worker is loaded for it."""
    code = (
        "import sys, bot.cli; bot.cli.build(bot.cli.Tieout());"
        "print(sorted({'sqlalchemy', 'aiohttp', 'arq', 'worker', 'connectors', 'alembic', 'babel'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "[]" == found.stdout.strip()


def test_the_console_script_is_this_program() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"tieout": "bot.cli:main"} == project["scripts"]
    assert upkeep.check.__doc__ is not None
