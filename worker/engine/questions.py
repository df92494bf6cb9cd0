"""What only a person can settle, and how many records that is one question for. Pure.

A field that two records were never compared in, and in which they differ, is asked about once for all such records,
with a few of them as examples. With one record it is that record's own question. Money, tax and identity are never
decided for many records at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from connectors.canon.records import Kind
from connectors.kit.contract import Side
from worker.engine.mapping_model import FieldRule

What: TypeAlias = Literal["field", "everywhere", "match", "create", "document", "removed", "half"]

EVERYWHERE = "*"  # the ref of a question about a field of many records
EXAMPLES = 5
ONE_BY_ONE = "one-by-one"  # the answer, and the decision about each of the records


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A question for a person. `crm`, `books` and `base` are JSON values as `to_json` writes them.

    field       one field of two linked records: `crm` and `books` are its values, `base` those they agreed on; of an
                edit that our write passed over (`lost_at`), its side has the value that was lost
    everywhere  the same for every linked pair of records that was never compared in this field: `candidates` are up
                to five of them, as {title, crm, books}; `base` is {records: how many, digest: of all of them}
    match       which of the `candidates` a record is, if any
    create, document, removed   whether something is to be made, or left
    half        of changes that belong together a part was done and the rest failed: `candidates` are all of them
    """

    what: What
    kind: Kind
    side: Side
    ref: str
    title: str
    reason: str
    rule: str = ""
    link_id: str | None = None
    crm: Any = None
    books: Any = None
    base: Any = None
    candidates: tuple[dict[str, Any], ...] = ()

    @property
    def fingerprint(self) -> str:
        """Of the inputs: the same question is not asked twice, and an answer is to what was shown."""
        inputs = (self.what, self.rule, self.crm, self.books, self.base, [c.get("ref") for c in self.candidates])
        return _digest(inputs)

    @property
    def records(self) -> int:
        """How many records wait for the answer."""
        return int(self.base["records"]) if self.what == "everywhere" else 1

    @property
    def lost_at(self) -> Side | None:
        """The side where our write passed over the edit that this is about; None: it is about no such edit."""
        lost_at: Side | None = (
            self.base.get("lost_at") if self.what == "field" and isinstance(self.base, dict) else None
        )
        return lost_at

    @property
    def stood(self) -> dict[Side, Any]:
        """What each side held when it was asked: where an edit was lost, what was written over it."""
        values: dict[Side, Any] = {"crm": self.crm, "books": self.books}
        return values if self.lost_at is None else {**values, self.lost_at: self.base["written"]}

    @property
    def named(self) -> tuple[str, ...]:
        """The refs of the records that this one may be."""
        return tuple(str(candidate.get("ref")) for candidate in self.candidates) if self.what != "everywhere" else ()


def _digest(inputs: Any) -> str:
    text = msgspec.json.Encoder(decimal_format="string", order="sorted").encode(inputs)
    return hashlib.blake2b(text, digest_size=12).hexdigest()


def asked_of(rule: FieldRule, found: Sequence[Question], alone: Collection[str]) -> list[Question]:
    """The questions to ask about a field that was never compared: `found` has each record's own, `alone` the CRM
    refs of those that somebody wants to look at one by one."""
    own = [question for question in found if question.ref in alone]
    rest = [question for question in found if question.ref not in alone]
    return [*own, together(rule, rest)] if len(rest) > 1 else [*own, *rest]


def together(rule: FieldRule, found: Sequence[Question]) -> Question:
    """One question for what would be many. It is another one as soon as a record or a value of them is."""
    listed = sorted(found, key=lambda question: (question.title, question.ref))
    path = rule.path("books")
    return Question(
        what="everywhere",
        kind=listed[0].kind,
        side="crm",
        ref=EVERYWHERE,
        title=f"{len(listed):,} {listed[0].kind.value}s, {path}",
        reason=listed[0].reason,
        rule=rule.key,
        base={"records": len(listed), "digest": _digest([(q.link_id, q.crm, q.books) for q in listed])},
        candidates=tuple(
            {"title": q.title.removesuffix(f", {path}"), "crm": q.crm, "books": q.books} for q in listed[:EXAMPLES]
        ),
    )
