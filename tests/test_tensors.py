"""What is written, the safetensors library reads."""

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from ctrfast.tensors import write_tensors


def test_the_library_reads_all_types_and_shapes(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "table": rng.normal(size=(5, 3)).astype(np.float32),
        "step": np.asarray(7, np.int64),
        "empty": np.zeros((0, 4), np.float32),
        "columns": np.asfortranarray(rng.normal(size=(2, 3))),
        "ids": np.arange(3, dtype=np.int32),
    }
    tensors = {**arrays, "variable": tf.Variable(arrays["table"]), "count": tf.Variable(3, dtype=tf.int64)}
    write_tensors(tmp_path / "a.safetensors", tensors)
    read = load_file(tmp_path / "a.safetensors")
    assert set(read) == set(tensors)
    for name, value in {**arrays, "variable": arrays["table"], "count": np.asarray(3, np.int64)}.items():
        np.testing.assert_array_equal(read[name], value)
        assert read[name].dtype == value.dtype


def test_a_type_that_the_format_has_no_name_for_here_is_an_error(tmp_path):
    with pytest.raises(KeyError):
        write_tensors(tmp_path / "a.safetensors", {"a": np.zeros(3, np.complex64)})
    assert not (tmp_path / "a.safetensors").exists()
