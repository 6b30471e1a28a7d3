"""How much memory a training run will take at its peak, by part and by field, before it starts.

    table        V (D+1)                   V rows, D embedding columns and the linear weight; twice where it is updated
                                           in place: once as the step has it, once to predict from
    moments      V (D+1) slots             2 slots for adam and lamb, 1 for lars
    gradient     V (D+8)                   sums of row gradients, counts, and what the pass over them holds: 6 numbers
                                           a row, as measured; `update: sparse` on a CPU has min(V, B S) rows of it.
                                           In place: min(V, B S) (D+3) + 2 V, sums of present rows, and two numbers
                                           for each row. On a GPU V (2D+4), as measured. Of replicas on CPUs V (2D+10):
                                           a replica's sums, and the pass over those of all; in place of its sums,
                                           three times the lists of touched rows of all workers where that may be
                                           larger: as they were gathered, cut apart, and joined. The lists are at most
                                           2 V (D+2), or sums are sent (`ctrfast.row_sums`)
    dense        P (2 + slots)             P weights outside the table, with their gradient
    batch        B S (D+1) x copies of the row gradients (in place, of a micro-batch's), and M rows of activations, M
                                           the micro-batch
    checkpoint   V (D+1)                   a copy of the largest tensor while it is written
    input        the pool of `shuffle_rows` rows, row groups being read, batches that wait
    process      Python, TensorFlow and compiled code
    teacher      V (D+1) + P and M rows of activations: a student's teacher, without moments and gradients

each times 4 bytes but the last, and all but the checkpoint for each worker of a cluster. Meant to be above the truth
for training on one device; the rows of evaluations are not in it. On one CPU the table is updated in place where the
settings move each row by itself (`ctrfast.row_step`): the peak with 34 million rows at batch 65,536 was 83 % of the
estimate (`make bench-memory`). On a GPU the peak with 1.07 million rows was 90 % of it at batch 1,024 and 61 % at
131,072 (`make bench-gpu`, from disk). Several GPUs and workers have not been measured.

    needs = estimate(dataset.fitted, config, train_rows=dataset.rows("train"))
    check_memory(needs, available_memory())
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ctrfast.config import CPU_MICRO_BATCH_ROWS, TrainConfig
from ctrfast.errors import ConfigError
from ctrfast.fitted_schema import FittedSchema
from ctrfast.model_config import ModelConfig
from ctrfast.network_sizes import network_size
from ctrfast.optim.scaling import make_plan
from ctrfast.optim.step_settings import StepSettings

SLOTS = {"adam": 2, "lamb": 2, "lars": 1}

_BYTES = 4
_PLACE_BYTES = 8  # of a row's place in the pool
_PROCESS_BYTES = 1200 * 2**20
_PASS_NUMBERS = 8  # of a row beside its embedding's gradient; fitted to measured peaks
_WORKSPACE_BYTES = 32 * 2**20  # of a GPU's matrix products
_ACTIVATION_COPIES = 2  # forward and backward; of a teacher's mixtures the product, and with biases
_LIST_COPIES = 3  # gathered with gaps, the parts without, joined
_ROW_GRADIENT_COPIES = 4  # of micro-batches, joined, with counts, being summed
_BATCHES = 5  # being made, waiting (2), handed over, in the step
_ROWS_BEING_READ = 17 * 65_536  # row groups of 8 threads (`ctrfast.data.ahead`): 8 at work, 9 done

_ON_DEVICE = ("table", "moments", "gradient", "dense", "batch")
_TEACHER = "teacher"
_REMEDIES = {
    "dense": ("model.hidden", "Choose smaller model.hidden, model.cross_layers or model.low_rank."),
    "batch": ("batch_size", "Choose a smaller batch_size or micro_batch_size."),
    "input": ("shuffle_rows", "Choose a smaller shuffle_rows."),
    _TEACHER: ("run", "Distil a run of fewer experts, or of a smaller model.hidden."),
}


@dataclass(frozen=True)
class FieldMemory:
    """rows of an id field's own table, and bytes of their weights and moments."""

    rows: int
    bytes: int


@dataclass(frozen=True)
class MemoryEstimate:
    """by_part: bytes at the peak, of all replicas and workers together; `teacher` only where there is one.

    by_field: of one replica.
    """

    by_part: Mapping[str, int]
    by_field: Mapping[str, FieldMemory]
    replicas: int
    workers: int = 1

    @property
    def total_bytes(self) -> int:
        """All parts: what a machine needs that trains on its CPU."""
        return sum(self.by_part.values())

    @property
    def device_bytes(self) -> int:
        """The parts that lie on each GPU; on the first one a teacher too."""
        return sum(self.by_part[part] for part in _ON_DEVICE) // self.replicas + self.by_part.get(_TEACHER, 0)

    def of_a_worker(self) -> MemoryEstimate:
        """What one worker of several takes; the chief's, which writes the checkpoints."""
        own = {part: size if part == "checkpoint" else -(-size // self.workers) for part, size in self.by_part.items()}
        return MemoryEstimate(own, self.by_field, self.replicas // self.workers)

    @property
    def host_bytes(self) -> int:
        """The parts that stay in the machine's memory where GPUs hold the others."""
        return sum(size for part, size in self.by_part.items() if part not in (*_ON_DEVICE, _TEACHER))


def estimate(
    fitted: FittedSchema,
    config: TrainConfig,
    *,
    train_rows: int | None = None,
    replicas: int | None = None,
    on_gpu: bool = False,
    teacher: ModelConfig | None = None,
) -> MemoryEstimate:
    """Foresee the peak.

    Args:
        fitted: says F, S, N and the rows of each table.
        config: the run's settings.
        train_rows: of the training split; a pool is not larger. Not known: the pool counts as full.
        replicas: devices that share each batch, of all workers; by default as many as the config says.
        on_gpu: without `micro_batch_size`, a GPU takes its share of the batch at once, a CPU in micro-batches.
        teacher: the network that labels each batch (`ctrfast.teacher`), for one process with the same fields.
    """
    replicas, workers = replicas or config.shares, config.cluster.workers or 1
    schema, slots = fitted.schema_, SLOTS[config.optimizer.name]
    V, F, N, D = fitted.table_rows, len(schema.id_names), len(schema.numeric_names), config.model.embedding_dim
    S = schema.slots
    B = -(-config.batch_size // replicas)
    M = min(config.micro_batch_size or (B if on_gpu else CPU_MICRO_BATCH_ROWS), B)
    settings = StepSettings.of(make_plan(config, schema.name), steps_per_epoch=1, epochs=1)
    in_place = settings.by_row and replicas == 1 and not on_gpu
    present = min(V, B * S)
    if on_gpu:
        gradient = V * (2 * D + 4)
    elif in_place:
        gradient = present * (D + 3) + 2 * V
    elif replicas > 1:
        lists = min(replicas * present * (D + 3), 2 * V * (D + 2)) if workers > 1 else 0
        gradient = max(V * (D + 2), _LIST_COPIES * lists) + V * (D + _PASS_NUMBERS)
    else:
        gradient = (present if config.optimizer.update == "sparse" else V) * (D + _PASS_NUMBERS)
    size = network_size(config.model, F, N, tasks=len(schema.labels))
    P = size.parameters
    pooled = S * (D + 1) if S > F else 0  # the rows of lists, before they are pooled
    activations = M * (size.activations + pooled) * _ACTIVATION_COPIES
    pool_rows = max(config.shuffle_rows, config.batch_size)
    row_bytes = (S + N + len(schema.labels)) * _BYTES
    read_rows = _ROWS_BEING_READ * workers
    if train_rows is not None:
        pool_rows, read_rows = min(pool_rows, train_rows), min(read_rows, train_rows)
    on_device = {
        "table": V * (D + 1) * _BYTES * (2 if in_place else 1),
        "moments": V * (D + 1) * slots * _BYTES,
        "gradient": gradient * _BYTES,
        "dense": P * (2 + slots) * _BYTES + (_WORKSPACE_BYTES if on_gpu else 0),
        "batch": ((M if in_place else B) * S * (D + 1) * _ROW_GRADIENT_COPIES + activations) * _BYTES,
    }
    by_part = {
        **{part: size * replicas for part, size in on_device.items()},
        "checkpoint": V * (D + 1) * _BYTES,
        "input": pool_rows * (row_bytes + _PLACE_BYTES) + (read_rows + _BATCHES * config.batch_size) * row_bytes,
        "process": _PROCESS_BYTES * workers,
    }
    if teacher is not None:
        by_part[_TEACHER] = _teacher_bytes(teacher, fitted, min(CPU_MICRO_BATCH_ROWS, config.batch_size))
    by_field = {
        name: FieldMemory(rows, rows * (D + 1) * (1 + slots) * _BYTES)
        for name, rows in zip(schema.table_names, fitted.table_sizes, strict=True)
    }
    return MemoryEstimate(by_part, by_field, replicas, workers)


def _teacher_bytes(model: ModelConfig, fitted: FittedSchema, rows: int) -> int:
    """Of a network that predicts so many rows at once (`ctrfast.network`)."""
    schema, D = fitted.schema_, model.embedding_dim
    F, S = len(schema.id_names), schema.slots
    size = network_size(model, F, len(schema.numeric_names))
    pooled = S * (D + 1) if S > F else 0
    activations = rows * (size.activations + pooled) * _ACTIVATION_COPIES
    return (fitted.table_rows * (D + 1) + size.parameters + activations) * _BYTES


def check_memory(needs: MemoryEstimate, available_bytes: int, device_bytes: int | None = None) -> None:
    """Refuse a run that will not fit.

    Args:
        needs: of the run.
        available_bytes: what the process can have of the machine's (`ctrfast.machine_memory`).
        device_bytes: what it can have of each GPU's; `None` where the run is on the CPU.

    Raises:
        ConfigError: too little memory. It names the largest field of the table, or the part that is larger still.
    """
    if device_bytes is None:
        _check(needs, "memory", needs.total_bytes, available_bytes, tuple(needs.by_part))
    else:
        on_device = tuple(part for part in needs.by_part if part in (*_ON_DEVICE, _TEACHER))
        _check(needs, "device memory", needs.device_bytes, device_bytes, on_device)
        _check(needs, "memory", needs.host_bytes, available_bytes, tuple(set(needs.by_part) - set(on_device)))


def _check(needs: MemoryEstimate, what: str, wanted: int, available: int, parts: Sequence[str]) -> None:
    if wanted <= available:
        return
    problem = f"The run must fit in the {_gib(available)} of {what} that are free. Got an estimate of {_gib(wanted)}"
    largest = max((part for part in parts if part in _REMEDIES), key=lambda part: needs.by_part[part])
    if needs.by_part[largest] > sum(field.bytes for field in needs.by_field.values()):
        path, remedy = _REMEDIES[largest]
        raise ConfigError(f"{problem}, of which {largest} takes {_gib(needs.by_part[largest])}. {remedy}", path=path)
    name, field = max(needs.by_field.items(), key=lambda item: item[1].bytes)
    raise ConfigError(
        f"{problem}; the largest table is that of {name}, {_gib(field.bytes)} for {field.rows:,} rows. "
        "Prepare the data with a higher --min-count, or choose a smaller model.embedding_dim.",
        path="model.embedding_dim",
    )


def _gib(size: int) -> str:
    return f"{size / 2**30:,.2f} GiB"
