"""The table of mixtures and students, from figures by hand."""

from __future__ import annotations

from matplotlib.figure import Figure

from bench.student import WHO, draw, report
from ctrfast.distillation import DistilledNetwork

AUC = {"teacher": 0.761, "student": 0.7600, "alone": 0.7590, "longer": 0.7583}


def seed(number):
    return {
        who: DistilledNetwork(
            who="alone" if who == "longer" else who,
            run="runs/x",
            model="deepfm",
            tower="moe" if who == "teacher" else "mlp",
            weights=1000,
            auc=auc + 0.001 * number * (who != "alone"),
            log_loss=0.5,
            model_bytes=2**21,
            row_latency_us=50.0 + number,
        )
        for who, auc in AUC.items()
    }


def test_means_deviations_and_the_difference_from_alone():
    made = report([seed(0), seed(1), seed(2)], 1234, is_real=True)
    (table,) = made.tables
    assert table.title == "The real Criteo sample: 1,234 training rows, 3 seeds; mean (sd)"
    assert table.rows[1] == [
        WHO["student"], "0.7610 (0.0010)", "+0.0020 (0.0010)", "0.5000 (0.0000)", "1,000", "2.00", "51"
    ]  # fmt: skip
    assert table.rows[2][2] == "-"
    assert table.rows[3][:3] == [WHO["longer"], "0.7593 (0.0010)", "+0.0003 (0.0010)"]
    assert "'Alone, twice as long' begins anew" in made.notes[2]
    assert made.figures["teacher"][2]["auc"] == AUC["teacher"] + 0.002
    assert "runs/x" not in str(made.figures)
    assert report([seed(0)], 1, is_real=False).tables[0].rows[0][1] == "0.7610"


def test_a_mark_for_each_seed():
    axes = Figure().add_subplot()
    draw(axes, [seed(0), seed(1)])
    assert [list(line.get_xdata()) for line in axes.lines] == [
        [of.auc for of in seed(number).values()] for number in (0, 1)
    ]
