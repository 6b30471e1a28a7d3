"""The two clients have the same methods, each with the arguments and the text of the request that it sends."""

import inspect
import subprocess
import sys

import numpy as np
import pytest

import ctrfast.client
from ctrfast.client import AsyncClient, Client, calls
from ctrfast.errors import ConfigError


def methods(kind):
    return {name: value for name, value in vars(kind).items() if not name.startswith("_") and inspect.isfunction(value)}


def test_all_is_complete_and_sorted():
    assert ctrfast.client.__all__ == sorted(ctrfast.client.__all__)
    assert all(hasattr(ctrfast.client, name) for name in ctrfast.client.__all__)


def test_both_have_the_same_methods():
    assert methods(Client).keys() == methods(AsyncClient).keys() >= {"submit", "wait", "events", "score", "close"}
    for name, method in methods(Client).items():
        twin = methods(AsyncClient)[name]
        assert list(inspect.signature(method).parameters) == list(inspect.signature(twin).parameters)
        assert method.__doc__ == twin.__doc__
        if name not in ("wait", "events", "close"):
            assert list(inspect.signature(method).parameters)[1:] == list(
                inspect.signature(getattr(calls, name)).parameters
            )


def test_each_submission_has_a_key_of_its_own():
    keys = {calls.submit("train", {}).headers["Idempotency-Key"] for _ in range(20)}
    assert len(keys) == 20
    assert calls.submit("train", {}, idempotency_key="mine").headers["Idempotency-Key"] == "mine"
    with pytest.raises(ConfigError, match="idempotency key"):
        calls.submit("train", {}, idempotency_key="a\nb")


def test_numbers_of_numpy_are_numbers_and_what_json_lacks_is_refused():
    rows = [{"I1": np.float32(0.5), "C1": np.int64(3)}]
    assert calls.predict("ctr", rows).content == b'{"instances": [{"I1": 0.5, "C1": 3}]}'
    for value in (float("nan"), object(), np.arange(2), b"x"):
        with pytest.raises(ConfigError, match="cannot be written as JSON"):
            calls.predict("ctr", [{"I1": value}])


def test_names_stay_one_part_of_the_path():
    assert calls.job("a/../b?c#d").path == "/v1/jobs/a%2F..%2Fb%3Fc%23d"
    assert calls.predict("m", [], alias="a/b").path == "/v1/models/m/labels/a%2Fb:predict"
    with pytest.raises(ConfigError, match="either `version` or `alias`"):
        calls.predict("m", [], alias="a", version=1)


def test_the_import_is_light():
    heavy = ("tensorflow", "pandas", "numba", "fastapi", "matplotlib")
    program = f"import sys, ctrfast.client; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout.strip() == "[]"
