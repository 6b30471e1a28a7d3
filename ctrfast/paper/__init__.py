"""The table of the CowClip paper, run on whatever data is there: four networks, batch sizes 1 K to 128 K.

    dataset = Dataset.open(Path("data/criteo"))
    table = run_table(dataset, plan_table(dataset, "sample"), Path("cowclip-sample"))        # ctrfast.paper.run
    write_report(table, Path("cowclip-sample"))

plan       which runs a scale has, their memory and time
run        a sweep of them
table      figures beside the published ones
page       the report, with its pictures (`ctrfast.lab`)
gpu_time   what measured speeds say of a GPU
"""

from ctrfast.paper.page import write_report
from ctrfast.paper.plan import SCALES, PaperPlan, paper_dataset, plan_table
from ctrfast.paper.table import PaperTable

__all__ = ["SCALES", "PaperPlan", "PaperTable", "paper_dataset", "plan_table", "write_report"]
