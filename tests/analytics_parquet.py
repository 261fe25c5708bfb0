"""Reads an exported Parquet file with DuckDB, and prints its sums, the types of its columns, and its rows as JSON."""

import json
import sys

import duckdb

path, empty = sys.argv[1:]
database = duckdb.connect()
database.execute("SET TimeZone = 'UTC'")


def value(value):
    """Returns a value as the JSON of a row has it."""
    match type(value).__name__:
        case "datetime":
            return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case "UUID" | "Decimal":
            return f"{value:f}" if type(value).__name__ == "Decimal" else str(value)
    return value


def one(sql):
    """Returns the first value of a query."""
    return value(database.execute(sql, [path]).fetchone()[0])


sums = {
    "rows": one("SELECT count(*) FROM read_parquet(?)"),
    "cost": one("SELECT sum(total_cost) FROM read_parquet(?)"),
    "priced": one("SELECT count(total_cost) FROM read_parquet(?)"),
    "input_tokens": int(one("SELECT sum(input_tokens) FROM read_parquet(?)")),
    "output_tokens": int(one("SELECT sum(output_tokens) FROM read_parquet(?)")),
    "bytes": int(one("SELECT sum(response_bytes) FROM read_parquet(?)")),
    "errors": one("SELECT count(*) FROM read_parquet(?) WHERE is_error"),
    "teams": dict(
        database.execute(
            "SELECT coalesce(raw_metadata['team'], 'unset'), count(*) FROM read_parquet(?) GROUP BY 1", [path]
        ).fetchall()
    ),
    "tags": int(one("SELECT sum(cardinality(raw_metadata)) FROM read_parquet(?)")),
    "indexed": one("SELECT count(indexed_metadata) FROM read_parquet(?)"),
    "empty": database.execute("SELECT count(*) FROM read_parquet(?)", [empty]).fetchone()[0],
}
columns = database.execute("DESCRIBE SELECT * FROM read_parquet(?)", [path]).fetchall()
types = {name: kind for name, kind, *_ in columns}
rows = [
    {
        name: json.loads(cell) if types[name] == "JSON" and cell is not None else value(cell)
        for name, cell in zip(types, row)
    }
    for row in database.execute("SELECT * FROM read_parquet(?)", [path]).fetchall()
]
json.dump({"sums": sums, "types": types, "rows": rows}, sys.stdout)
