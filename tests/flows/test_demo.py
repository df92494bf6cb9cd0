"""`tieout demo` as a newcomer runs it: the story from first preview to a run that plans nothing, and its page."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from bot.cli import DemoOutside
from bot.demo.figures import Figures
from bot.demo.stage import Options, play_once
from connectors.quickbooks.sandbox import QuickBooksSandbox
from connectors.sandboxes import SANDBOXES

ROOT = Path(__file__).parents[2]
TIEOUT = (sys.executable, "-m", "bot.cli", "demo")
PROMISES = {
    "guard", "it_settles", "money_is_exact", "no_duplicate", "no_echo", "no_lost_edit", "on_record",
    "secrets_stay_in", "what_you_saw_is_what_happens",
}  # fmt: skip

MAPPING = """
pair: own
crm: csv
books: quickbooks
time_zone: America/New_York
cut_over: 2026-01-01
deal_amount: net
columns:
  decimal: "."
  currency: USD
  customers: {file: accounts.csv, ref: account, fields: {legal_name: account}}
  deals:
    file: deals.csv
    ref: id
    fields: {name: id, sold_to: account, stage: stage, won_on: closed, amount: value}
    line: {item: product, qty: 1, unit_price: value}
    stages: {Won: won, Lost: lost}
  items: {file: products.csv, ref: product, fields: {name: product, price: price}}
flows:
  customers:
    apply: ask
    direction: crm-to-books
    create: {books: first_document, crm: never}
    match: [name]
    fields: [{crm: name, books: legal_name, authority: crm}]
  items:
    apply: ask
    direction: crm-to-books
    create: {books: first_document, crm: never}
    match: [name]
    fields: [{crm: name, books: name, authority: crm}]
  invoices:
    apply: ask
    from: deals
    when: {status: won}
    as: post
    date: won_on
    due: 30
    lines: line_items
    number: books
    ready: {require: [bill_to], wait_after_won_min: 60, missing: ask deal.owner}
    accounts: {income: Sales of Product Income}
    tax: [{otherwise: NON}]
"""
CUSTOMERS = ("Alderford", "Birchgate", "Copperlake", "Dalemere", "Emberwick", "Flintport", "Gorsehurst")


@pytest.fixture
def export(tmp_path: Path) -> tuple[Path, Path]:
    """A small export and its mapping."""
    folder, mapping = tmp_path / "export", tmp_path / "own.yaml"
    folder.mkdir()
    (folder / "accounts.csv").write_text("\n".join(["account", *CUSTOMERS, ""]))
    (folder / "products.csv").write_text("product,price\nPump,480.00\n")
    rows = [f"D{n},{name},Pump,Won,2026-03-{n + 2:02},{480 + n}.50" for n, name in enumerate(CUSTOMERS)]
    (folder / "deals.csv").write_text(
        "\n".join(["id,account,product,stage,closed,value", *rows, "L1,Alderford,Pump,Lost,,9", ""])
    )
    mapping.write_text(MAPPING)
    return folder, mapping


def once(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TIEOUT, "--once", *words], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


def test_the_story_ends_well_and_says_so_in_figures(tmp_path: Path) -> None:
    """Every promise is kept, every question that came up was settled, and the last run did nothing."""
    out = tmp_path / "out.json"
    done = once("--json", str(out))

    assert 0 == done.returncode, done.stdout[-3000:] + done.stderr
    said: dict[str, Any] = json.loads(out.read_text())
    assert dict.fromkeys(PROMISES, True) == said["promises"]
    assert {"changes": 0, "writes": 0} == said["second_run"]
    assert {"customers": 200, "deals": 120, "invoices": 90} == {
        k: said["company"][k] for k in ("customers", "deals", "invoices")
    }
    assert said["preview"]["creates"] + said["preview"]["updates"] == said["applied"]
    assert (4, 4) == (said["conflicts_opened"], said["conflicts_resolved"])
    assert 0 < said["calls"]["floor"] <= said["calls"]["made"]
    assert "0.00" == said["reconciliation"]["unexplained"]
    assert 0 < said["reconciliation"]["discrepancies"] < said["reconciliation"]["agreed"]
    assert {"operator: /tieout preview", "operator: /tieout sync"} <= set(done.stdout.splitlines())


def test_one_s_own_export_plays_the_same_story(export: tuple[Path, Path], tmp_path: Path) -> None:
    """The export itself stays as it was."""
    folder, mapping = export
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    out = tmp_path / "out.json"
    done = once("--data", str(folder), "--mapping", str(mapping), "--json", str(out))

    assert 0 == done.returncode, done.stdout[-3000:] + done.stderr
    said = json.loads(out.read_text())
    assert dict.fromkeys(PROMISES, True) == said["promises"]
    assert 8 == said["invoiced"]["documents"]
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


class Twice(QuickBooksSandbox):
    """Keeps each marked invoice that comes in by call twice."""

    def reset(self) -> None:
        super().reset()
        self.company.watchers.append(self._again)

    def _again(self, change: Any) -> None:
        row = self.company.find("Invoice", change.id) if change.entity == "Invoice" else None
        if row is None or change.what != "created" or "[tieout " not in row.get("PrivateNote", ""):
            return
        self.company.watchers.remove(self._again)
        lines = [line for line in row["Line"] if line["DetailType"] == "SalesItemLineDetail"]
        self.add_invoice(row["CustomerRef"]["value"], lines, date=row["TxnDate"], note=row["PrivateNote"])


async def test_a_story_with_a_duplicate_does_not_end_well(
    export: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second invoice for one deal turns two promises red: nothing may stand twice, nothing may happen unseen."""
    monkeypatch.setitem(SANDBOXES, "quickbooks", Twice)
    folder, mapping = export
    options = Options(today=date(2026, 11, 23), once=True, data=folder, mapping=mapping)

    figures: Figures = await play_once(options, DemoOutside(), lambda _: None, lambda: "", lambda: 0.0)

    assert {"no_duplicate", "what_you_saw_is_what_happens"} <= set(figures.broken)
    assert not figures.kept


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--data", "."], "go together"),
        (["--data", "nowhere", "--mapping", "x.yaml"], "no folder nowhere"),
        (["--data", ".", "--mapping", "pyproject.toml"], "cannot be read"),
        (["--json", "nowhere/out.json"], "no folder"),
        (["--data-folder", "."], "not empty"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(words: list[str], says: str) -> None:
    done = once(*words)
    assert 2 == done.returncode
    assert says in " ".join(done.stderr.replace("│", " ").split())


@pytest.fixture
def page(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    env = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    command = [*TIEOUT, "--no-open"]
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def test_the_page_greets_and_ends_cleanly(page: subprocess.Popen[str], tmp_path: Path) -> None:
    """Three addresses that answer, a greeting in the channel; when it is stopped, nothing is left of it."""
    assert page.stdout is not None
    pages = dict(page.stdout.readline().split() for _ in range(3))
    texts = {name: urllib.request.urlopen(url, timeout=10).read().decode() for name, url in pages.items()}

    assert {"Slack", "HubSpot", "QuickBooks"} == set(pages)
    assert "Müller &amp; Söhne: Armaturen GmbH" in texts["HubSpot"]
    page.send_signal(signal.SIGTERM)
    _, err = page.communicate(timeout=20)
    assert (0, "Ended.") == (page.returncode, err.splitlines()[-1])
    assert [] == list(tmp_path.glob("tieout-demo-*"))
