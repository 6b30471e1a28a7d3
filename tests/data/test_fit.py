import numpy as np
import pyarrow as pa
import pytest

from ctrfast.data.fit import Fitter, Moments


def test_moments_of_pieces_are_those_of_the_whole():
    values = np.random.default_rng(1).normal(1e6, 2.0, 1000)
    values[::7] = np.nan
    moments = Moments()
    for piece in np.array_split(values, 13):
        moments.add(piece)
    statistics = moments.statistics()
    np.testing.assert_allclose([statistics.mean, statistics.std], [np.nanmean(values), np.nanstd(values)], rtol=1e-10)


def test_constant_and_empty_fields_get_deviation_one():
    constant, empty = Moments(), Moments()
    constant.add(np.array([4.0, 4.0]))
    empty.add(np.array([np.nan]))
    assert (constant.statistics().mean, constant.statistics().std) == (4.0, 1.0)
    assert (empty.statistics().mean, empty.statistics().std) == (0.0, 1.0)


def test_only_training_rows_teach(tiny):
    train = np.array([True, False, True, False])
    columns = {
        "n": pa.array(["1", "100", "3", "100"]),
        "a": pa.array(["x", "held out", "y", "x"]),
        "b": pa.array([None, "p", None, "p"]),
    }
    fitter = Fitter(tiny)
    fitter.add(columns, train)
    encoder = fitter.encoder(1)
    assert fitter.rows == 2
    assert encoder.fitted.statistics["n"].mean == 2.0
    assert encoder.vocabularies["a"].values.to_pylist() == ["x", "y"]
    assert encoder.vocabularies["a"].counts.to_pylist() == [1, 1]
    assert len(encoder.vocabularies["b"]) == 0
    assert encoder.fitted.table_sizes == (4, 2)


def test_times_teach_their_parts(tiny_csv):
    columns = {name: pa.array([None, None, None], pa.string()) for name in ("n", "a", "b")}
    columns["at"] = pa.array(["14102105", "14102205", "14102206"])
    fitter = Fitter(tiny_csv)
    fitter.add(columns, np.ones(3, bool))
    vocabularies = fitter.encoder(1).vocabularies
    assert vocabularies["hour_of_day"].values.to_pylist() == ["5", "6"]
    assert vocabularies["weekday"].values.to_pylist() == ["2", "1"]


def test_a_constant_number_is_not_blown_up_by_rounding():
    moments = Moments()
    for _ in range(50):
        moments.add(np.full(61, 0.1))
    assert moments.statistics().std == 1.0
    assert moments.statistics().mean == pytest.approx(0.1)
    assert Moments().statistics().std == 1.0
