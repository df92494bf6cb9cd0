"""A person's shell and two vendors: the `tieout` command in processes of its own, against sandboxes in theirs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest

from bot.cli import main

ROOT = Path(__file__).parents[2]
SEEDS = ROOT / "docs" / "examples" / "seeds"
MAPPING = ROOT / "docs" / "examples" / "hubspot_quickbooks.yaml"
TIEOUT = (sys.executable, "-m", "bot.cli")
PATIENCE_S = 120
FORKS = get_context("forkserver")  # it has the program loaded, which takes longer than most commands do
FORKS.set_forkserver_preload(["worker.house", "worker.api", "connectors.sandboxes", "bot.cli", __name__])


class Said:
    """How one command ended."""

    def __init__(self, code: int | None, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def __repr__(self) -> str:
        return f"exit {self.code}\n{self.out}\n{self.err}"


class Terminal:
    """A person's shell with a data folder of their own."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def __call__(self, words: str, *more: str) -> Said:
        command = ["tieout", "--data", str(self.data), *words.split(), *more]
        with NamedTemporaryFile("r") as out, NamedTemporaryFile("r") as err:
            process = FORKS.Process(target=typed, args=(command, environment(), out.name, err.name))
            process.start()
            process.join(PATIENCE_S)
            if process.is_alive():
                process.kill()
                process.join()
                raise TimeoutError(f"{words}: {out.read()}\n{err.read()}")
            return Said(process.exitcode, out.read(), err.read())

    def expect(self, code: int, words: str, *more: str) -> Said:
        said = self(words, *more)
        assert code == said.code, repr(said)
        return said


def typed(command: list[str], settings: dict[str, str], out: str, err: str) -> None:
    """What a process of its own does that runs the command. What it is forked from has the settings of its own start,
    not those of the test."""
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY), stream)
    os.environ.clear()
    os.environ.update(settings)
    os.chdir(ROOT)
    sys.argv = command
    main()


def environment() -> dict[str, str]:
    """Without what the person who runs the tests has set."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("TIEOUT_")}
    return {**kept, "PYTHONPATH": str(ROOT), "USER": "alice", "LOGNAME": "alice"}


class Vendor:
    """A sandbox in a process of its own, and a person's hands in it."""

    def __init__(self, system: str) -> None:
        self.process = subprocess.Popen(
            [*TIEOUT, "sandbox", system, "--json", "--no-limits", "--seed", str(SEEDS / system)],
            cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        lines = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            lines.append(line)
            if line == "}\n":
                break
        self.url: str = json.loads("".join(lines))["url"]

    def hand(self, what: str, **message: Any) -> Any:
        request = urllib.request.Request(
            f"{self.url}/_sandbox/{what}", json.dumps(message).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def state(self) -> Any:
        with urllib.request.urlopen(f"{self.url}/_sandbox/state", timeout=10) as answer:
            return json.loads(answer.read())

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(10)


@pytest.fixture
def crm() -> Iterator[Vendor]:
    vendor = Vendor("hubspot")
    yield vendor
    vendor.stop()


@pytest.fixture
def books() -> Iterator[Vendor]:
    vendor = Vendor("quickbooks")
    yield vendor
    vendor.stop()


@pytest.fixture
def tieout(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path / "data")


@pytest.fixture
def paired(tieout: Terminal, crm: Vendor, books: Vendor) -> Terminal:
    """Both sandboxes connected and paired."""
    tieout.expect(0, f"connect hubspot --sandbox {crm.url}")
    tieout.expect(0, f"connect quickbooks --sandbox {books.url}")
    tieout.expect(0, "pair", str(MAPPING))
    return tieout


def edit_both(crm: Vendor, books: Vendor) -> None:
    """The same phone, edited on both sides since they agreed; search has seen it."""
    company = next(c["id"] for c in crm.state()["companies"] if c["properties"]["name"] == "Betatech Inc")
    crm.hand("edit", object="companies", id=company, properties={"phone": "+12025550999"})
    customer = next(c["Id"] for c in books.state()["entities"]["Customer"] if c["DisplayName"] == "Betatech Inc")
    books.hand("edit", entity="Customer", id=customer, fields={"phone": "(202) 555-0888"})
    crm.hand("clock/advance", seconds=60)


def phone_in(books: Vendor, name: str) -> str:
    customers = books.state()["entities"]["Customer"]
    found: str = next(c["PrimaryPhone"]["FreeFormNumber"] for c in customers if c["DisplayName"] == name)
    return found
