"""Writes the JSON Schema of report.json from the types of the document, after these have changed."""

import json
from pathlib import Path

from effconvert.report.contents.generated_schema import schema_of
from effconvert.report.contents.report import Report
from effconvert.report.schema import REPORT

_FILE = Path(__file__).parents[1] / "effconvert" / "report" / "schemas" / f"{REPORT}.schema.json"

if __name__ == "__main__":
    schema = schema_of(Report, "effconvert/report/1")
    _FILE.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
