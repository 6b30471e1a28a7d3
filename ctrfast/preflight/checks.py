"""All checks of a pre-flight, in the order in which their errors are worth reading: files, labels, settings, memory."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ctrfast.cluster_address import is_elsewhere
from ctrfast.config import TrainConfig, check_config
from ctrfast.data.batches import row_bytes
from ctrfast.data.shards import ROWS_PER_GROUP, Dataset
from ctrfast.errors import CtrFastError
from ctrfast.loop.dataset_needs import check_dataset
from ctrfast.memory import MemoryEstimate, check_memory, estimate
from ctrfast.preflight.findings import DATASET, Finding, found
from ctrfast.preflight.stored_files import RowGroups, check_files, check_shards
from ctrfast.preflight.training_time import TimeEstimate, estimate_time, measure_speed
from ctrfast.preflight.unseen import Shares, unseen_findings, unseen_shares
from ctrfast.row_sums import choose_row_sums
from ctrfast.schema import SPLITS

_GROUPS_IN_MEMORY = 17  # that the reader holds at most (`ctrfast.memory`)
_GROUPS_IN_POOL = 8  # with fewer, a batch is of few places of the log
_SMALL_GROUP = 4096  # rows; reading smaller ones costs more than their rows
_LEFT_OUT_SHARE = 0.1
_GPU_DEVICES = ("nvidia[0-9]*", "dxg", "kfd")  # NVIDIA's, under WSL, AMD's


@dataclass(frozen=True)
class Preflight:
    """findings: errors first. unseen: share of unseen ids by field and split; empty where the shards are not usable."""

    findings: tuple[Finding, ...]
    memory: MemoryEstimate
    time: TimeEstimate
    unseen: Shares


def preflight(dataset: Dataset, config: TrainConfig, available_bytes: int, *, with_files: bool = True) -> Preflight:
    """Examine, forecast and estimate.

    Args:
        dataset: may be opened without comparing each file.
        config: the run's settings.
        available_bytes: what the process can have of the machine's memory; not judged where workers are elsewhere.
        with_files: False where manifest and schema alone are at hand.
    """
    available = None if is_elsewhere(config.cluster) else available_bytes
    of_files = examine_files(dataset, config, available) if with_files else ()
    findings = _errors_first((*of_files, *examine(dataset, config, available)))
    is_usable = with_files and not any(each.level == "error" and each.path.startswith(DATASET) for each in findings)
    shares: Shares = unseen_shares(dataset) if is_usable else {}
    return Preflight(
        findings=(
            *findings,
            *workers_findings(dataset, config, with_vocabularies=is_usable),
            *(unseen_findings(dataset, shares) if shares else ()),
        ),
        memory=_memory(dataset, config),
        time=estimate_time(dataset, config, measure_speed()),
        unseen=shares,
    )


def examine(dataset: Dataset, config: TrainConfig, available_bytes: int | None = None) -> tuple[Finding, ...]:
    """What manifest, schema and settings tell, in a moment; errors first.

    available_bytes: None where the run will be on another machine or at another time; memory is not judged then.
    """
    findings = [
        *found(partial(check_config, config), DATASET),
        *found(partial(check_dataset, dataset, config), DATASET),
        *_of_network(dataset, config),
        *_of_rows(dataset, config),
    ]
    if available_bytes is not None:
        on_device = sys.maxsize if may_have_gpu() else None
        findings += found(partial(check_memory, _memory(dataset, config), available_bytes, on_device), "batch_size")
    return _errors_first(findings)


def examine_files(dataset: Dataset, config: TrainConfig, available_bytes: int | None = None) -> tuple[Finding, ...]:
    """What the dataset's files tell by their sizes and footers, in a fraction of a second; errors first.

    available_bytes: as in `examine`.
    """
    findings = [*found(partial(check_files, dataset), DATASET)]
    try:
        groups = check_shards(dataset)
    except CtrFastError as error:
        findings.append(Finding("error", error.message, error.path or DATASET))
    else:
        findings += _of_groups(dataset, config, groups, available_bytes)
    return _errors_first(findings)


def workers_findings(dataset: Dataset, config: TrainConfig, *, with_vocabularies: bool = True) -> Iterator[Finding]:
    """What workers send each other at each step, which the estimate of the time does not know.

    with_vocabularies: False where those are not at hand, or not what the manifest says.

    Raises:
        ArtifactError: a vocabulary cannot be read.
    """
    workers = config.cluster.workers or 1
    if workers > 1:
        who = f"{workers} workers" if config.shares == workers else f"{config.shares} GPUs of {workers} workers"
        row_sums = choose_row_sums(dataset, config, config.shares, with_vocabularies=with_vocabularies)
        yield Finding(
            "info",
            f"At each step, each of the {who} sends and receives {row_sums.reason}. The time is without that, as it "
            "depends on the links between them. A larger batch_size has fewer steps.",
            "cluster.workers",
        )


def _errors_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: finding.level != "error"))


def may_have_gpu(devices: Path = Path("/dev")) -> bool:
    """Whether training may find a GPU here, whose memory then holds the table. devices: where device files are."""
    return any(next(devices.glob(name), None) is not None for name in _GPU_DEVICES)


def _memory(dataset: Dataset, config: TrainConfig) -> MemoryEstimate:
    return estimate(dataset.fitted, config, train_rows=dataset.rows("train"))


def _of_network(dataset: Dataset, config: TrainConfig) -> Iterator[Finding]:
    rows, width = dataset.fitted.table_rows, config.model.embedding_dim
    if config.model.name == "lr" and width > 1:
        yield Finding(
            "warning",
            f"The model lr reads no embeddings. Got embedding_dim={width}, so that {rows:,} x {width} numbers are "
            "trained for nothing. Set model.embedding_dim=1, the least.",
            "model.embedding_dim",
        )


def _of_rows(dataset: Dataset, config: TrainConfig) -> Iterator[Finding]:
    rows = dataset.rows("train")
    left_out = rows % config.batch_size
    if config.batch_size <= rows and left_out > _LEFT_OUT_SHARE * rows:
        yield Finding(
            "warning",
            f"{left_out:,} of the {rows:,} training rows ({left_out / rows:.0%}) are left out of each epoch, too few "
            "for one more batch. Choose a smaller batch_size.",
            "batch_size",
        )
    for split in SPLITS[1:]:
        if not dataset.rows(split):
            message = f"The split {split} has no rows, so that it gives no figures."
            yield Finding("info", f"{message} Prepare with a larger --{split}-fraction to have some.", DATASET)
        elif dataset.label_rate(split) in (0.0, 1.0):
            message = f"The label rate of {split} is {dataset.label_rate(split):g}, so that its AUC is undefined."
            yield Finding("warning", f"{message} Prepare with a larger --{split}-fraction.", f"{DATASET}.label")


def _of_groups(
    dataset: Dataset, config: TrainConfig, groups: RowGroups, available_bytes: int | None
) -> Iterator[Finding]:
    """Row groups that are too large for the memory, too large for the pool, or too small to be read fast."""
    rows = dataset.rows("train")
    if groups.largest > ROWS_PER_GROUP:
        held = min(_GROUPS_IN_MEMORY * groups.largest, rows) * row_bytes(dataset.fitted.schema_)
        is_too_large = available_bytes is not None and _memory(dataset, config).host_bytes + held > available_bytes
        yield Finding(
            "error" if is_too_large else "warning",
            f"Row groups of the training shards must have at most {ROWS_PER_GROUP:,} rows for the memory estimate to "
            f"hold. Got {groups.largest:,}, of which reading holds up to {held / 2**30:,.2f} GiB. Prepare the dataset "
            "again.",
            DATASET,
        )
    pool = max(config.shuffle_rows, config.batch_size)
    if pool < min(rows, _GROUPS_IN_POOL * groups.largest):
        wanted = min(rows, _GROUPS_IN_POOL * groups.largest)
        yield Finding(
            "warning",
            f"The pool of shuffle_rows={config.shuffle_rows:,} holds {pool / groups.largest:.1f} of the row groups of "
            f"up to {groups.largest:,} rows, so that neighbours of the log meet in a batch. "
            f"Choose shuffle_rows={wanted:,} or more.",
            "shuffle_rows",
        )
    if groups.count > 1 and groups.rows / groups.count < min(_SMALL_GROUP, rows / 2):
        yield Finding(
            "warning",
            f"The row groups of the training shards have {groups.rows / groups.count:,.0f} rows on average; below "
            f"{_SMALL_GROUP:,}, reading slows training. Prepare the dataset again.",
            DATASET,
        )
