"""The data report: what a prepared dataset holds, what drifts, what it costs, and what to mend before training.

    report = inspect_dataset(Dataset.open(Path("criteo")))
    report.id_fields[0].unseen_share["test"]
    [warning.what for warning in report.warnings]

`contents` is the report's form, `figures` the pass over the shards, `page` the report as one HTML file (it draws with
matplotlib, which nothing else here imports).
"""

from ctrfast.data.report.contents import DataReport, DataWarning, IdFieldReport, NumericFieldReport
from ctrfast.data.report.inspection import inspect_dataset

__all__ = ["DataReport", "DataWarning", "IdFieldReport", "NumericFieldReport", "inspect_dataset"]
