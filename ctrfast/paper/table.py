"""The figures of the paper's table, beside the published ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from ctrfast.data.shards import Dataset
from ctrfast.optim.published import EPOCHS, NETWORKS, PUBLISHED_AUC, PUBLISHED_MINUTES
from ctrfast.paper.plan import PaperPlan


@dataclass(frozen=True)
class PaperRow:
    """One run. auc, published_auc: of the test split, in percent. state: with the reason where it did not succeed."""

    network: str
    batch_size: int
    state: str
    auc: float | None
    log_loss: float | None
    minutes: float | None
    published_auc: float | None
    published_minutes: float | None

    @property
    def difference(self) -> float | None:
        """In percentage points."""
        return None if self.auc is None or self.published_auc is None else self.auc - self.published_auc


@dataclass(frozen=True)
class PaperTable:
    """rows: in the order of networks and batch sizes. epochs: of each run. notes: what to know when they are read."""

    rows: tuple[PaperRow, ...]
    epochs: int
    title: str
    notes: tuple[str, ...]

    HEAD: ClassVar[tuple[str, ...]] = (
        "network", "batch size", "AUC %", "published %", "difference", "log loss", "minutes", "V100 minutes",
    )  # fmt: skip

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], dataset: Dataset, plan: PaperPlan) -> Self:
        """Of a sweep's rows (`ctrfast.sweep.folder`)."""
        schema, epochs = dataset.fitted.schema_.name, plan.config.base["epochs"]
        made = [_row(row, schema) for row in rows]
        order = sorted(made, key=lambda row: (NETWORKS.index(row.network), row.batch_size))
        here = f"{dataset.rows('train'):,} training rows of {schema}, {epochs} {'epoch' if epochs == 1 else 'epochs'}"
        notes = [
            f"Here: {here}, one seed. Published: DeepFM alone, {EPOCHS} epochs on the whole Criteo or Avazu set, one "
            "V100. Differences say how well the paper is reproduced only where data and epochs are the same."
        ]
        if plan.left_out:
            notes.append(f"Too large for these rows: batch sizes {', '.join(f'{size:,}' for size in plan.left_out)}.")
        failed = [f"{row.network} at {row.batch_size:,}: {row.state}" for row in order if row.auc is None]
        if failed:
            notes.append(f"Without a test AUC: {'; '.join(failed)}.")
        return cls(tuple(order), epochs, f"CowClip's table, {plan.scale}: {here}", tuple(notes))

    @property
    def failed(self) -> bool:
        """Whether a run did not succeed."""
        return any(row.state != "succeeded" for row in self.rows)

    def runs(self) -> Iterator[dict[str, Any]]:
        """The rows as those of a frame of `ctrfast.lab.runs`; AUC in [0, 1], `epoch_s` in seconds."""
        for row in self.rows:
            yield {
                "model.name": row.network,
                "batch_size": row.batch_size,
                "test_auc": None if row.auc is None else row.auc / 100,
                "test_log_loss": row.log_loss,
                "epoch_s": None if row.auc is None or row.minutes is None else 60 * row.minutes / self.epochs,
            }

    def published_auc(self) -> dict[str, dict[int, float]]:
        """By label and batch size, in [0, 1]."""
        return self._published({row: row.published_auc / 100 for row in self.rows if row.published_auc is not None})

    def published_epoch_s(self) -> dict[str, dict[int, float]]:
        """Seconds of an epoch on one V100, by label and batch size."""
        minutes = {row: row.published_minutes for row in self.rows if row.published_minutes is not None}
        return self._published({row: 60 * of / EPOCHS for row, of in minutes.items()}, " (V100)")

    def _published(self, figures: Mapping[PaperRow, float], note: str = "") -> dict[str, dict[int, float]]:
        by_label: dict[str, dict[int, float]] = {}
        for row, value in figures.items():
            by_label.setdefault(f"{row.network}, published{note}", {})[row.batch_size] = value
        return by_label

    def cells(self) -> Iterator[tuple[str, ...]]:
        """The rows as words, `-` for what is not known."""
        for row in self.rows:
            yield (
                row.network,
                f"{row.batch_size:,}",
                _shown(row.auc, ".2f"),
                _shown(row.published_auc, ".2f"),
                _shown(row.difference, "+.2f"),
                _shown(row.log_loss, ".4f"),
                _shown(row.minutes, ".2f"),
                _shown(row.published_minutes, "g"),
            )


def _row(row: Mapping[str, Any], schema: str) -> PaperRow:
    network, size = row["settings"]["model.name"], row["settings"]["batch_size"]
    auc = row["metrics"].get("test_auc")
    return PaperRow(
        network=network,
        batch_size=size,
        state=row["state"] if row["reason"] is None else f"{row['state']}, {row['reason']}",
        auc=None if auc is None else 100 * auc,
        log_loss=row["metrics"].get("test_log_loss"),
        minutes=None if row["seconds"] is None else row["seconds"] / 60,
        published_auc=PUBLISHED_AUC.get(schema, {}).get(network, {}).get(size),
        published_minutes=PUBLISHED_MINUTES.get(schema, {}).get(network, {}).get(size),
    )


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"
