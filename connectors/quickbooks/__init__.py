"""QuickBooks Online: the books of small companies, through its v3 Accounting API."""
