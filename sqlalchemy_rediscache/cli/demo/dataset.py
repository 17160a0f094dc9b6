"""The data set: every airport that the package `airportsdata` knows, as rows of the demo's tables.

The package has one flat record for each airport. Countries, subdivisions and time zones become
rows of their own here, and an empty string becomes NULL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, insert

from sqlalchemy_rediscache.cli.demo.model import (
    Airport,
    Base,
    Country,
    Status,
    Subdivision,
    Timezone,
)
from sqlalchemy_rediscache.cli.demo.settings import DemoError

Row = dict[str, Any]

INSERT_SIZE = 1000


@dataclass(frozen=True, slots=True)
class Dataset:
    """The rows of each table, in the order in which foreign keys let them be inserted."""

    countries: list[Row]
    subdivisions: list[Row]
    timezones: list[Row]
    airports: list[Row]

    @property
    def airport_ids(self) -> list[int]:
        """The primary keys of the airports."""
        return [row["id"] for row in self.airports]

    @property
    def size(self) -> int:
        """The number of rows of all tables."""
        return sum(len(rows) for _, rows in self.tables())

    def tables(self) -> list[tuple[type[Base], list[Row]]]:
        """Give each model with its rows, referenced tables first."""
        return [
            (Country, self.countries),
            (Subdivision, self.subdivisions),
            (Timezone, self.timezones),
            (Airport, self.airports),
        ]


def read_dataset(limit: int | None = None) -> Dataset:
    """Read the airports and derive the tables they refer to.

    Args:
        limit: the number of airports, spread evenly over the sorted codes; None reads all.

    Raises:
        DemoError: the package `airportsdata` is not installed.
    """
    records = _spread(_records(), limit)
    subdivision_keys = sorted({(r["country"], r["subd"]) for r in records if r["subd"]})
    subdivision_ids = {key: number for number, key in enumerate(subdivision_keys, start=1)}
    return Dataset(
        countries=_countries(records),
        subdivisions=[
            {"id": number, "country_code": country, "name": name}
            for (country, name), number in subdivision_ids.items()
        ],
        timezones=[_timezone(name) for name in sorted({r["tz"] for r in records})],
        airports=[
            _airport(number, record, subdivision_ids)
            for number, record in enumerate(records, start=1)
        ],
    )


def insert_dataset(engine: Engine, dataset: Dataset, progress: Callable[[int], None]) -> None:
    """Insert all rows in one transaction.

    Args:
        engine: the database, with the demo's tables in place and empty.
        dataset: the rows.
        progress: is told the number of rows inserted so far.
    """
    done = 0
    with engine.begin() as connection:
        for model, rows in dataset.tables():
            for part in _parts(rows):
                connection.execute(insert(model), part)
                done += len(part)
                progress(done)


def _records() -> list[Row]:
    try:
        import airportsdata
    except ModuleNotFoundError as error:
        raise DemoError(
            "The demo needs the package airportsdata: pip install 'sqlalchemy-rediscache[demo]'"
        ) from error
    return [dict(record) for _, record in sorted(airportsdata.load("ICAO").items())]


def _spread(records: list[Row], limit: int | None) -> list[Row]:
    if limit is None or limit >= len(records):
        return records
    return [records[position * len(records) // limit] for position in range(limit)]


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), INSERT_SIZE):
        yield rows[start : start + INSERT_SIZE]


def _countries(records: list[Row]) -> list[Row]:
    elevations: dict[str, list[float]] = {}
    for record in records:
        elevations.setdefault(record["country"], []).append(record["elevation"])
    return [
        {"code": code, "airport_count": len(heights), "highest_ft": max(heights)}
        for code, heights in sorted(elevations.items())
    ]


def _timezone(name: str) -> Row:
    area, _, place = name.partition("/")
    return {"name": name, "area": area, "place": place or area}


def _airport(number: int, record: Row, subdivision_ids: dict[tuple[str, str], int]) -> Row:
    return {
        "id": number,
        "icao": record["icao"],
        "iata": record["iata"] or None,
        "lid": record["lid"] or None,
        "name": record["name"],
        "city": record["city"] or None,
        "latitude": record["lat"],
        "longitude": record["lon"],
        "elevation_ft": record["elevation"],
        "country_code": record["country"],
        "subdivision_id": subdivision_ids.get((record["country"], record["subd"])),
        "timezone_name": record["tz"],
        "status": Status.OPEN,
        "status_since": None,
        "revision": 1,
    }
