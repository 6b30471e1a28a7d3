"""Raw click logs -> a dataset: parse once, split, learn each field from the training rows, write shards, publish.

    report = prepare([Path("clicks.tsv.gz")], preset("criteo"), Path("criteo"), min_count=2)
    report.rows            # {'train': ..., 'valid': ..., 'test': ...}

Four stages, each made of tasks that leave a file when they are done (`ctrfast.data.work_folder`):

    read     chunk of a raw file  -> parsed block          `parsed`
    fit      field, or table      -> vocabulary, columns   `fit_task`
    write    rows of a split      -> parquet shard         `shard_writer`
    seal     all                  -> manifest

Tasks are done by threads of this process, or by a cluster's workers (`pool`): what they need and leave is in the work
folder, but for chunks, which this process cuts.
Work that was killed goes on with the tasks that are not done. The same files and settings give the same bytes. Memory
holds a chunk per thread, then the distinct values of a field per thread; counts beyond the limit go to the disk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ctrfast.data.bad_rows import BadRowGuard, BadRowLimit
from ctrfast.data.columns import ColumnFiles
from ctrfast.data.earlier import Earlier
from ctrfast.data.encode import VOCABULARY_FOLDER
from ctrfast.data.fit import ParsedRows
from ctrfast.data.fit_task import FitTask
from ctrfast.data.lists import list_names
from ctrfast.data.manifest import TimelinePoint
from ctrfast.data.parsed import Block, parse_file
from ctrfast.data.pool import THREADS, Pool
from ctrfast.data.prepare_progress import PrepareProgress
from ctrfast.data.raw import no_usable_row
from ctrfast.data.rejects import RejectWriter
from ctrfast.data.row_splits import row_splits
from ctrfast.data.shard_writer import SPLIT_COLUMN, column_types, plan_shards, seal_dataset, write_shard
from ctrfast.data.shards import Dataset
from ctrfast.data.side_columns import SideColumns
from ctrfast.data.sources import Source, find_sources
from ctrfast.data.splitter import Splitter, check_negative_rate, check_split
from ctrfast.data.timeline import timeline
from ctrfast.data.vocabulary import hash_vocabularies
from ctrfast.data.work_folder import KEEPING, WorkFolder
from ctrfast.errors import ConfigError, DataError, WorkerLostError
from ctrfast.fitted_schema import FittedSchema, Statistics
from ctrfast.machine_memory import available_memory
from ctrfast.schema import SPLITS, Schema
from ctrfast.storage import storing

REJECTED_FILE = "rejected.parquet"
_KEEPING = (*KEEPING, WorkerLostError)
SMALLEST_MEMORY = 768 * 2**20
BASE_MEMORY = 512 * 2**20  # of the program itself, and of the chunks that threads hold


class PrepareReport(BaseModel):
    """What was prepared. rejected: rows per reason. table_rows: V of the fused embedding table.

    dropped: training rows without a click that `negative_rate` left out; rows in = rows + rejected + dropped.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset_hash: str
    rows: dict[str, int]
    label_rate: dict[str, float]
    rejected: dict[str, int]
    table_rows: int
    dropped: int = 0


def prepare(
    raw: Sequence[Path | str],
    schema: Schema,
    out: Path,
    *,
    min_count: int = 1,
    split: str = "random",
    split_column: str | None = None,
    valid_fraction: float = 0.1,
    test_fraction: float = 0.1,
    negative_rate: float = 1.0,
    seed: int = 1,
    memory_limit: int | None = None,
    vocabulary_from: Path | None = None,
    grow: bool = False,
    max_bad_rows: int | str | None = None,
    on_progress: Callable[[PrepareProgress], None] | None = None,
    pool: Pool = THREADS,
) -> PrepareReport:
    """Prepare a dataset.

    Args:
        raw: raw files in the order of their rows: text, plain, .gz or .zst, or parquet; also folders, patterns and
            addresses of them (`ctrfast.data.sources`).
        schema: what their columns mean.
        out: folder of the dataset; it must not exist. Unfinished work lies beside it, and the next call goes on there.
        min_count: id values that occur fewer times in the training split share the unseen id; a field's own
            `min_count` comes first.
        split: `random` (per row, by seed), `sequential` (train, then valid, then test, in file order), `time` (the same
            in the order of the schema's timestamp; rows of one time stay together, in the earlier split, and rows
            without one train) or `column`.
        split_column: raw column that holds train, valid or test, for `column`.
        valid_fraction: share of rows to validate on; a split column goes without it.
        test_fraction: share of rows to test on; the rest trains.
        negative_rate: of the training rows with label 0, each is kept with this probability. Models correct their
            probabilities for it.
        seed: of the random split and of the negatives that are kept.
        memory_limit: bytes of resident memory of each process that does tasks, at least `SMALLEST_MEMORY`; by default
            half of what is available here, shared by them.
        vocabulary_from: an earlier dataset, run or bundle whose vocabularies and statistics are taken over, so that its
            model fits the new rows.
        grow: values that are new, and occur `min_count` times, are appended to the earlier vocabularies.
        max_bad_rows: the most rows that may be bad, as a number or as a share of all (`"0.1%"`); None for no limit.
        on_progress: called after each task; what it raises stops the work.
        pool: does the tasks; the dataset is the same, byte for byte.

    Raises:
        ConfigError: a setting breaks a rule, `out` exists, another process is preparing it, or it lies in a folder that
            `pool` does not share.
        DataError: a file is missing, damaged or of another layout, no row can be used, more rows are bad than
            `max_bad_rows` allows, or a vocabulary does not fit the memory limit.
        StorageError: the disk is full; the next call goes on from there.
        WorkerLostError: too many workers of a cluster were lost; the next call goes on from there.
    """
    if min_count < 1:
        raise ConfigError(f"`min_count` must be >= 1. Got min_count={min_count}.", path="min_count")
    splitter = Splitter(split, valid_fraction, test_fraction, seed)
    check_split(schema, split, split_column)
    check_negative_rate(schema, negative_rate)
    fair = available_memory() // 2 // pool.processes
    limit = memory_limit if memory_limit is not None else max(SMALLEST_MEMORY, fair)
    if limit < SMALLEST_MEMORY:
        needed = f"at least {SMALLEST_MEMORY // 2**20} MiB"
        raise ConfigError(f"`memory_limit` must be {needed}. Got {limit / 2**20:,.1f} MiB.", path="memory_limit")
    earlier = Earlier.open(vocabulary_from, schema, grow=grow)
    guard = BadRowGuard(BadRowLimit.parse(max_bad_rows) if max_bad_rows is not None else None)
    sources = find_sources(raw)
    report = on_progress or (lambda _: None)
    pool.require_shared(out.absolute().parent)  # before there is a work folder, which such an error would remove
    with storing(f"The dataset {out}"), WorkFolder(out, "prepare", keeping=_KEEPING) as work:
        blocks = _parse(sources, schema, SideColumns(schema.timestamp, split_column), work, guard, report, pool)
        settings = {
            "raw": [source.name for source in sources],
            "min_count": min_count,
            "split": split,
            "split_column": split_column,
            "valid_fraction": valid_fraction,
            "test_fraction": test_fraction,
            "negative_rate": negative_rate,
            "seed": seed,
            **(earlier.settings() if earlier else {}),
        }
        parsed_from = [f"{block.path.parent.name}/{block.path.name}" for _, block in blocks]
        task = _Preparation(schema, blocks, work.part("dataset", [settings, parsed_from]), report, pool)
        task.split(splitter, negative_rate)
        memory = (limit - BASE_MEMORY) // pool.threads
        fitted, missing = task.fit(min_count, memory, earlier)
        dataset = task.write(fitted, settings, missing)
        work.deliver(dataset)
    return _report(Dataset.open(out, verify=False))


def parse_bytes(text: str) -> int:
    """Read a size such as 4GB, 512MB or 1.5GiB; a bare number is bytes. K, M, G and T are powers of 1,024.

    Raises:
        ConfigError: it is no such size.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    size = int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " ")) if match else 0
    if size <= 0:
        raise ConfigError(f"`memory_limit` must be a size such as 4GB. Got {text!r}.", path="memory_limit")
    return size


def _parse(
    sources: Sequence[Source],
    schema: Schema,
    side: SideColumns,
    work: WorkFolder,
    guard: BadRowGuard,
    report: Callable[[PrepareProgress], None],
    pool: Pool,
) -> list[tuple[Source, Block]]:
    """All blocks, each with its raw file."""
    blocks: list[tuple[Source, Block]] = []
    all_bytes, before = sum(source.size for source in sources), 0
    rows = 0
    for index, source in enumerate(sources):
        made_from = [*source.identity, schema.hash, side.names]
        # Closed before the folder may be removed: no thread must write into it by then.
        with closing(parse_file(source, schema, work.part(f"parsed{index:05}", made_from), side, pool)) as parsed:
            for block, consumed in parsed:
                blocks.append((source, block))
                rows += block.rows
                guard.add(source.name, block.rows, block.rejected.total(), block.rejects)
                report(PrepareProgress.of("read", rows, None, (before + consumed) / max(all_bytes, 1)))
        before += source.size
    guard.end()
    if rows:
        return blocks
    error = no_usable_row(sources)
    if guard.first is not None:
        raise DataError(f"{error.message} The first of {guard.bad} rejected rows: {guard.first}.")
    raise error


class _Preparation:
    """The work after parsing: its folder holds the columns, what was learned, and the dataset in the making."""

    def __init__(
        self,
        schema: Schema,
        blocks: Sequence[tuple[Source, Block]],
        folder: Path,
        report: Callable[[PrepareProgress], None],
        pool: Pool,
    ) -> None:
        self.schema = schema
        self.blocks = blocks
        self.folder = folder
        self.report = report
        self.pool = pool
        self.filled = [block for _, block in blocks if block.rows]
        self.total = sum(block.rows for block in self.filled)
        self.columns = ColumnFiles(folder / "columns", column_types(schema), list_names(schema.id_fields))
        self.dataset = folder / "dataset"
        (self.dataset / VOCABULARY_FOLDER).mkdir(parents=True, exist_ok=True)

    def split(self, splitter: Splitter, negative_rate: float) -> None:
        """Give each row its split, and gather the labels."""
        labels = self.schema.label_columns
        for place, column in enumerate(labels):
            if not self.columns.has(column):
                self.columns.write(column, (block.label(place) for block in self.filled))
        if not self.columns.has(SPLIT_COLUMN):
            self.columns.write(SPLIT_COLUMN, row_splits(self.filled, splitter, negative_rate))
        self.plan = plan_shards(self.columns, self.total, labels)
        if not self.plan.rows["train"]:
            problem = f"The training split must have rows. Got none of {self.total}."
            raise DataError(f"{problem} Lower the other fractions.")

    def fit(self, min_count: int, memory: int, earlier: Earlier | None) -> tuple[FittedSchema, dict[str, list[int]]]:
        """Learn all fields and write their columns. Returns what was learned, and missing numbers per split."""
        rows = ParsedRows(self.filled, self.columns, SPLIT_COLUMN, kept_bytes=memory // 4)
        vocabularies = self.dataset / VOCABULARY_FOLDER
        task = FitTask(self.schema, rows, self.folder, vocabularies, min_count, memory, earlier)
        with closing(self.pool.in_order(task, task.fields)) as done:
            for count, _ in enumerate(done, start=1):
                done_rows = self.total * count // len(task.fields)
                self.report(PrepareProgress.of("fit", done_rows, self.total, count / len(task.fields)))
        learned = {field.name: task.found(field) for field in task.fields}
        numbers = {name: learned[name] for name in self.schema.numeric_names}
        ids = {name: learned[name] for name in self.schema.table_names}
        fitted = FittedSchema(
            schema_=self.schema,
            statistics={name: Statistics(**of["statistics"]) for name, of in numbers.items()},
            vocabulary_sizes={name: of["size"] for name, of in ids.items()},
            vocabulary_hash=hash_vocabularies({name: of["hash"] for name, of in ids.items()}),
            edges={name: of["edges"] for name, of in ids.items() if of["edges"] is not None},
        )
        if earlier:
            earlier.check({name: of["earlier"] for name, of in ids.items()})
        return fitted, {name: of["missing"] for name, of in numbers.items()}

    def write(self, fitted: FittedSchema, settings: dict[str, object], missing: dict[str, list[int]]) -> Path:
        """Write shards, rejected rows and manifest. Returns the dataset."""
        done, total = 0, sum(self.plan.rows.values())
        task = partial(write_shard, self.columns, self.plan, folder=self.dataset)
        with closing(self.pool.in_order(task, self.plan.shards)) as written:
            for rows in written:
                done += rows
                self.report(PrepareProgress.of("write", done, total, done / total))
        with RejectWriter(self.dataset / REJECTED_FILE) as rejects:
            for source, block in self.blocks:
                if block.rejected:
                    rejected = block.rejects()
                    rejects.add(source, rejected.lines, rejected.reasons, rejected.texts)
        seal_dataset(
            self.dataset,
            fitted,
            self.plan,
            preparation=settings,
            rejected=rejects.counts,
            missing_numbers=missing,
            timeline=self._timeline(),
        )
        return self.dataset

    def _timeline(self) -> tuple[TimelinePoint, ...]:
        timestamp = self.schema.timestamp
        if timestamp is None:
            return ()
        return timeline(lambda: ((block.times(), block.column(0)) for block in self.filled), timestamp.format)


def _report(dataset: Dataset) -> PrepareReport:
    return PrepareReport(
        dataset_hash=dataset.hash,
        rows={split: dataset.rows(split) for split in SPLITS},
        label_rate={split: dataset.label_rate(split) for split in SPLITS},
        rejected=dataset.manifest.rejected.reasons,
        table_rows=dataset.fitted.table_rows,
        dropped=dataset.manifest.dropped,
    )
