"""What each kind of job does, with the library's own functions. Runs in a process of its own (`service.runner`).

Each function can be called again after it was killed at any point: it removes or takes up what its last attempt left.
TensorFlow is imported by the kinds that need it, when they start.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psutil

from ctrfast.allocator import keep_freed_memory
from ctrfast.cluster_tasks import task_pool
from ctrfast.data.prepare import prepare
from ctrfast.data.prepare_progress import Pace, PrepareProgress
from ctrfast.errors import Cancelled
from ctrfast.folders import MANIFEST, PARTIAL, file_hash, kind_of
from ctrfast.run import RECEIPT, Run
from ctrfast.store.artefacts import publish, remove
from ctrfast.store.mirror import mirrored, take_up
from ctrfast.sweep.pruning import Pruner
from service.assignments import BUNDLE, DATASET, OUTPUTS, RUN, Assignment
from service.champions import compare
from service.gates import COMPARISON, Comparison
from service.places import Place, folder_of
from service.pruned_runs import PrunedError
from service.seals import open_registered, require_bundle
from service.specs import EvaluateSpec, ScoreSpec, TrainSpec, parse_prepare_spec, parse_spec, parse_train_spec
from service.states import Kind
from service.stopping import Stop
from service.taken_runs import TAKEN_FROM, take_over

if TYPE_CHECKING:
    from ctrfast.loop.progress import Progress

T = TypeVar("T")
Tell = Callable[[Mapping[str, Any]], None]

_INTERVAL_S = 0.5


@dataclass(frozen=True)
class Product:
    """What a job ends with. metrics: figures. result: what it made, as shown to the caller."""

    metrics: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)


def do_work(assignment: Assignment, tell: Tell, stop: Stop) -> Product:
    """Do a job.

    Raises:
        Cancelled: SIGTERM arrived. PrunedError: a run of a sweep is hopeless.
        CtrFastError, MemoryError, OSError: see `service.outcomes`.
    """
    for partial in assignment.folder.rglob(f"{PARTIAL}*"):  # left by an attempt that was killed
        shutil.rmtree(partial) if partial.is_dir() else partial.unlink()
    with _on_this_machine(assignment) as local:
        return _WORK[assignment.kind](local, tell, stop)


@contextmanager
def _on_this_machine(assignment: Assignment) -> Iterator[Assignment]:
    """The assignment with folders in place of what lies in an object store; each file is compared with its hash."""
    with ExitStack() as stack:

        def local(place: Place | None) -> Path | None:
            return None if place is None else stack.enter_context(folder_of(place))

        folders = {"dataset": local(assignment.dataset), "run": local(assignment.run)}
        yield assignment.model_copy(update={**folders, "bundle": local(assignment.bundle)})


def _train(assignment: Assignment, tell: Tell, stop: Stop) -> Product:
    spec = parse_train_spec(assignment.spec)
    run = assignment.folder / RUN
    targets = assignment.targets
    if targets is not None:
        take_up(targets.run, run)
    if _takes_over(assignment, spec, run):
        if targets is not None:
            publish(run, targets.run)
        return Product(Run.open(run).metrics, {TAKEN_FROM: assignment.twin})
    if not (run / RECEIPT).is_file():  # else the last attempt died between training and publishing
        with mirrored(run, targets.run) if targets is not None else nullcontext():
            _run_training(assignment, spec, run, tell, stop)
    if targets is not None:
        publish(run, targets.run)
    metrics = Run.open(run).metrics
    if spec.publish_as is not None:
        tell({"type": "progress", "progress": 1.0, "eta_s": None, "facts": {"stage": "publish"}})
        return _published(assignment, run, stop)
    return Product(metrics)


def _takes_over(assignment: Assignment, spec: TrainSpec, run: Path) -> bool:
    """Have the run of a sweep's job that was trained before; one that has begun by itself goes on."""
    if assignment.twin is None or kind_of(run) is not None:
        return False
    shutil.rmtree(run, ignore_errors=True)
    twin = assignment.folder.parent / assignment.twin / RUN
    first = None if assignment.run is None else _folder(assignment.run)
    return take_over(twin, run, spec.config, _required(assignment.dataset_hash), first)


def _run_training(assignment: Assignment, spec: TrainSpec, run: Path, tell: Tell, stop: Stop) -> None:
    keep_freed_memory()  # this process does nothing but this job
    from ctrfast.train import train

    dataset = open_registered(_folder(assignment.dataset), _required(assignment.dataset_hash), verify=True)
    reporter = _TrainReporter(tell)
    if kind_of(run) is None:  # a folder that says nothing is no run to go on with
        shutil.rmtree(run, ignore_errors=True)
    steps_per_epoch = dataset.rows("train") // spec.config.batch_size
    pruner = Pruner(assignment.bars, steps_per_epoch, spec.config.epochs)

    def on_progress(progress: Progress) -> None:
        reporter(progress)
        pruner.see(progress)

    with stop.deferred():
        try:
            train(
                dataset,
                spec.config,
                run,
                resume=True,
                on_progress=on_progress,
                should_stop=lambda: stop.requested() or pruner.is_hopeless,
                warm_start=None if assignment.run is None else _folder(assignment.run),
            )
        except Cancelled:
            if stop.requested() or pruner.message is None:
                raise
            raise PrunedError(pruner.message) from None


def _sweep(assignment: Assignment, tell: Tell, stop: Stop) -> Product:
    """Publish the best run of a sweep whose runs have all succeeded."""
    stop.raise_if_requested()
    run = _folder(assignment.run)
    tell({"type": "progress", "progress": 1.0, "eta_s": None, "facts": {"stage": "publish"}})
    return _published(assignment, run, stop)


def _published(assignment: Assignment, run: Path, stop: Stop) -> Product:
    """A run's bundle, and its figures beside the champion's."""
    bundle, metrics = assignment.folder / BUNDLE, Run.open(run).metrics
    _export(run, bundle)
    if assignment.targets is not None and assignment.targets.product is not None:
        publish(bundle, assignment.targets.product / file_hash(bundle / MANIFEST))
    comparison = _comparison(assignment, metrics, bundle, stop)
    return Product(metrics, {COMPARISON: comparison.model_dump(mode="json")})


def _export(run: Path, bundle: Path) -> None:
    from ctrfast.export import export_bundle

    shutil.rmtree(bundle, ignore_errors=True)
    export_bundle(run, bundle)  # verified and scored on its golden rows before it appears


def _comparison(assignment: Assignment, metrics: Mapping[str, float], bundle: Path, stop: Stop) -> Comparison:
    if assignment.champion is None:
        return Comparison()
    dataset = open_registered(_folder(assignment.dataset), _required(assignment.dataset_hash), verify=False)
    return compare(bundle, metrics, assignment.champion, dataset, stop.raise_if_requested)


def _prepare(assignment: Assignment, tell: Tell, stop: Stop) -> Product:
    spec = parse_prepare_spec(assignment.spec)
    out = assignment.folder / DATASET
    shutil.rmtree(out, ignore_errors=True)
    with task_pool(spec.workers) as pool:
        report = prepare(
            _sources(assignment),
            spec.declared,
            out,
            min_count=spec.min_count,
            split=spec.split,
            split_column=spec.split_column,
            valid_fraction=spec.valid_fraction,
            test_fraction=spec.test_fraction,
            negative_rate=spec.negative_rate,
            seed=spec.seed,
            vocabulary_from=None if assignment.dataset is None else _folder(assignment.dataset),
            grow=spec.grow,
            max_bad_rows=spec.max_bad_rows,
            on_progress=_PrepareReporter(tell, stop),
            pool=pool,
        )
    if assignment.targets is not None and assignment.targets.product is not None:
        publish(out, assignment.targets.product / report.dataset_hash)
    return Product(result={"report": report.model_dump(mode="json")})


def _evaluate(assignment: Assignment, tell: Tell, stop: Stop) -> Product:
    from ctrfast.evaluate import evaluate

    stop.raise_if_requested()
    spec = parse_spec(EvaluateSpec, assignment.spec)
    tell({"type": "progress", "progress": 0.0, "eta_s": None, "facts": {"stage": "evaluate"}})
    dataset = _folder(assignment.dataset)
    open_registered(dataset, _required(assignment.dataset_hash), verify=False)  # `evaluate` compares the files
    figures = evaluate(_folder(assignment.run), [dataset], spec.split).metrics
    return Product({f"{spec.split}_{name}": value for name, value in figures.items()})


def _score(assignment: Assignment, tell: Tell, stop: Stop) -> Product:
    from ctrfast.batch_score import can_resume, score_files

    spec = parse_spec(ScoreSpec, assignment.spec)
    bundle = _folder(assignment.bundle)
    require_bundle(bundle, _required(assignment.bundle_sha256))
    out = assignment.folder / OUTPUTS / spec.out
    out.unlink(missing_ok=True)
    ticker, inputs = _Ticker(), _sources(assignment)

    def on_progress(rows: int) -> None:
        stop.raise_if_requested()
        if ticker.is_due():
            tell({"type": "progress", "progress": 0.0, "eta_s": None, "facts": {"stage": "score", "rows": rows}})

    # Another version, behind an alias, or other files since the last attempt: then it begins anew.
    resume = can_resume(bundle, inputs, out, calibrated=spec.calibrated)
    scored = score_files(bundle, inputs, out, calibrated=spec.calibrated, resume=resume, on_progress=on_progress)
    if assignment.targets is not None:
        remove(assignment.targets.outputs)  # of an attempt that died after it
        publish(assignment.folder / OUTPUTS, assignment.targets.outputs, kind=OUTPUTS)
    result = {
        "rows": scored.rows,
        "unseen": dict(scored.unseen),
        "outputs": [spec.out],
        "model": spec.model,
        "version": _required(assignment.version),
    }
    return Product({"rows_per_s": scored.rows_per_s}, result)


class _Ticker:
    """Lets something through about twice a second."""

    def __init__(self) -> None:
        self._next = 0.0

    def is_due(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + _INTERVAL_S
        return True


class _TrainReporter:
    """Training's progress as messages, and all that was measured at its own step, with this process's memory.

    What is counted for an id field is told when it has changed: 26 fields would fill most of a record with zeros.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._by_field: dict[str, float] = {}

    def __call__(self, progress: Progress) -> None:
        memory_bytes = _rss_bytes() if progress.measured else None
        for measured in progress.measured:
            counted = measured["by_field"].items()
            by_field = {name: value for name, value in counted if self._by_field.get(name) != value}
            self._by_field |= by_field
            record = {"epoch": measured["epoch"], "step": measured["step"], **measured["metrics"], **by_field}
            self._tell({"type": "metric", "record": {**record, "memory_bytes": memory_bytes}})
        facts = {"epoch": progress.epoch, "step": progress.step, "total_steps": progress.total_steps}
        self._tell(
            {
                "type": "progress",
                "progress": progress.fraction,
                "eta_s": progress.eta_s,
                "facts": {**facts, "rows": progress.rows, "stage": "train"},
                "metrics": progress.metrics,
            }
        )


def _rss_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


class _PrepareReporter:
    """Preparation's progress as messages; SIGTERM is seen here as well."""

    def __init__(self, tell: Tell, stop: Stop) -> None:
        self._tell = tell
        self._stop = stop
        self._ticker = _Ticker()
        self._pace = Pace()

    def __call__(self, progress: PrepareProgress) -> None:
        self._stop.raise_if_requested()
        speed = self._pace.after(progress)
        if not self._ticker.is_due():
            return
        facts = {"stage": progress.stage, "rows": progress.rows, "total_rows": progress.total_rows}
        facts |= {"rows_per_s": speed.rows_per_s}
        self._tell({"type": "progress", "progress": progress.share, "eta_s": speed.eta_s, "facts": facts})


def _sources(assignment: Assignment) -> list[Path | str]:
    """Raw files, as `ctrfast.data.sources` takes them."""
    return [file if isinstance(file, Path) else str(file) for file in assignment.files]


def _folder(place: Place | None) -> Path:
    if not isinstance(place, Path):
        raise RuntimeError("the assignment lacks a folder that its kind needs")
    return place


def _required(value: T | None) -> T:
    if value is None:
        raise RuntimeError("the assignment lacks what its kind needs")
    return value


_WORK: Mapping[Kind, Callable[[Assignment, Tell, Stop], Product]] = {
    Kind.TRAIN: _train,
    Kind.PREPARE: _prepare,
    Kind.EVALUATE: _evaluate,
    Kind.SCORE: _score,
    Kind.SWEEP: _sweep,
}
