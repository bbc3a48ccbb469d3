"""Tables as Parquet files of the archive, and files as tables again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from city.archive.columns import FEEDS, entity_columns, schema
from city.archive.files import Unreadable
from city.archive.layout import HOUR_MS, Hour, hour_of

# So many vehicles' hours lie together that one of them is cheap to read and the footer stays small beside the rows.
ROW_GROUP_ROWS = 65_536
FORMAT = "1"
AT = "measured_ms"
# Counters of great range that hardly repeat: all first bytes, all second … take half of what a dictionary takes.
_COUNTERS = frozenset({"odometer_m", "used_l"})
# zstd 3: level 1 is 2 % larger, level 6 costs a third more time for 2 %.
_LEVEL = 3


def by_hour(feed: str, batches: Sequence[pa.RecordBatch]) -> dict[Hour, pa.Table]:
    """Rows by the hour of their measuring, each sorted by whose they are and their time."""
    return by_hour_of(feed, pa.Table.from_batches(batches)) if batches else {}


def by_hour_of(feed: str, table: pa.Table) -> dict[Hour, pa.Table]:
    """The same of one table."""
    if table.num_rows == 0:
        return {}
    hours = table.column(AT).to_numpy() // HOUR_MS
    found: dict[Hour, pa.Table] = {}
    for hour in np.unique(hours).tolist():
        rows = table if (mask := hours == hour).all() else table.filter(pa.array(mask))
        found[hour_of(feed, hour * HOUR_MS)] = in_order(feed, rows)
    return found


def in_order(feed: str, table: pa.Table) -> pa.Table:
    """The rows sorted by whose they are, then by time."""
    keys = keys_of(feed, table)
    return table.take(pc.sort_indices(keys, [(name, "ascending") for name in keys.schema.names]))


def keys_of(feed: str, table: pa.Table) -> pa.Table:
    """The columns that rows are sorted by; null counts as empty."""
    names = [name for name in entity_columns(feed) if name in table.schema.names]
    return pa.table({name: pc.fill_null(table.column(name), "") for name in names} | {AT: table.column(AT)})


def is_in_order(feed: str, table: pa.Table) -> bool:
    """Whether no row stands before one that belongs before it."""
    keys = keys_of(feed, table)
    before, after = keys.slice(0, max(0, keys.num_rows - 1)), keys.slice(1)
    wrong: Any = None
    for name in reversed(keys.schema.names):
        greater = pc.greater(before.column(name), after.column(name))
        if wrong is None:
            wrong = greater
        else:
            wrong = pc.or_(greater, pc.and_(pc.equal(before.column(name), after.column(name)), wrong))
    return not bool(pc.any(wrong).as_py())


def write(file: Any, tables: Iterable[pa.Table]) -> tuple[int, int, int]:
    """Write tables of one schema, one after the other, as one file; its rows, least and greatest time.

    Raises ValueError where there are no rows: a file of none has no times, and no commit can list it.
    """
    writer: pq.ParquetWriter | None = None
    rows, least, greatest = 0, 0, 0
    try:
        for table in tables:
            if table.num_rows == 0:
                continue
            if writer is None:
                writer = _writer(file, table.schema)
            span = pc.min_max(table.column(AT)).as_py()
            least = span["min"] if rows == 0 else min(least, span["min"])
            greatest = max(greatest, span["max"]) if rows else span["max"]
            rows += table.num_rows
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
    finally:
        if writer is not None:
            writer.close()
    if rows == 0:
        raise ValueError("no rows to write")
    return rows, least, greatest


def _writer(file: Any, of: pa.Schema) -> pq.ParquetWriter:
    dictionary = [
        field.name
        for field in of
        if pa.types.is_string(field.type) or (pa.types.is_floating(field.type) and field.name not in _COUNTERS)
    ]
    encoding = {field.name: "DELTA_BINARY_PACKED" for field in of if pa.types.is_integer(field.type)}
    encoding |= {name: "BYTE_STREAM_SPLIT" for name in of.names if name in _COUNTERS}
    return pq.ParquetWriter(
        file,
        of.with_metadata({"markaz": FORMAT}),
        compression="zstd",
        compression_level=_LEVEL,
        use_dictionary=dictionary,
        column_encoding=encoding or None,
        write_page_checksum=True,
        # Every type here is Parquet's own; the Arrow schema beside it would be most of a small file.
        store_schema=False,
    )


def conformed(feed: str, table: pa.Table) -> pa.Table:
    """Rows of an older version with the columns of this one; those that are new are null.

    Raises ValueError for rows that this version cannot keep as they are.
    """
    if feed not in FEEDS:
        return table
    wanted = schema(feed)
    if table.schema.equals(wanted):
        return table
    if unknown := set(table.schema.names) - set(wanted.names):
        raise ValueError(f"columns of a newer version: {', '.join(sorted(unknown))}")
    missing = [field.name for field in wanted if not field.nullable and field.name not in table.schema.names]
    if missing:
        raise ValueError(f"columns missing: {', '.join(missing)}")
    arrays = [
        table.column(field.name) if field.name in table.schema.names else pa.nulls(table.num_rows, field.type)
        for field in wanted
    ]
    try:
        return pa.Table.from_arrays(
            [one.cast(field.type) for one, field in zip(arrays, wanted, strict=True)], schema=wanted
        )
    except pa.ArrowInvalid as error:
        raise ValueError(str(error)) from error


def opened(file: Any, *, checksums: bool = False) -> pq.ParquetFile:
    """A file's footer, to read rows behind it. Raises pa.ArrowInvalid or OSError for what is none."""
    # Pages have checksums: rows that were damaged on the disk must not be taken for others.
    return pq.ParquetFile(file, page_checksum_verification=checksums)


class Source:
    """A file that is read. Raises Unreadable."""

    def __init__(self, path: str, file: Any) -> None:
        self.path = path
        with self._named():
            self._file = opened(file, checksums=True)

    @property
    def rows(self) -> int:
        """By its footer."""
        return int(self._file.metadata.num_rows)

    @property
    def schema(self) -> pa.Schema:
        return self._file.schema_arrow

    def batches(self, rows: int = ROW_GROUP_ROWS, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Its rows, so many at a time."""
        with self._named():
            yield from self._file.iter_batches(batch_size=rows, columns=columns, use_threads=False)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            raise Unreadable(self.path, " ".join(str(error).split()) or type(error).__name__) from error


def merged(feed: str, files: Sequence[Source], batch_rows: int) -> Iterator[pa.Table]:
    """The rows of sorted files in one order, in row groups; no more than a batch a file is in memory, and one group.

    Raises Unreadable.
    """
    held: list[pa.Table] = []
    rows = 0
    for piece in _pieces(feed, [_Run(feed, file, batch_rows) for file in files]):
        held.append(piece)
        rows += piece.num_rows
        while rows >= ROW_GROUP_ROWS:
            whole = pa.concat_tables(held)
            yield whole.slice(0, ROW_GROUP_ROWS).combine_chunks()
            held = [whole.slice(ROW_GROUP_ROWS)]
            rows -= ROW_GROUP_ROWS
    if rows:
        yield pa.concat_tables(held).combine_chunks()


def _pieces(feed: str, runs: list[_Run]) -> Iterator[pa.Table]:
    while runs := [run for run in runs if run.fill()]:
        # Up to here every file has shown what it has: nothing that is still unread belongs before it.
        bounds = [run.last for run in runs if run.more]
        bound = min(bounds) if bounds else None
        taken = [table for run in runs if (table := run.take(bound)).num_rows]
        yield in_order(feed, pa.concat_tables(taken))


class _Run:
    """One sorted file, read batch by batch."""

    def __init__(self, feed: str, file: Source, batch_rows: int) -> None:
        self._feed = feed
        self._path = file.path
        self._batches = file.batches(batch_rows)
        self._left = file.rows
        self._table: pa.Table | None = None
        self.last: tuple[Any, ...] = ()

    @property
    def more(self) -> bool:
        """Whether rows of it are still unread."""
        return self._left > 0

    def fill(self) -> bool:
        """Have rows at hand; False when there are none any more."""
        while (self._table is None or self._table.num_rows == 0) and self._left > 0:
            if (batch := next(self._batches, None)) is None:
                raise Unreadable(self._path, "holds fewer rows than it says")
            self._left -= batch.num_rows
            try:
                self._table = conformed(self._feed, pa.Table.from_batches([batch]))
            except ValueError as error:
                raise Unreadable(self._path, str(error)) from error
            self.last = tuple(keys_of(self._feed, self._table.slice(self._table.num_rows - 1)).to_pylist()[0].values())
        return self._table is not None and self._table.num_rows > 0

    def take(self, bound: tuple[Any, ...] | None) -> pa.Table:
        """The rows up to `bound`, all without one; they are gone then."""
        table = self._table
        assert table is not None
        count = table.num_rows if bound is None or self.last <= bound else _up_to(keys_of(self._feed, table), bound)
        self._table = table.slice(count)
        return table.slice(0, count)


def _up_to(keys: pa.Table, bound: tuple[Any, ...]) -> int:
    """How many rows are not behind `bound`."""
    mask: Any = None
    for name, value in reversed(list(zip(keys.schema.names, bound, strict=True))):
        column = keys.column(name)
        if mask is None:
            mask = pc.less_equal(column, value)
        else:
            mask = pc.or_(pc.less(column, value), pc.and_(pc.equal(column, value), mask))
    return int(pc.sum(mask).as_py() or 0)
