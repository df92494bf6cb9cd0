"""The page at `/`: what the company holds, and a form for each customer, for somebody who wants to see both sides."""

from __future__ import annotations

from jinja2 import Environment

from connectors.quickbooks.sandbox import accounts
from connectors.quickbooks.sandbox.company import Company

# Fields that the form offers: label, entity property, member of the property.
FIELDS = (
    ("Name", "DisplayName", None),
    ("E-mail", "PrimaryEmailAddr", "Address"),
    ("Phone", "PrimaryPhone", "FreeFormNumber"),
    ("Street", "BillAddr", "Line1"),
    ("City", "BillAddr", "City"),
    ("Notes", "Notes", None),
)
SHOWN = 200

_TEMPLATE = Environment(autoescape=True).from_string(
    """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{{ company.settings.name }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{font:15px/1.4 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}
table{border-collapse:collapse;width:100%;margin:0 0 2rem}th,td{text-align:left;padding:.3rem .5rem;
border-bottom:1px solid #ddd;vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
form{display:flex;gap:.4rem;flex-wrap:wrap}.said{background:#eef6ee;padding:.5rem 1rem}.wrong{background:#fbeeee}
</style></head><body>
<h1>{{ company.settings.name }} <small>QuickBooks sandbox</small></h1>
<p>Company {{ company.realm }}, {{ company.settings.home_currency }}. Accounts receivable: <b>{{ receivable }}</b></p>
{% if said %}<p class="said {{ 'wrong' if wrong }}" role="status">{{ said }}</p>{% endif %}
<h2>Customers ({{ company.rows.Customer|length }})</h2>
<table><tr><th>Name</th><th>E-mail</th><th>Phone</th><th>City</th><th class="n">Balance</th><th>Edit a field</th></tr>
{% for row in customers %}<tr><td>{{ row.DisplayName }}{% if not row.Active %} (inactive){% endif %}</td>
<td>{{ row.get('PrimaryEmailAddr', {}).get('Address', '') }}</td>
<td>{{ row.get('PrimaryPhone', {}).get('FreeFormNumber', '') }}</td>
<td>{{ row.get('BillAddr', {}).get('City', '') }}</td>
<td class="n">{{ row.Balance }} {{ row.CurrencyRef.value }}</td>
<td><form method="post" action="/customer"><input type="hidden" name="id" value="{{ row.Id }}">
<select name="field" aria-label="Field">{% for label, property, member in fields %}
<option value="{{ loop.index0 }}">{{ label }}</option>{% endfor %}</select>
<input name="value" aria-label="New value"><button>Save</button></form></td></tr>{% endfor %}</table>
<h2>Invoices ({{ company.rows.Invoice|length }})</h2>
<table><tr><th>No.</th><th>Date</th><th>Due</th><th>Customer</th><th class="n">Total</th><th class="n">Open</th></tr>
{% for row in invoices %}<tr><td>{{ row.get('DocNumber', '') }}</td><td>{{ row.TxnDate }}</td>
<td>{{ row.get('DueDate', '') }}</td><td>{{ row.CustomerRef.name }}</td><td class="n">{{ row.TotalAmt }}</td>
<td class="n">{{ row.Balance }}</td></tr>{% endfor %}</table>
<h2>Payments ({{ company.rows.Payment|length }})</h2>
<table><tr><th>Date</th><th>Customer</th><th>Reference</th><th class="n">Amount</th><th class="n">Unapplied</th></tr>
{% for row in payments %}<tr><td>{{ row.TxnDate }}</td><td>{{ row.CustomerRef.name }}</td>
<td>{{ row.get('PaymentRefNum', '') }}</td><td class="n">{{ row.TotalAmt }}</td>
<td class="n">{{ row.UnappliedAmt }}</td></tr>{% endfor %}</table>
{% if cut %}<p>Only the newest {{ shown }} of each are shown.</p>{% endif %}</body></html>"""
)


def render(company: Company, said: str = "", *, wrong: bool = False) -> str:
    """The page as HTML; everything that comes from records is escaped."""
    newest = {name: list(company.rows[name].values())[-SHOWN:] for name in ("Customer", "Invoice", "Payment")}
    receivable = company.rows["Account"][accounts.id_of(company, accounts.RECEIVABLE)]["CurrentBalance"]
    return _TEMPLATE.render(
        company=company,
        customers=newest["Customer"],
        invoices=newest["Invoice"],
        payments=newest["Payment"],
        receivable=receivable,
        fields=FIELDS,
        said=said,
        wrong=wrong,
        shown=SHOWN,
        cut=any(len(company.rows[name]) > SHOWN for name in newest),
    )
