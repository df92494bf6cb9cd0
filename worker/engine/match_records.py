"""Which customer or item of one side is which of the other. Never guessed: sure only on strong evidence and one
candidate; else a person is asked, with the reasons in words. Pure.

Candidates come from blocking keys, so that ten thousand against ten thousand takes seconds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

import msgspec
from rapidfuzz import fuzz

from connectors.canon.fields import phone_e164
from connectors.canon.records import AnyRecord, Customer, Item
from connectors.canon.values import Address, TaxIdentity
from worker.engine.mapping_model import Evidence
from worker.engine.names import city_key, plain_words, postcode_key, split_name, street_key, tax_keys

DEFAULT_EVIDENCE: tuple[Evidence, ...] = ("marker", "tax_id", "email", "name+postal_code", "phone")
ITEM_EVIDENCE: tuple[Evidence, ...] = ("marker", "sku", "name")

SURE = 90  # from here on a single candidate is linked without asking
_DOUBT = SURE - 1
TWINS = 75  # from here on two new records of one side are asked about
SHOWN = 3
_BLOCK = 200  # a word that more records share says nothing about any of them
_ALIKE = 88  # names less alike than this are different names
_ALIKE_NEARBY = 75  # ... unless they share a postcode
_KIN = 60  # the same e-mail under names less alike than this may be a bookkeeper's


class Candidate(msgspec.Struct, frozen=True):
    """A record that may be the same: how sure (0-100, from 90 on sure), and why, in words."""

    ref: str
    score: int
    reasons: tuple[str, ...]


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """`same`: link `ref`. `ask`: up to three `candidates` for a person. `none`: nothing like it."""

    verdict: Literal["same", "ask", "none"]
    ref: str | None = None
    score: int = 0
    reasons: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()


class Twins(msgspec.Struct, frozen=True):
    """New records of one side that look the same: a person is asked before anything is made from them."""

    refs: tuple[str, ...]
    score: int
    reasons: tuple[str, ...]


NO_MATCH = Match(verdict="none")


# --------------------------------------------------------------------------- what is compared


class _Card(msgspec.Struct, frozen=True, kw_only=True):
    """One record, brought to the forms that are compared. `tight`: its names without spaces and legal forms."""

    ref: str
    active: bool
    marker: str | None = None
    tight: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    forms: frozenset[str] = frozenset()
    tax: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()
    phone: str | None = None
    postcodes: frozenset[str] = frozenset()
    cities: frozenset[str] = frozenset()
    streets: frozenset[str] = frozenset()
    sku: str | None = None
    person: bool = False


def _told(*values: object) -> list[str]:
    """The texts among values that may be absent or empty."""
    return [value.strip() for value in values if isinstance(value, str) and value.strip()]


def _present(values: Iterable[str | None]) -> frozenset[str]:
    return frozenset(value for value in values if value is not None)


def _customer_card(record: Customer, region: str | None) -> _Card:
    split = [split_name(name) for name in _told(record.legal_name, record.display_name)]
    addresses = [address for address in record.addresses.values() if isinstance(address, Address)]
    people = record.people if isinstance(record.people, tuple) else ()
    phones = _told(record.phone)
    tax = record.tax_identity
    return _Card(
        ref=record.ref,
        active=record.active,
        marker=record.marker,
        tight=frozenset("".join(words) for words, _ in split if words),
        words=frozenset(word for words, _ in split for word in words),
        forms=frozenset(form for _, forms in split for form in forms),
        tax=tax_keys(tax if isinstance(tax, TaxIdentity) else None),
        emails=frozenset(
            email.casefold() for email in _told(*record.emails.values(), *(person.email for person in people))
        ),
        phone=phone_e164(phones[0], region) if phones else None,
        postcodes=_present(map(postcode_key, addresses)),
        cities=_present(map(city_key, addresses)),
        streets=_present(map(street_key, addresses)),
        person=record.is_person,
    )


def _item_card(record: Item) -> _Card:
    names = [plain_words(name) for name in _told(record.name)]
    skus = _told(record.sku)
    return _Card(
        ref=record.ref,
        active=record.active,
        marker=record.marker,
        tight=frozenset("".join(words) for words in names if words),
        words=frozenset(word for words in names for word in words),
        sku=skus[0].casefold() if skus else None,
    )


def _card(record: AnyRecord, region: str | None) -> _Card:
    match record:
        case Customer():
            return _customer_card(record, region)
        case Item():
            return _item_card(record)
        case _:
            raise TypeError(f"customers and items are matched, not {type(record).__name__}")


def _likeness(one: _Card, other: _Card) -> int:
    """How alike the names are, 0-100: the best of each spelling, spaces left out, or the same words in another
    order. 100: the same."""
    if one.tight & other.tight:
        return 100
    if _differ(_numbered(one), _numbered(other)):  # Store 101 and Store 102 are two shops, however alike they look
        return 0
    tight = max((fuzz.ratio(a, b) for a in one.tight for b in other.tight), default=0.0)
    turned = 99.0 if one.words and one.words == other.words else 0.0
    return min(99, int(max(tight, turned)))


def _numbered(card: _Card) -> frozenset[str]:
    """The words of its names that hold a number."""
    return frozenset(word for word in card.words if any(letter.isdigit() for letter in word))


# --------------------------------------------------------------------------- evidence


class _Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What two cards have in common, and what speaks against them."""

    likeness: int
    tax: bool
    email: bool
    phone: bool
    sku: bool
    postcode: bool
    address: bool
    against: tuple[str, ...]

    @property
    def named(self) -> bool:
        return self.likeness == 100

    @property
    def placed(self) -> bool:
        return self.postcode or self.address


def _differ(one: frozenset[str], other: frozenset[str]) -> bool:
    """Both tell, and nothing is common."""
    return bool(one) and bool(other) and not one & other


def _against(one: _Card, other: _Card) -> tuple[str, ...]:
    said = {
        "other tax id": _differ(one.tax, other.tax),
        "other legal form": _differ(one.forms, other.forms),
        "other postcode": _differ(one.postcodes, other.postcodes),
        "other city": _differ(one.cities, other.cities) and not (one.postcodes and other.postcodes),
        "other SKU": one.sku is not None and other.sku is not None and one.sku != other.sku,
        "one is a person, the other is not": one.person != other.person,
        "inactive there": not other.active,
        "inactive here": not one.active,
    }
    return tuple(reason for reason, holds in said.items() if holds)


def _find(one: _Card, other: _Card, evidence: Collection[Evidence]) -> _Findings:
    return _Findings(
        likeness=_likeness(one, other),
        tax="tax_id" in evidence and bool(one.tax & other.tax),
        email="email" in evidence and bool(one.emails & other.emails),
        phone="phone" in evidence and one.phone is not None and one.phone == other.phone,
        sku="sku" in evidence and one.sku is not None and one.sku == other.sku,
        postcode=bool(one.postcodes & other.postcodes),
        address=bool(one.streets & other.streets) and bool(one.cities & other.cities),
        against=_against(one, other),
    )


def _score(found: _Findings, evidence: Collection[Evidence]) -> int:
    """How sure the evidence makes it, before what speaks against it. 0: nothing that counts."""
    kin = found.likeness >= _KIN
    nearby = found.placed and "name+postal_code" in evidence
    ladder = [
        (98, found.tax),
        (96, found.sku and kin),
        (95, found.email and kin),
        (94, found.named and nearby),
        (93, found.named and found.phone),
        (92, found.named and "name" in evidence),
        (80, found.named),
        (85, found.sku),
        (78, found.email),
        (found.likeness * 9 // 10, nearby and found.likeness >= _ALIKE_NEARBY),
        (60, found.phone),
        (found.likeness * 8 // 10, found.likeness >= _ALIKE),
    ]
    return max((score for score, holds in ladder if holds), default=0)


def _weighed(score: int, found: _Findings) -> int:
    """The score after what speaks against it. The same tax id or SKU outweighs another place or legal form;
    nothing outweighs another tax id."""
    decisive = found.tax or found.sku
    light = {"other postcode", "other city", "other legal form", "one is a person, the other is not"}
    counting = [reason for reason in found.against if not (decisive and reason in light)]
    if found.email and found.likeness >= _ALIKE:
        counting = [reason for reason in counting if reason not in ("other postcode", "other city")]
    return score if not counting else min(_DOUBT, score) - 5 * len(counting)


def _reasons(found: _Findings) -> tuple[str, ...]:
    said = {
        "same tax id": found.tax,
        "same SKU": found.sku,
        "same e-mail": found.email,
        "same name": found.named,
        f"name {found.likeness}% alike": 50 <= found.likeness < 100,
        "same address": found.address,
        "same postcode": found.postcode and not found.address,
        "same phone": found.phone,
    }
    return (*(reason for reason, holds in said.items() if holds), *found.against)


def _compare(one: _Card, other: _Card, evidence: Collection[Evidence]) -> Candidate | None:
    found = _find(one, other, evidence)
    score = _score(found, evidence)
    return Candidate(other.ref, _weighed(score, found), _reasons(found)) if score else None


# --------------------------------------------------------------------------- the index


def _strong_keys(card: _Card) -> list[tuple[str, str]]:
    keys = [("tax", key) for key in card.tax] + [("email", key) for key in card.emails]
    keys += [("name", key) for key in card.tight]
    keys += [(what, key) for what, key in (("phone", card.phone), ("sku", card.sku)) if key is not None]
    return keys


def _weak_keys(card: _Card) -> list[tuple[str, str]]:
    """Where names that are only alike meet: a word in common, the same beginning, the same end."""
    keys = [("word", word) for word in card.words if len(word) > 2]
    keys += [(end, key) for name in card.tight if len(name) > 4 for end, key in (("^", name[:4]), ("$", name[-4:]))]
    return keys


class Index:
    """Customers or items of one side, to be matched against. `region` (ISO 3166-1) reads phone numbers without a
    country code; `evidence` is what the mapping's `match` names (default: by kind)."""

    def __init__(
        self, records: Iterable[AnyRecord], region: str | None = None, evidence: Sequence[Evidence] | None = None
    ) -> None:
        records = list(records)
        items = bool(records) and isinstance(records[0], Item)
        self.region = region
        self.evidence = tuple(evidence) if evidence is not None else (ITEM_EVIDENCE if items else DEFAULT_EVIDENCE)
        self._cards: list[_Card] = [_card(record, region) for record in records]
        self._strong: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._weak: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._markers: dict[str, list[str]] = defaultdict(list)
        for number, card in enumerate(self._cards):
            self._enter(number, card)

    def _enter(self, number: int, card: _Card) -> None:
        for key in _strong_keys(card):
            self._strong[key].append(number)
        for key in _weak_keys(card):
            self._weak[key].append(number)
        if card.marker is not None:
            self._markers[card.marker].append(card.ref)

    def _near(self, card: _Card) -> Iterable[_Card]:
        """Cards worth a comparison. Of what is common to too many nothing is compared but what is strong."""
        numbers = {number for key in _strong_keys(card) for number in self._strong.get(key, ())[:_BLOCK]}
        weak = {
            number
            for key in _weak_keys(card)
            if len(block := self._weak.get(key, ())) <= _BLOCK
            for number in block
            if number not in numbers and self._alike(card, self._cards[number])
        }
        return (self._cards[number] for number in sorted(numbers | weak))

    @staticmethod
    def _alike(one: _Card, other: _Card) -> bool:
        """A quick look before the whole comparison."""
        least = _ALIKE_NEARBY if one.postcodes & other.postcodes else _ALIKE
        return one.words == other.words or any(
            fuzz.ratio(a, b, score_cutoff=least) > 0 for a in one.tight for b in other.tight
        )

    def candidates(self, record: AnyRecord, marker: str | None = None) -> list[Candidate]:
        """Everything that may be the same, best first. `marker`: the one that Tieout would have left."""
        card = _card(record, self.region)
        found = {one.ref: one for other in self._near(card) if (one := _compare(card, other, self.evidence))}
        for ref in self._markers.get(marker, ()) if marker is not None and "marker" in self.evidence else ():
            found[ref] = Candidate(ref, 100, ("carries Tieout's marker",))
        return _best_first(found.values())

    def match(self, record: AnyRecord, marker: str | None = None, taken: Collection[str] = ()) -> Match:
        """The verdict for one record. `taken` refs are linked already: never sure, and shown only where the
        evidence is strong."""
        return _verdict(self.candidates(record, marker), taken)

    def item(self, name_or_sku: str) -> Match:
        """The item that a deal's line names: by SKU or by name, with or without spaces ("GTXPro", "GTX Pro")."""
        named = Item(name=name_or_sku, sku=name_or_sku)
        by_sku = [other.ref for other in self._at("sku", _card(named, None).sku)]
        if len(by_sku) == 1:
            return Match(verdict="same", ref=by_sku[0], score=96, reasons=("same SKU",))
        evidence: tuple[Evidence, ...] = ("name",)
        card = _card(Item(name=name_or_sku), None)
        found = [one for other in self._near(card) if (one := _compare(card, other, evidence)) is not None]
        return _verdict(_best_first(found), ())

    def _at(self, what: str, key: str | None) -> list[_Card]:
        return [self._cards[number] for number in self._strong.get((what, key), ())] if key is not None else []


def _best_first(candidates: Iterable[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda one: (-one.score, one.ref))


def _verdict(candidates: list[Candidate], taken: Collection[str]) -> Match:
    sure = [one for one in candidates if one.score >= SURE]
    marked = [one for one in sure if one.score == 100]
    if len(marked) == 1:
        sure = marked
    if len(sure) == 1 and sure[0].ref not in taken:
        return Match(verdict="same", ref=sure[0].ref, score=sure[0].score, reasons=sure[0].reasons)
    return _ask([_noted(one, taken) for one in candidates if one.ref not in taken or one.score >= SURE])


def _noted(one: Candidate, taken: Collection[str]) -> Candidate:
    if one.ref not in taken:
        return one
    return Candidate(one.ref, one.score, (*one.reasons, "already linked to another record"))


def _ask(candidates: Sequence[Candidate]) -> Match:
    if not candidates:
        return NO_MATCH
    best = candidates[0]
    return Match(verdict="ask", score=best.score, reasons=best.reasons, candidates=tuple(candidates[:SHOWN]))


def match_all(
    records: Sequence[AnyRecord],
    index: Index,
    markers: Mapping[str, str] | None = None,
    taken: Collection[str] = (),
) -> dict[str, Match]:
    """A verdict for each record, by ref; `markers` are those Tieout would have left, by the record's ref. Records
    that would take the same candidate are all asked about, unless only one of them is named by its marker."""
    known = markers if markers is not None else {}
    taken = frozenset(taken)
    found = {record.ref: index.match(record, known.get(record.ref), taken) for record in records}
    claims = Counter(one.ref for one in found.values())
    marked = {one.ref for one in found.values() if one.score == 100}
    return {
        ref: one if claims[one.ref] < 2 or (one.score == 100 and one.ref in marked) else _contested(one, claims)
        for ref, one in found.items()
    }


def _contested(one: Match, claims: Mapping[str | None, int]) -> Match:
    """A match that others claim too."""
    if one.ref is None:
        return one
    reasons = (*one.reasons, f"{claims[one.ref]} records look like this one")
    return _ask([Candidate(one.ref, min(one.score, _DOUBT), reasons)])


# --------------------------------------------------------------------------- twins


def twins(
    records: Sequence[AnyRecord], region: str | None = None, evidence: Sequence[Evidence] | None = None
) -> list[Twins]:
    """Groups of records of one side that look the same, in the order of their first."""
    index = Index(records, region, evidence)
    order = {record.ref: number for number, record in enumerate(records)}
    leader = {ref: ref for ref in order}
    pairs: dict[str, list[Candidate]] = defaultdict(list)
    for record in records:
        for one in index.candidates(record):
            if one.score >= TWINS and order[one.ref] < order[record.ref]:
                pairs[_join(leader, record.ref, one.ref)].append(one)
    groups: dict[str, list[str]] = defaultdict(list)
    for ref in order:
        groups[_lead(leader, ref)].append(ref)
    return [_group(refs, pairs, leader) for refs in groups.values() if len(refs) > 1]


def _lead(leader: dict[str, str], ref: str) -> str:
    while leader[ref] != ref:
        leader[ref] = leader[leader[ref]]
        ref = leader[ref]
    return ref


def _join(leader: dict[str, str], one: str, other: str) -> str:
    first, second = _lead(leader, other), _lead(leader, one)
    leader[second] = first
    return first


def _group(refs: list[str], pairs: Mapping[str, list[Candidate]], leader: dict[str, str]) -> Twins:
    lead = _lead(leader, refs[0])
    found = [one for key, ones in pairs.items() if _lead(leader, key) == lead for one in ones]
    best = max(found, key=lambda one: one.score)
    return Twins(tuple(refs), best.score, best.reasons)
