"""Packed weights by hand, their error bounds, and refusals."""

import numpy as np
import pytest

from ctrfast.errors import ConfigError
from ctrfast.packing import SCALE_LINEAR, TABLE, pack_kernel, pack_table, unpack_kernel, unpack_table


def random_table(rows=500, width=9, seed=0):
    rng = np.random.default_rng(seed)
    sizes = 10.0 ** rng.uniform(-9, 3, (rows, 1))
    return (rng.normal(size=(rows, width)) * sizes).astype(np.float32)


def test_int8_by_hand():
    # scale = 12.7 / 127 = 0.1, a little more as float16: 0.1 -> 0.0999756 would cut 12.7 off, so 0.1000366
    table = np.array([[12.7, -6.31, 0.0, 2.5], [0, 0, 0, -1]], np.float32)
    parts = pack_table(table, "int8")
    assert parts[TABLE].dtype == np.int8
    np.testing.assert_array_equal(parts[TABLE], [[127, -63, 0], [0, 0, 0]])
    np.testing.assert_allclose(parts[SCALE_LINEAR], [[0.1000366, 2.5], [0, -1]], atol=1e-7)
    np.testing.assert_allclose(unpack_table(parts)[0], [12.70465, -6.30231, 0, 2.5], atol=1e-5)

    kernel = np.array([[1.27, 0, -3], [-0.5, 0, 1]], np.float32)
    parts = pack_kernel("dense.02", kernel, "int8")
    np.testing.assert_array_equal(parts["dense.02"], [[127, 0, -127], [-50, 0, 42]])
    np.testing.assert_allclose(parts["dense.02.scale"], [[0.01, 0, 3 / 127]], rtol=1e-6)
    np.testing.assert_allclose(unpack_kernel("dense.02", parts), [[1.27, 0, -3], [-0.5, 0, 126 / 127]], rtol=1e-6)


def test_int8_is_off_by_half_a_step_at_most_whatever_the_rows_size():
    table = random_table()
    parts = pack_table(table, "int8")
    error = np.abs(unpack_table(parts) - table)
    steps = parts[SCALE_LINEAR][:, :1].astype(np.float64)
    assert np.all(error[:, :-1] <= steps * 0.500001)
    assert np.all(error[:, -1] <= np.abs(table[:, -1]) * 2**-11 + 2**-25)  # float16: 11 bits, the last of 2^-24
    assert np.all(steps[:, 0] <= np.abs(table[:, :-1]).max(axis=1) / 127 * 1.001 + 2**-24)


@pytest.mark.parametrize("seed", range(3))
def test_float16_keeps_eleven_bits(seed):
    table = random_table(seed=seed)
    for packed, name in ((pack_table(table, "float16"), TABLE), (pack_kernel("k", table, "float16"), "k")):
        assert packed[name].dtype == np.float16
        assert set(packed) == {name}
    got = unpack_table(pack_table(table, "float16"))
    assert got.dtype == np.float32
    assert np.all(np.abs(got - table) <= np.abs(table) * 2**-11 + 2**-25)
    np.testing.assert_array_equal(got, unpack_kernel("k", pack_kernel("k", table, "float16")))


@pytest.mark.parametrize("bad", [1e6, np.inf, np.nan])
def test_weights_beyond_float16_are_refused(bad):
    table = np.array([[1, 2, bad]], np.float32)
    for pack in (lambda: pack_table(table, "float16"), lambda: pack_table(table, "int8")):
        with pytest.raises(ConfigError, match="at most 65504 in size") as caught:
            pack()
        assert caught.value.path == "quantize"
