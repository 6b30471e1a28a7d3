"""Raw-format click logs drawn from a known teacher: to try everything out, and to know how good a model could be.

    OUT                    the log: Criteo's layout (tab-separated, no header) or Avazu's (CSV with a header)
    OUT.teacher.json       rows, label rate, and the teacher's own AUC and log loss on these rows
    OUT.teacher.parquet    `probability`: float32, the teacher's probability per row, in order

With conversions, the log has a last column `conversion`, 0 or 1 beside a click and else empty, drawn from a second
teacher. `OUT.schema.yaml` is then the log's schema, of two labels, and the other two files tell of that teacher too.

The same seed gives the same bytes. Memory holds a few blocks and one score and label per row.

The log comes last. Where it is absent, the files beside it are what a killed call has left, and are written over. What
a killed call has left half written, in a hidden folder, the next one in the same folder removes.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from ctrfast.data.ahead import in_order
from ctrfast.data.profiles import PROFILES, IdProfile
from ctrfast.data.teacher import BLOCK_ROWS, Block, Teacher, count_values
from ctrfast.data.work_folder import WorkFolder
from ctrfast.errors import ConfigError, unknown_name
from ctrfast.folders import sync
from ctrfast.metrics import auc, log_loss
from ctrfast.schema import PRESETS, UNKNOWN, Schema
from ctrfast.storage import storing

_START = datetime(2014, 10, 21)  # Avazu's first hour
_GZIP_LEVEL = 2  # level 6 takes three times as long for a tenth less
_HEX = np.array([b"%04x" % number for number in range(65536)], dtype="S4").view(np.uint32)  # 4 digits per uint16

CONVERSION = "conversion"
_SECOND_TEACHER = 2**40  # its seed, beyond all others
_WORK = "synth"  # of the hidden folder's name
_BESIDE = "beside."  # in it, what will lie beside the log


class SynthReport(BaseModel):
    """What was drawn. teacher_auc, teacher_log_loss: of the teacher's probabilities on exactly these rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str
    rows: int
    seed: int
    label_rate: float
    teacher_auc: float
    teacher_log_loss: float


class ConversionReport(SynthReport):
    """conversion_rate: among clicks; conversion_auc, conversion_log_loss: of the second teacher on these."""

    conversion_rate: float
    conversion_auc: float
    conversion_log_loss: float


@dataclass(frozen=True)
class _Drawn:
    """What a teacher thinks of R rows, scores (R,), and what was drawn, labels (R,), -1 where unknown."""

    labels: npt.NDArray[np.int8]
    scores: npt.NDArray[np.floating]

    @classmethod
    def empty(cls, rows: int) -> _Drawn:
        return cls(np.empty(rows, np.int8), np.empty(rows, np.float32))

    def put(self, start: int, other: _Drawn) -> None:
        """Take rows in, from `start` on."""
        part = slice(start, start + len(other.labels))
        self.labels[part], self.scores[part] = other.labels, other.scores

    def first(self, rows: int) -> _Drawn:
        return _Drawn(self.labels[:rows], self.scores[:rows].astype(np.float32))

    def figures(self) -> tuple[float, float, float]:
        """Rate, AUC and log loss over the known rows."""
        known = self.labels >= 0
        labels, scores = self.labels[known], self.scores[known]
        if not len(labels):
            return 0.0, 0.5, 0.0
        loss = log_loss(labels, np.log(scores) - np.log1p(-scores))
        return float(labels.mean(dtype=np.float64)), auc(labels, scores) or 0.5, loss  # one class: nothing to rank


def conversion_schema(preset: str) -> Schema:
    """A preset's schema with the further label."""
    schema = PRESETS[preset]
    more = {"name": f"{schema.name}_conversions", "columns": (*schema.columns, CONVERSION)}
    return schema.model_copy(update={**more, "label": (*schema.labels, CONVERSION)})


def synth(
    out: Path,
    preset: str,
    rows: int,
    seed: int,
    on_progress: Callable[[int, int], None] | None = None,
    *,
    conversions: bool = False,
) -> SynthReport:
    """Write a synthetic click log.

    Args:
        out: the file; `.gz` and `.zst` are compressed. It must not exist; files beside it are written over.
        preset: name of a preset; `criteo_1tb` has Criteo's profile.
        rows: how many.
        seed: of teacher and rows.
        on_progress: called with (rows so far, rows).
        conversions: also draw what follows the clicks.

    Raises:
        ConfigError: a setting breaks a rule, `out` exists or cannot be written, or another process is making it.
        StorageError: the disk takes no more.
    """
    if preset not in PROFILES:
        raise unknown_name("preset", preset, PROFILES, path="preset")
    for name, value, least in (("rows", rows, 1), ("seed", seed, 0)):
        if value < least:
            raise ConfigError(f"`{name}` must be >= {least}. Got {name}={value}.", path=name)
    drawn = [_Drawn.empty(rows) for _ in range(1 + conversions)]
    schema = conversion_schema(preset) if conversions else PRESETS[preset]
    with storing(f"The log {out}"):
        _remove_killed(out)
        with WorkFolder(out, _WORK, keeping=None) as work:
            log = work.path / "log"
            _write_log(log, out.suffix, preset, schema, seed, drawn, on_progress)
            report = _report(preset, rows, seed, drawn)
            _write_beside(work.path, drawn, report, schema if conversions else None)
            Path(f"{out}.schema.yaml").unlink(missing_ok=True)  # a killed call's
            for file in sorted(work.path.glob(f"{_BESIDE}*")):
                sync(file)
                file.replace(f"{out}.{file.name.removeprefix(_BESIDE)}")
            work.deliver(log)  # last: the log appears once its teacher is there
    return report


def _remove_killed(out: Path) -> None:
    """Remove what killed calls have left in the folder of `out`: the work folders that no living process holds."""
    for left in out.absolute().parent.glob(f".*.{_WORK}"):
        of = left.with_name(left.name.removeprefix(".").removesuffix(f".{_WORK}"))
        with suppress(ConfigError), WorkFolder(of, _WORK, keeping=None):
            pass


def _write_beside(folder: Path, drawn: Sequence[_Drawn], report: SynthReport, schema: Schema | None) -> None:
    names = ("probability", CONVERSION)
    table = pa.table({name: each.scores for name, each in zip(names, drawn, strict=False)})
    pq.write_table(table, folder / f"{_BESIDE}teacher.parquet", compression="zstd")
    summary = report.model_dump_json(indent=1) + "\n"
    (folder / f"{_BESIDE}teacher.json").write_text(summary, encoding="utf-8")
    if schema is not None:  # JSON is YAML too
        (folder / f"{_BESIDE}schema.yaml").write_text(schema.model_dump_json(indent=1), encoding="utf-8")


def _report(preset: str, rows: int, seed: int, drawn: Sequence[_Drawn]) -> SynthReport:
    (rate, area, loss), *of_conversions = [each.figures() for each in drawn]
    about = SynthReport(preset=preset, rows=rows, seed=seed, label_rate=rate, teacher_auc=area, teacher_log_loss=loss)
    if not of_conversions:
        return about
    rate, area, loss = of_conversions[0]
    of_second = {"conversion_rate": rate, "conversion_auc": area, "conversion_log_loss": loss}
    return ConversionReport(**about.model_dump(), **of_second)


def _write_log(
    path: Path,
    suffix: str,
    preset: str,
    schema: Schema,
    seed: int,
    drawn: Sequence[_Drawn],
    on_progress: Callable[[int, int], None] | None,
) -> None:
    profile, rows = PROFILES[preset], len(drawn[0].labels)
    teacher, *others = [Teacher(profile, seed + number * _SECOND_TEACHER) for number in range(len(drawn))]

    def render(index: int) -> tuple[list[_Drawn], bytes]:
        block = teacher.block(index, rows)
        probability = teacher.probabilities(block)
        clicks = (block.chance < probability).astype(np.int8)
        found = [_Drawn(clicks, probability)]
        for other in others:
            # Of a click, chance / probability is even in [0, 1): it serves to draw what follows.
            chance, later = block.chance / probability, other.probabilities(block)
            found.append(_Drawn(np.where(clicks == 1, chance < later, UNKNOWN).astype(np.int8), later))
        count = min(BLOCK_ROWS, rows - index * BLOCK_ROWS)
        columns = _columns(block, [each.labels for each in found], index, preset, schema, teacher)
        table = pa.table([columns[name] for name in schema.columns], names=list(schema.columns)).slice(0, count)
        return [each.first(count) for each in found], _text(table, schema)

    with path.open("wb") as target, _compressed(target, suffix) as file:
        if schema.header:
            file.write((schema.separator.join(schema.columns) + "\n").encode())
        done = 0
        for found, text in in_order(render, range(-(-rows // BLOCK_ROWS))):
            for each, part in zip(drawn, found, strict=True):
                each.put(done, part)
            file.write(text)
            done += len(found[0].labels)
            if on_progress is not None:
                on_progress(done, rows)


def _columns(
    block: Block,
    labels: Sequence[npt.NDArray[np.int8]],
    index: int,
    preset: str,
    schema: Schema,
    teacher: Teacher,
) -> dict[str, pa.Array]:
    profile = PROFILES[preset]
    columns = {name: pa.array(label, mask=label == UNKNOWN) for name, label in zip(schema.labels, labels, strict=True)}
    for name, normals in block.normals.items():
        values = count_values(profile.counts[name], normals)
        columns[name] = pa.array(values, from_pandas=True).cast(pa.int64())
    for name, ranks in block.ranks.items():
        columns[name] = _id_texts(name, ranks, profile.ids[name], teacher)
    if profile.hours:
        hours = [(_START + timedelta(hours=hour)).strftime("%y%m%d%H") for hour in range(int(block.hour.max()) + 1)]
        columns["hour"] = pa.array(hours).take(pa.array(block.hour))
        numbers = np.arange(index * BLOCK_ROWS, (index + 1) * BLOCK_ROWS, dtype=np.uint64)
        columns["id"] = pa.array(numbers * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x8AC7230489E80000))
    return columns


def _id_texts(name: str, ranks: npt.NDArray[np.int64], profile: IdProfile, teacher: Teacher) -> pa.Array:
    if profile.style == "integer":
        return pa.array(np.where(ranks == 1, profile.first, profile.base + ranks), mask=ranks == 0)
    ids = teacher.ids(name, ranks)
    digits = np.stack([_HEX[ids >> np.uint32(16)], _HEX[ids & np.uint32(0xFFFF)]], axis=1)  # (R, 2) x 4 bytes
    offsets = np.arange(0, 8 * len(ids) + 1, 8, dtype=np.int32)
    texts = pa.StringArray.from_buffers(len(ids), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(digits)))
    return pa.compute.if_else(pa.array(ranks != 0), texts, pa.scalar(None, pa.string())) if profile.missing else texts


def _text(table: pa.Table, schema: Schema) -> bytes:
    buffer = io.BytesIO()
    options = pyarrow.csv.WriteOptions(include_header=False, delimiter=schema.separator, quoting_style="none")
    pyarrow.csv.write_csv(table, buffer, options)
    return buffer.getvalue()


def _compressed(file: IO[bytes], suffix: str) -> AbstractContextManager[IO[bytes] | gzip.GzipFile]:
    if suffix == ".gz":  # no name and no time: the same rows give the same bytes
        return gzip.GzipFile(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=file, mtime=0)
    if suffix == ".zst":
        stream: AbstractContextManager[IO[bytes]] = pa.CompressedOutputStream(file, "zstd")
        return stream
    return nullcontext(file)
