"""A report as canonical JSON: what is stored, hashed and signed."""

from __future__ import annotations

import hashlib

import msgspec

from worker.engine.reconcile import Report

_encoder = msgspec.json.Encoder(decimal_format="string", order="deterministic")
_decoder = msgspec.json.Decoder(Report)


def encode(report: Report) -> bytes:
    """Canonical JSON: the same report gives the same bytes. `decode(encode(r)) == r`."""
    return _encoder.encode(report)


def decode(data: bytes | str) -> Report:
    return _decoder.decode(data)


def digest(report: Report) -> str:
    """SHA-256 of the report without its signatures: preparer and reviewer sign the same figures."""
    header = msgspec.structs.replace(report.header, prepared_by=None, reviewed_by=None)
    return hashlib.sha256(encode(msgspec.structs.replace(report, header=header))).hexdigest()
