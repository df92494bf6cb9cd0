"""What a database holds that has been at work: rows as they stand in it, table by table in the order in which they can
be stored. A revision that has no such table or column yet holds the rest."""

from __future__ import annotations

from typing import Any

AT = 1_760_000_000_000_000  # microseconds since 1970
LATER = AT + 60_000_000
RULE = "name:legal_name"
PERSON = "Wanjiku"

_CHANGE = {
    "plan_id": "pl_1",
    "pair_id": "pr_1",
    "flow": "invoices",
    "group_id": "ch_1",
    "group_seq": 1,
    "side": "books",
    "kind": "invoice",
    "operation": "create",
    "source_kind": "deal",
    "source_ref": "d1",
    "title": "Acme, 1 of 1",
    "why": "won",
    "record": '{"kind":"invoice","customer":"b1"}',
    "marker": "T-d1",
    "net": "90071992547409.93",  # a float would lose its last digit
    "total": "90071992547409.93",
    "currency": "USD",
    "state": "done",
    "attempt": 1,
    "ref": "i1",
    "stored": '{"kind":"invoice","ref":"i1","customer":"b1"}',
    "settled_at": LATER,
}

ROWS: dict[str, list[dict[str, Any]]] = {
    "installation": [{"id": "in_1", "created_at": AT}],
    "connections": [
        {"id": f"cn_{side}", "system": "memory", "account": side, "name": side, "settings": '{"world":"w"}',
         "state": "live", "catalogue": None, "catalogue_at": None, "created_at": AT}
        for side in ("crm", "books")
    ],
    "credentials": [{"connection_id": "cn_crm", "secret": b"\x80sealed", "generation": 3, "renewed_at": AT}],
    "pairs": [
        {"id": "pr_1", "name": "acme", "crm": "cn_crm", "books": "cn_books", "channel": "C1", "mapping_version": 1,
         "created_at": AT}
    ],
    "mappings": [
        {"pair_id": "pr_1", "version": 1, "text": "pair: acme", "digest": "d", "saved_by": PERSON, "saved_at": AT}
    ],
    "writers": [{"connection_id": "cn_books", "kind": "customer", "field": "legal_name", "pair_id": "pr_1"}],
    "cursors": [{"connection_id": "cn_crm", "kind": "customer", "cursor": "17", "scan": 2, "moved_at": AT}],
    "mirror": [
        {"connection_id": "cn_crm", "kind": "customer", "ref": "c1", "digest": "x", "scan": 2, "missed": 0,
         "body": '{"kind":"customer","ref":"c1","legal_name":"Ünal & Söhne"}', "marker": "T-1", "seen_at": AT},
        {"connection_id": "cn_books", "kind": "customer", "ref": "b1", "digest": "y", "scan": 0, "missed": 0,
         "body": '{"kind":"customer","ref":"b1","legal_name":"Ünal & Söhne"}', "gone": None, "seen_at": AT},
        {"connection_id": "cn_books", "kind": "customer", "ref": "b2", "digest": "z", "scan": 0, "missed": 0,
         "body": '{"kind":"customer","ref":"b2"}', "gone": "merged", "survivor": "b1", "seen_at": AT},
    ],
    "bad_rows": [{"connection_id": "cn_crm", "kind": "deal", "place": "row 7", "reason": "no date", "seen_at": AT}],
    "dirty": [
        {"pair_id": "pr_1", "side": "crm", "kind": "customer", "ref": "c1", "since": AT, "stamp": AT, "refused": 0}
    ],
    "webhook_events": [{"connection_id": "cn_crm", "event_id": "e1", "seen_at": AT}],
    "subscriptions": [{"id": "su_1", "connection_id": "cn_crm", "vendor_id": "v1", "unannounced": 0, "state": "live"}],
    "links": [{"id": "ln_1", "pair_id": "pr_1", "kind": "customer", "provenance": "matched", "why": "tax id",
               "created_at": AT}],
    "link_members": [
        {"pair_id": "pr_1", "side": side, "kind": "customer", "ref": ref, "link_id": "ln_1", "role": "primary"}
        for side, ref in (("crm", "c1"), ("books", "b1"))
    ],
    "bases": [{"link_id": "ln_1", "rule": RULE, "crm": '"Ünal"', "books": '"Unal"', "decision": "ch_0", "at": AT}],
    "positions": [
        {"id": "ps_1", "pair_id": "pr_1", "deal": "d1", "seq": 1, "role": "full", "planned_on": "2025-10-09",
         "net": "90071992547409.93", "currency": "USD", "generation": 0, "state": "billed", "created_at": AT}
    ],
    "documents": [
        {"id": "dc_1", "pair_id": "pr_1", "position_id": "ps_1", "generation": 0, "kind": "invoice", "ref": "i1",
         "marker": "T-d1", "provenance": "created", "state": "live", "created_at": AT}
    ],
    "allocations": [
        {"connection_id": "cn_books", "source_kind": "payment", "source_ref": "p1", "seq": 0, "document": "i1",
         "amount": "12.30", "withheld": "0", "discount": "0", "written_off": "0", "on": "2025-10-20"}
    ],
    "runs": [
        {"id": f"run_{n}", "pair_id": "pr_1", "what": what, "lane": "realtime", "state": state, "requested_by": PERSON,
         "request": '{"plan_id":"pl_1"}', "created_at": AT + n, "fence": 1}
        for n, what, state in ((1, "preview", "done"), (2, "apply", "waiting"))
    ],
    "plans": [
        {"id": "pl_1", "pair_id": "pr_1", "run_id": "run_1", "state": "applying", "fingerprint": "f1",
         "mapping_version": 1, "created_at": AT, "summary": '{"changes":2,"net":{"USD":"90071992547409.93"}}'}
    ],
    "changes": [
        {**_CHANGE, "id": "ch_1", "seq": 0},
        {**_CHANGE, "id": "ch_2", "seq": 1, "group_id": "ch_2", "ref": None, "stored": None, "settled_at": None,
         "state": "unknown", "source_ref": "d2", "marker": "T-d2", "call_until": LATER, "mark": "9"},
    ],
    "approvals": [{"plan_id": "pl_1", "approver": PERSON, "covers": '"all"', "at": AT}],
    "conflicts": [
        {"id": "cf_1", "pair_id": "pr_1", "number": 1, "what": "field", "kind": "customer", "link_id": "ln_1",
         "rule": RULE, "side": "crm", "ref": "c1", "title": "Ünal", "reason": "both changed", "crm": '"A"',
         "books": '"B"', "candidates": "[]", "fingerprint": "q1", "state": "open", "opened_at": AT}
    ],
    "decisions": [
        {"id": "de_1", "pair_id": "pr_1", "side": "crm", "kind": "deal", "ref": "d9", "rule": "", "detail": "",
         "fingerprint": "", "verdict": "not_needed", "decided_by": PERSON, "decided_at": AT}
    ],
    "tallies": [
        {"id": 1, "pair_id": "pr_1", "side": "books", "kind": "invoice", "ref": "i1", "rule": "", "what": "changed",
         "at": AT}
    ],
    "audit": [
        {"pair_id": "pr_1", "seq": 1, "at": AT, "entry": "{}", "previous": "", "hash": "h1"},
    ],
    "audit_heads": [{"pair_id": "pr_1", "seq": 1, "hash": "h1"}],
    "audit_values": [{"pair_id": "pr_1", "digest": "v1", "salt": "s", "value": '"Ünal"'}],
    "reports": [
        {"id": "rp_1", "pair_id": "pr_1", "period": "2025-09-01", "version": 1, "body": "{}", "made_by": PERSON,
         "made_at": AT}
    ],
    "schedules": [
        {"id": "sc_1", "pair_id": "pr_1", "what": "sync", "words": "every hour", "time_zone": "Africa/Nairobi",
         "next_due": LATER, "paused": 0, "created_by": PERSON}
    ],
    "outbox": [
        {"id": 1, "pair_id": "pr_1", "channel": "C1", "message": "run:run_1", "what": "run", "body": "{}",
         "state": "pending", "attempts": 0, "created_at": AT}
    ],
}  # fmt: skip
