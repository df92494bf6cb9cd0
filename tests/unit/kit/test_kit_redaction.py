"""What is taken out of texts before anybody reads them, and what stays."""

from __future__ import annotations

import pytest

from connectors.kit.http.redaction import cleared, redacted

TAKEN_OUT = [
    ("token abcdefgh is bad", "token *** is bad"),
    ("Authorization: Bearer eyJ0.a-b_c/d+e==", "Authorization: *** ***"),
    ("used Basic YXBwOmh1c2gtaHVzaA==", "used Basic ***"),
    ('{"access_token": "x1", "refresh_token":"y2"}', '{"access_token": "***", "refresh_token":"***"}'),
    ("client_secret=hush&grant_type=x", "client_secret=***&grant_type=x"),
    ("GET https://api.test/cb?code=c0de&x=1", "GET https://api.test/cb?code=***&x=1"),
    ("GET /contacts/jane%40acacia.test?idProperty=email", "GET /contacts/***?idProperty=email"),
    ("https://api.test/find?q=jane@acacia.test&x=1", "https://api.test/find?q=***&x=1"),
]


@pytest.mark.parametrize(("text", "shown"), TAKEN_OUT)
def test_what_is_taken_out(text: str, shown: str) -> None:
    """Named secrets, what looks like one, and e-mails in addresses."""
    assert redacted(text, ("abcdefgh", None, "")) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Business Validation Error (code: 6240): another customer is called 'Acacia Ltd'",
        "jane@acacia.test is used by another contact",
        "status: 400, and/or retry",
        "basic plan",
    ],
)
def test_what_a_person_needs_stays(text: str) -> None:
    """A vendor's own words are not garbled; a short or missing secret takes nothing out."""
    assert redacted(text, ("", None, "an")) == text


def test_an_answer_s_body_has_no_secret_of_its_request_in_it() -> None:
    """Wherever the vendor quotes it; a short word is left alone."""
    body = b'{"items": [{"error": "abcdefgh is bad"}, {"error": "abc"}]}'
    assert cleared(body, ("abcdefgh", None, "abc", "")) == b'{"items": [{"error": "*** is bad"}, {"error": "abc"}]}'
