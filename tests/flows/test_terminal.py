"""The main job from a terminal."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.flows.terminal import (
    MAPPING,
    ROOT,
    TIEOUT,
    Terminal,
    Vendor,
    books,
    crm,
    edit_both,
    environment,
    paired,
    phone_in,
    tieout,
)

__all__ = ["books", "crm", "paired", "tieout"]  # fixtures


def test_the_main_job_from_first_preview_to_a_settled_conflict(paired: Terminal, crm: Vendor, books: Vendor) -> None:
    """Preview, refusal to apply unasked, apply, payment back, conflict, answer, and then nothing more to do."""
    first = paired.expect(3, "preview")
    assert (
        "2 invoices, USD 6,360.00 net (+ tax 0.00), to post in QuickBooks. 1 customer change."
        == first.out.splitlines()[0]
    )
    assert "Invoice" not in books.state()["entities"]

    unasked = paired.expect(3, "sync")
    assert "tieout sync --yes" in unasked.err
    assert "Invoice" not in books.state()["entities"]

    moneyless = paired.expect(0, "sync --yes --without-money --json").json
    assert [("customer", "done"), ("invoice", "discarded"), ("invoice", "discarded")] == sorted(
        (change["kind"], change["state"]) for change in moneyless["changes"]
    )
    assert "Invoice" not in books.state()["entities"]

    posted = paired.expect(0, "sync --yes --json").json
    assert {"done"} == {change["state"] for change in posted["changes"]}
    assert [6120.0, 240.0] == [invoice["TotalAmt"] for invoice in books.state()["entities"]["Invoice"]]

    books.hand("add", entity="Payment", customer="Cancity Ltd", amount="240.00", invoices={"1002": "240.00"})
    paired.expect(0, "sync --yes")
    belts = next(deal["properties"] for deal in crm.state()["deals"] if deal["properties"]["dealname"] == "Spare belts")
    assert ("paid", "240.00", "0.00") == (belts["invoice_status"], belts["amount_paid"], belts["balance_due"])

    edit_both(crm, books)
    paired.expect(3, "sync --yes")
    question = paired.expect(3, "conflicts --json").json[0]
    assert ("HubSpot", "QuickBooks", ["crm", "books", "value"]) == (
        question["crm_title"], question["books_title"], question["choices"],
    )  # fmt: skip
    settled = paired.expect(0, f"conflicts settle {question['number']} hubspot")
    assert "HubSpot's +12025550999 kept by terminal:alice" in settled.out
    paired.expect(0, "sync --yes")
    assert "+12025550999" == phone_in(books, "Betatech Inc")

    books.hand("edit", entity="Customer", id="2", fields={"phone": "(202) 555-0444"})
    paired.expect(0, "sync --yes")  # HubSpot's search still shows the value before: no edit, and not written back

    assert "In step: nothing to change." == paired.expect(0, "preview").out.splitlines()[0]
    assert "the chain holds" in paired.expect(0, "audit verify").out
    assert "terminal:alice" in paired.expect(0, "history").out
    assert "All is well." == paired.expect(0, "check").out.splitlines()[0]


def test_a_vendor_that_is_away_is_for_later_and_nothing_is_lost(paired: Terminal, books: Vendor) -> None:
    """Exit code 4, in words without a stack trace, and `check` names the account."""
    books.stop()
    said = paired.expect(4, "sync --yes --json --patience 0.2")
    assert (4, "Nothing was written to either side.") == (said.json["error"]["exit"], said.json["error"]["means"])
    assert ("Nothing was written to either side." in said.err, "Traceback" in said.err) == (True, False)
    check = paired.expect(4, "check")
    assert "1 account cannot be reached." == check.out.splitlines()[0]


def test_a_mapping_s_problems_come_one_a_line_with_their_place(
    tieout: Terminal, crm: Vendor, books: Vendor, tmp_path: Path
) -> None:
    tieout.expect(0, f"connect hubspot --sandbox {crm.url}")
    tieout.expect(0, f"connect quickbooks --sandbox {books.url}")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        MAPPING.read_text().replace("otherwise: NON", "otherwise: NNO").replace("direction: two-way", "direction: both")
    )
    said = tieout.expect(1, "pair", str(wrong))
    places = [line.split()[0] for line in said.err.splitlines() if line.startswith(f"  {wrong}")]
    assert all(place.startswith(f"{wrong}:") and place.count(":") == 2 for place in places)
    assert (True, True) == (len(places) >= 1, "Nothing was saved" in said.err)
    assert [] == [line for line in said.out.splitlines() if line]


def test_csv_files_are_connected_by_folder_and_columns(tieout: Terminal, tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_text("id,name\n1,Cancity\n")
    mapping = tmp_path / "m.yaml"
    mapping.write_text("columns:\n  customers: {file: accounts.csv, ref: id, fields: {legal_name: name}}\n")
    said = tieout.expect(0, "connect csv --json --folder", str(tmp_path), "--columns", str(mapping))
    assert ("csv", "live") == (said.json["system"], said.json["state"])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("connect quickboks", 2),
        ("connect hubspot", 2),
        ("connect quickbooks", 2),
        ("connect hubspot --setting nonsense=1", 2),
        ("sandbox xero", 2),
        ("reconcile october", 2),
        ("recon", 2),
        ("preview", 1),
        ("conflicts settle 1 crm", 1),
        ("connect hubspot --sandbox http://127.0.0.1:9", 4),
        ("check", 0),
        ("db upgrade", 0),
    ],
)
def test_every_end_has_its_exit_code(tieout: Terminal, words: str, code: int) -> None:
    """And no stack trace reaches a person."""
    said = tieout.expect(code, words)
    assert "Traceback" not in said.err


def test_a_token_never_reaches_the_screen(tieout: Terminal, crm: Vendor, tmp_path: Path) -> None:
    """A refused token is not quoted, neither in the words nor with --verbose."""
    (tmp_path / "token").write_text("pat-na1-a-secret-that-is-wrong\n")
    base = ["--setting", f"base_url={crm.url}", "--token-file", str(tmp_path / "token")]
    said = tieout.expect(1, "--verbose connect hubspot", *base)
    assert "a-secret" not in said.out + said.err


def test_a_worker_ends_cleanly_and_lets_the_folder_go(tieout: Terminal) -> None:
    """SIGTERM is an end like any other; meanwhile no second worker serves the folder."""
    worker = subprocess.Popen(
        [*TIEOUT, "--data", str(tieout.data), "worker"],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert worker.stdout is not None
    assert "Serving realtime and bulk" in worker.stdout.readline()
    tieout.expect(0, "connections")
    tieout.expect(4, "worker")
    worker.terminate()
    worker.communicate(timeout=20)
    assert 0 == worker.returncode
    assert "in use by a running Tieout" not in tieout.expect(0, "check").out
