import numpy as np
import pytest

from ctrfast.data.fit import Moments
from ctrfast.data.transforms import NumberInputs, missing_input, transformed
from ctrfast.fitted_schema import Statistics
from ctrfast.schema import NumericField

VALUES = np.array([-3.0, 0.0, 2.0, 10.0, np.nan])


def learned(values, field):
    moments = Moments()
    for part in np.array_split(transformed(values, field), 2):
        moments.add(part)
    return moments.statistics(with_width=field.scale == "min_max")


def inputs(field, train, values=VALUES):
    return NumberInputs((field,), {field.name: learned(train, field)}).of(values[:, None])[:, 0]


def test_log1p_keeps_the_sign():
    expected = [-np.log(4), 0, np.log(3), np.log(11), np.nan]
    np.testing.assert_allclose(transformed(VALUES, NumericField(name="n", transform="log1p")), expected)


@pytest.mark.parametrize(
    "scale, expected",
    [
        ("standard", [-5, -2, 0, 8, 0]),  # mean 2, deviation 1
        ("min_max", [-2, -0.5, 0.5, 4.5, 0.5]),  # 1 to 3
        ("none", [-3, 0, 2, 10, 2]),
    ],
)
def test_scales_of_a_field_with_training_values_1_and_3(scale, expected):
    found = inputs(NumericField(name="n", scale=scale), np.array([1.0, np.nan, 3.0]))
    np.testing.assert_array_equal(found, np.float32(expected))


@pytest.mark.parametrize("train", [np.full(50, 0.1), np.full(3, 1e30), np.array([np.nan]), np.array([])])
@pytest.mark.parametrize("scale", ["standard", "min_max", "none"])
def test_a_constant_or_empty_field_is_not_divided_by_zero(scale, train):
    field = NumericField(name="n", scale=scale)
    found = inputs(field, train, np.array([*train[:1], np.nan, 3.4e38]))
    assert np.isfinite(found).all()
    if scale != "none":
        np.testing.assert_allclose(found[:-1], 0, atol=1e-6)


def test_a_missing_number_is_the_scaled_training_mean():
    field, train = NumericField(name="n", scale="min_max", transform="log1p"), np.array([0.0, 1.0, 7.0])
    logs = np.log1p(train)
    expected = (logs.mean() - logs.min()) / (logs.max() - logs.min())
    assert missing_input(field, learned(train, field)) == np.float32(expected)


def test_fields_are_transformed_each_in_its_own_way():
    fields = (
        NumericField(name="a", transform="log1p", scale="none"),
        NumericField(name="b", transform="log_squared", scale="none"),
        NumericField(name="c", scale="none"),
    )
    both = NumberInputs(fields, dict.fromkeys("abc", Statistics(mean=0.0, std=1.0)))
    np.testing.assert_allclose(
        both.of(np.full((2, 3), 5.0)), np.tile([np.log(6), np.log(5) ** 2, 5], (2, 1)), rtol=1e-6
    )
