"""Checks a FOCUS file with focus-validator under the rules of FOCUS 1.0. Arguments: the CSV file, and a folder for output.

The validator has other names for some columns than the specification, so these columns are added under its names.
"""

import csv
import subprocess
import sys
import sysconfig
from pathlib import Path

ALIASES = {
    "Provider": "ProviderName",
    "Publisher": "PublisherName",
    "InvoiceIssuer": "InvoiceIssuerName",
    "ResourceID": "ResourceId",
    "ChargeType": "ChargeCategory",
}

source, folder = Path(sys.argv[1]), Path(sys.argv[2])
with source.open(newline="") as file:
    rows = list(csv.DictReader(file))
assert rows, "the file has no rows"
aliased = folder / "aliased.csv"
with aliased.open("w", newline="") as file:
    writer = csv.DictWriter(file, [*rows[0], *ALIASES])
    writer.writeheader()
    writer.writerows({**row, **{alias: row[name] for alias, name in ALIASES.items()}} for row in rows)
command = [Path(sys.executable).with_name("focus-validator"), "--data-file", aliased, "--validate-version", "1.0"]
# The validator finds its list of currencies by a path that is relative to its package.
result = subprocess.run(command, capture_output=True, text=True, cwd=sysconfig.get_path("purelib"))
print(result.stdout)
print(result.stderr, file=sys.stderr)
sys.exit(result.returncode)
