"""What can be known before a training starts: what would refuse it, what is worth knowing, memory and time.

    checked = preflight(Dataset.open(path, verify=False), config, available_memory())
    checked.findings                        # level, message, path
    refuse(checked.findings)                # raises the first error
    checked.time.low_s, checked.time.high_s

Takes about a second, whatever the size of the data: of the shards it reads footers and a few row groups. It loads no
TensorFlow, so it sees no GPU; where there may be one, `ctrfast.train` judges its memory.

findings        what was found, and how it is refused
checks          all of them together
stored_files    the files that the manifest names: sizes, columns, row groups
unseen          the share of unseen ids that later data will have, from a sample
training_time   seconds, from the speed of this machine
"""

from ctrfast.preflight.checks import Preflight, examine, examine_files, preflight, workers_findings
from ctrfast.preflight.findings import Finding, refuse
from ctrfast.preflight.training_time import TimeEstimate
from ctrfast.preflight.unseen import unseen_findings, unseen_shares

__all__ = [
    "Finding",
    "Preflight",
    "TimeEstimate",
    "examine",
    "examine_files",
    "preflight",
    "refuse",
    "unseen_findings",
    "unseen_shares",
    "workers_findings",
]
