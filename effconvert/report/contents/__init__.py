"""Contents of a report: its document as types, from which the JSON Schema of report.json is made."""
