"""The engines that answer questions of history: DuckDB in this process, or one that the city runs beside.

An engine holds named tables, each Parquet files and rows from memory together, and runs Ibis expressions over them. It
is used by one thread at a time, but for `cancel` and `progress`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import ibis
import pyarrow as pa
from ibis.expr import types as ir

from city.history.scratch import Scratch
from city.settings import History as Settings

# What does not fit a question's memory goes to a disk that others need too.
_SPILL_MAX = "4GB"


class HistoryError(Exception):
    """A question could not be answered. The message is one line for a person."""


class Cancelled(HistoryError):
    """Somebody wanted the answer no more."""


class TooMuch(HistoryError):
    """The answer does not fit the memory that questions may take."""


class Unreadable(HistoryError):
    """The engine could not read its files, or not bring the answer about."""


class Parts(NamedTuple):
    """What one table consists of."""

    urls: Sequence[str]  # Parquet files; what an engine opens
    rows: pa.Table  # and rows from memory; of the table's schema, maybe none
    uniform: bool = False  # every file is known to have just the columns of the rows


class Engine(Protocol):
    """Every method raises HistoryError."""

    name: str

    def table(self, name: str, parts: Parts) -> ir.Table:
        """Files and rows as one table under a name; what had the name before has it no more.

        Columns that a file does not know are null in its rows; `lat_e7`, `lon_e7` are `lat`, `lon` in degrees.
        """

    def run(self, expr: ir.Table) -> pa.Table: ...

    def cancel(self) -> None:
        """Let `run` raise Cancelled, from another thread."""

    def progress(self) -> float | None:
        """How much of what runs is done, 0 to 1; None where nobody knows. From another thread."""

    def close(self) -> None: ...


def engine_of(settings: Settings, *, filesystem: Any = None) -> Engine:
    """The engine of the settings; `filesystem` is what opens URLs that are no local files. Raises HistoryError."""
    if settings.engine == "duckdb":
        return DuckDb(threads=settings.query_threads, memory_mb=settings.query_memory_mb, filesystem=filesystem)
    return Spark(settings.engine_url, memory_mb=settings.query_memory_mb)


class DuckDb:
    """DuckDB in this process, within its threads and memory."""

    name = "duckdb"

    def __init__(self, *, threads: int, memory_mb: int, filesystem: Any = None) -> None:
        import duckdb  # noqa: PLC0415 - only the engine that is used is loaded

        self._errors = duckdb
        # Faults of what was asked: the files need not be read to their end to find one that is damaged.
        self._of_question = (
            duckdb.ConversionException,
            duckdb.OutOfRangeException,
            duckdb.BinderException,
            duckdb.ParserException,
        )
        self._scratch = Scratch()
        self._con = duckdb.connect(
            config={
                "threads": threads,
                "memory_limit": f"{memory_mb}MB",
                "temp_directory": str(self._scratch.folder),
                "max_temp_directory_size": _SPILL_MAX,
                # Rows come in no order but one that is asked for: sorting and grouping need less memory so.
                "preserve_insertion_order": "false",
                # Nothing is fetched from outside.
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            }
        )
        self._con.execute("SET enable_progress_bar = true")
        self._con.execute("SET enable_progress_bar_print = false")
        if filesystem is not None:
            self._con.register_filesystem(filesystem)
        self._ibis = ibis.duckdb.from_connection(self._con)
        # What a view of some columns is made by: to work that out takes longer than to ask a roll-up.
        self._views: dict[tuple[Any, ...], tuple[str, ibis.Schema]] = {}

    def table(self, name: str, parts: Parts) -> ir.Table:
        self._con.register(f"{name}_rows", parts.rows)
        found: ir.Table = self._told(lambda: self._view(name, parts))
        return found

    def _view(self, name: str, parts: Parts) -> ir.Table:
        wanted = parts.rows.schema
        files: tuple[tuple[str, str], ...] = ()
        if parts.urls:
            # To unite columns by their names every footer is read, for every question.
            read = self._con.read_parquet(list(parts.urls), hive_partitioning=False, union_by_name=not parts.uniform)
            read.create_view(f"{name}_files", replace=True)
            columns = wanted.names if parts.uniform else read.columns
            types = wanted.types if parts.uniform else read.types
            files = tuple(zip(columns, map(str, types), strict=True))
        key = (name, files, tuple(wanted.names), bool(parts.rows.num_rows))
        if key not in self._views:
            found = self._ibis.table(f"{name}_rows")
            if files:
                of_files = _conformed(self._ibis.table(f"{name}_files"), wanted)
                found = of_files.union(found, distinct=False) if parts.rows.num_rows else of_files
            found = _in_degrees(found)
            self._views[key] = str(self._ibis.compile(found)), found.schema()
        sql, columns = self._views[key]
        self._con.execute(f'CREATE OR REPLACE TEMPORARY VIEW "{name}" AS {sql}')
        return ibis.table(columns, name=name)

    def run(self, expr: ir.Table) -> pa.Table:
        sql = str(self._ibis.compile(expr))
        wanted = expr.schema().to_pyarrow()
        try:
            found: pa.Table = self._told(lambda: self._con.sql(sql).to_arrow_table())
        except Unreadable as error:
            if isinstance(error.__cause__, self._of_question):
                raise HistoryError(str(error)) from error
            raise
        # The sum of whole numbers comes wider than it is.
        return found.cast(wanted)

    def cancel(self) -> None:
        self._con.interrupt()

    def progress(self) -> float | None:
        percent = float(self._con.query_progress())
        return None if percent < 0 else min(1.0, percent / 100)

    def close(self) -> None:
        self._con.close()
        self._scratch.close()

    def _told(self, work: Any) -> Any:
        try:
            return work()
        except self._errors.InterruptException:
            raise Cancelled("the question was cancelled") from None
        except self._errors.OutOfMemoryException:
            raise TooMuch(
                "the answer does not fit the memory of a question (history.query_memory_mb): ask for a shorter "
                "time, fewer groups or a longer step"
            ) from None
        except (self._errors.Error, OSError, ibis.common.exceptions.IbisError) as error:
            raise Unreadable(_line(error)) from error


class Spark:
    """Apache Spark: a session of this process, or a cluster's by its URL."""

    name = "pyspark"

    def __init__(self, url: str | None, *, memory_mb: int) -> None:
        try:
            from pyspark.sql import SparkSession  # noqa: PLC0415 - an extra that most cities have not
        except ImportError:
            raise HistoryError("history.engine: pyspark is not installed: pip install 'markaz[spark]'") from None
        builder: Any = SparkSession.builder
        options = {
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.driver.memory": f"{memory_mb}m",
            "spark.sql.execution.arrow.pyspark.enabled": "true",
            # A city's day is no data set for two hundred parts; alone there is nobody to share them with.
            "spark.sql.shuffle.partitions": "1" if url is None else "16",
            "spark.sql.ansi.enabled": "false",
        }
        for option, value in options.items():
            builder = builder.config(option, value)
        if url is None:
            builder = builder.master("local[1]")
        elif url.startswith("sc://"):
            builder = builder.remote(url)
        else:
            builder = builder.master(url)
        self._session = builder.getOrCreate()
        self._ibis = ibis.pyspark.connect(self._session)
        self._cancelled = False

    def table(self, name: str, parts: Parts) -> ir.Table:
        held = f"{name}_rows"
        if parts.rows.num_rows or not parts.urls:
            self._session.createDataFrame(parts.rows).createOrReplaceTempView(held)
        if not parts.urls:
            return _in_degrees(self._ibis.table(held))
        files = self._session.read.option("mergeSchema", "true").parquet(*parts.urls)
        files.createOrReplaceTempView(f"{name}_files")
        found = _conformed(self._ibis.table(f"{name}_files"), parts.rows.schema)
        if parts.rows.num_rows:
            found = found.union(self._ibis.table(held).select(*parts.rows.schema.names), distinct=False)
        return _in_degrees(found)

    def run(self, expr: ir.Table) -> pa.Table:
        self._cancelled = False
        try:
            found: pa.Table = self._session.sql(str(self._ibis.compile(expr))).toArrow()
        except Exception as error:
            if self._cancelled:
                raise Cancelled("the question was cancelled") from None
            raise Unreadable(_line(error)) from error
        return found.cast(expr.schema().to_pyarrow())

    def cancel(self) -> None:
        self._cancelled = True
        with contextlib.suppress(Exception):
            self._session.sparkContext.cancelAllJobs()

    def progress(self) -> float | None:
        return None

    def close(self) -> None:
        """The session is the process's, and stays."""


def _conformed(files: ir.Table, wanted: pa.Schema) -> ir.Table:
    """The columns of a schema in its order; those that are not there are null."""
    there = set(files.columns)
    types = ibis.Schema.from_pyarrow(wanted)
    columns = {}
    for name, kind in types.items():
        column = files[name] if name in there else ibis.null()
        columns[name] = (
            column
            if name in there and files[name].type().copy(nullable=True) == kind.copy(nullable=True)
            else column.cast(kind.copy(nullable=True))
        )
    return files.select(**columns)


def _in_degrees(table: ir.Table) -> ir.Table:
    if "lat_e7" not in table.columns:
        return table
    found = {}
    for name in table.columns:
        if name in {"lat_e7", "lon_e7"}:
            # The nearest double of the seven decimals.
            found[name.removesuffix("_e7")] = table[name].cast("float64") / 1e7
        else:
            found[name] = table[name]
    return table.select(**found)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__
