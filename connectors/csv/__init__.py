"""A folder of CSV files, read and written as a CRM or as books."""
