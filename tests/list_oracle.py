"""The numpy program of the step (`tests.oracle`), with lists that are pooled and tables that several fields use.

A slot without a value is -1. Each field is (table, slots, pooling), with the pooling of a single slot None.
"""

import numpy as np

from tests.oracle import Trainer, gradients


def pooled(tables, fields, ids):
    """Ids (B, S), local to their tables -> rows (B, F, D+1), one list at a time."""
    rows = np.zeros((len(ids), len(fields), tables[0].shape[1]))
    for b, f in np.ndindex(rows.shape[:2]):
        table, slots, how = fields[f]
        found = [tables[table][k] for k in ids[b, slots] if k >= 0]
        if found:
            rows[b, f] = np.mean(found, axis=0) if how == "mean" else np.sum(found, axis=0)
    return rows


class ListTrainer(Trainer):
    """The published step with the true counts of each table's rows."""

    def __init__(self, name, tables, fields, dense, settings):
        super().__init__(name, tables, dense, settings)
        self.fields = fields

    def train(self, ids, numbers, labels):
        s = self.settings
        self.step += 1
        rows = pooled(self.tables, self.fields, ids)
        loss, of_rows, of_dense = gradients(self.name, rows, numbers.astype(np.float64), labels, self.dense)
        grads = [2 * s["l2"] * table for table in self.tables]
        self.counts = [np.zeros(len(table), int) for table in self.tables]
        for b, f in np.ndindex(of_rows.shape[:2]):
            table, slots, how = self.fields[f]
            found = [k for k in ids[b, slots] if k >= 0]
            for k in found:
                grads[table][k] += of_rows[b, f] / (len(found) if how == "mean" else 1)
                self.counts[table][k] += 1
        shrinks = self._clip([g[:, :-1] for g in grads], self.counts)
        self.clipped = [int(((shrink < 1) & (n > 0)).sum()) for shrink, n in zip(shrinks, self.counts, strict=True)]
        for t, table in enumerate(self.tables):
            grads[t][:, :-1] *= shrinks[t][:, None]
            for part, columns in (("rows", slice(0, -1)), ("linear", slice(-1, None))):
                self._update((part, t), table[:, columns], grads[t][:, columns], s["lr_embed"])
        rate = s["lr_dense"] * min(1, self.step / max(s["warmup_steps"], 1))
        of_dense[0] = of_dense[0] + 2 * s["l2"] * self.dense[0]
        for index, gradient in enumerate(of_dense):
            self._update(("dense", index), self.dense[index], np.reshape(gradient, self.dense[index].shape), rate)
        return loss
