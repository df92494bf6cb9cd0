"""The mapping of the demonstration's pair, as a person would write it."""

from __future__ import annotations

from datetime import date

PAIR = "demo"
BILLING_EMAIL = "billing_email"  # a property of the CRM's companies that the books decide

_TEXT = """\
# HubSpot as the CRM, QuickBooks as the books: the pair that `tieout demo` sets up on local sandboxes.
pair: {pair}
crm: hubspot
books: quickbooks
time_zone: America/New_York
cut_over: {cut_over}               # deals won earlier are matched to existing invoices, never billed
customers_from: companies
deal_amount: net

flows:
  customers:
    apply: ask
    direction: two-way
    create: {{books: first_document, crm: always}}
    match: [marker, tax_id, email, name+postal_code, phone]
    removed: {{crm: ask, books: ask}}
    fields:
      - {{crm: name, books: legal_name, authority: crm}}
      - {{crm: properties.billing_email, books: emails.general, authority: books}}
      - {{crm: phone, books: phone, authority: ask, transform: phone(US)}}
      - {{crm: address, books: addresses.billing, authority: books}}   # a group: merged as one
  items:
    apply: auto
    direction: books-to-crm
    create: {{books: never, crm: always}}
    match: [marker, sku, name]
    fields:
      - {{crm: name, books: name, authority: books}}
      - {{crm: sku, books: sku, authority: books}}
      - {{crm: price, books: price, authority: books}}
      - {{crm: description, books: description, authority: books}}
  invoices:
    apply: ask
    from: deals
    when: {{status: won}}
    as: post
    date: won_on
    due: 30
    lines: line_items
    number: books
    ready: {{require: [bill_to], wait_after_won_min: 60, missing: ask deal.owner}}
    tax:
      - {{ship_to: US-NY, code: TAX}}
      - otherwise: NON
    cents: adjust_line
    changed_after_posting: ask
  payments:
    apply: auto
    direction: books-to-crm
    fields:
      - {{books: state, crm: properties.invoice_status}}
      - {{books: paid_cash, crm: properties.amount_paid}}
      - {{books: balance, crm: properties.balance_due}}
      - {{books: settled_on, crm: properties.settled_on}}

guards:
  changed_in_24_h: {{share: 50%, at_least: 120}}     # roomy: the first plan marks every deal that was paid before
  removed_in_24_h: 5
expected_without_deal: [{{origin: recurring}}]        # support contracts that QuickBooks bills by itself
"""


def demo_mapping(cut_over: date) -> str:
    """The mapping as YAML."""
    return _TEXT.format(pair=PAIR, cut_over=cut_over.isoformat())
