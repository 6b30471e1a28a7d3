"""What is left on a cluster where work on it ends early, and what is told. Ray is a stand-in that does nothing."""

from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from ray.exceptions import RayError
from ray.train.v2._internal.exceptions import WorkerGroupStartupFailedError, WorkerGroupStartupTimeoutError

from ctrfast.cluster import _not_begun
from ctrfast.cluster_checks import require_free_cpu, require_shared
from ctrfast.cluster_connection import Connection
from ctrfast.cluster_tasks import RayTasks
from ctrfast.config import ClusterConfig
from ctrfast.errors import Cancelled, ConfigError, WorkerLostError


class Reference:
    """A task's. answer: a value, an error, None for none, or an interrupt of who asks for it first."""

    def __init__(self, answer):
        self.answer, self._future = answer, Future()

    def future(self):
        if isinstance(self.answer, KeyboardInterrupt):
            interrupt, self.answer = self.answer, None
            raise interrupt
        if isinstance(self.answer, Exception):
            self._future.set_exception(self.answer)
        elif self.answer is not None:
            self._future.set_result(self.answer)
        return self._future


class Ray:
    """The part of the package that is used. answers: of its tasks, in turn."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=type("RayTaskError", (RayError,), {}))

    def __init__(self, *answers, cancel_error=None, nodes_error=None, start_error=None):
        self.answers, self.cancel_error = list(answers), cancel_error
        self.nodes_error, self.start_error = nodes_error, start_error
        self.tasks, self.cancelled, self.is_there = [], [], True
        place = SimpleNamespace(NodeAffinitySchedulingStrategy=lambda *_, **__: None)
        self.util = SimpleNamespace(scheduling_strategies=place)

    def remote(self, *_):
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self._start))

    def _start(self, *_):
        if self.start_error is not None:
            raise self.start_error
        self.tasks.append(Reference(self.answers.pop(0)))
        return self.tasks[-1]

    def put(self, value):
        return value

    def nodes(self):
        if self.nodes_error is not None:
            raise self.nodes_error
        node = {"Alive": True, "NodeManagerHostname": "host", "NodeManagerAddress": "10.0.0.1"}
        return [{**node, "NodeID": f"{number:08d}"} for number in range(2)]

    def cluster_resources(self):
        return {"CPU": 2.0}

    def is_initialized(self):
        return self.is_there

    def cancel(self, task):
        if self.cancel_error is not None:
            raise self.cancel_error
        self.cancelled.append(task)
        if not task._future.done():
            task._future.set_exception(RayError("cancelled"))


def of_a_cluster(ray):
    return Connection(ray, is_own=False)


def test_nodes_that_are_not_waited_for_any_more_are_left_in_peace(tmp_path):
    ray = Ray(None, None)
    with pytest.raises(WorkerLostError, match=r"must answer within 0 s"):
        require_shared(of_a_cluster(ray), tmp_path, 0)
    assert ray.cancelled == ray.tasks and len(ray.tasks) == 2
    assert not list(tmp_path.iterdir())


def test_a_stop_ends_the_look_at_nodes(tmp_path):
    ray = Ray("", None)
    with pytest.raises(Cancelled):
        require_shared(of_a_cluster(ray), tmp_path, 600, lambda: True)
    assert ray.cancelled == ray.tasks


def test_no_cpu_is_asked_for_any_more():
    ray = Ray(None)
    with pytest.raises(WorkerLostError, match=r"must have a free CPU within 0 s\. Got none: 2 CPUs"):
        require_free_cpu(of_a_cluster(ray), 0)
    assert ray.cancelled == ray.tasks and len(ray.tasks) == 1


def test_a_cluster_of_the_caller_is_looked_at_without_an_address(tmp_path, monkeypatch):
    monkeypatch.delenv("CTRFAST_RAY_ADDRESS", raising=False)
    with pytest.raises(ConfigError, match="must be shared by all nodes"):
        require_shared(of_a_cluster(Ray("No such file", "No such file")), tmp_path, 600)
    own = Ray()
    require_shared(Connection(own, is_own=True), tmp_path, 600)
    require_free_cpu(Connection(own, is_own=True), 600)
    assert not own.tasks


def test_a_lost_cluster_is_the_error_of_its_checks(tmp_path):
    lost = ConnectionError("the head is gone")
    with pytest.raises(WorkerLostError, match="Got: the head is gone"):
        require_free_cpu(of_a_cluster(Ray(lost, cancel_error=lost)), 600)
    with pytest.raises(WorkerLostError, match="Got: the head is gone"):
        require_shared(of_a_cluster(Ray(lost, lost, cancel_error=lost)), tmp_path, 600)


@pytest.mark.parametrize("lost", [ConnectionError("the head is gone"), RayError("the head is gone")])
def test_a_cluster_that_is_lost_before_the_first_task_is_the_error_of_its_checks(tmp_path, lost):
    with pytest.raises(WorkerLostError, match="Got: the head is gone"):
        require_free_cpu(of_a_cluster(Ray(start_error=lost)), 600)
    for ray in (Ray(start_error=lost), Ray(nodes_error=lost)):
        with pytest.raises(WorkerLostError, match="Got: the head is gone"):
            require_shared(of_a_cluster(ray), tmp_path, 600)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("is_there", [True, False])
def test_a_lost_cluster_is_the_error_of_its_tasks(caplog, is_there):
    lost = ConnectionError("the head is gone")
    ray = Ray(None, None, None, cancel_error=lost)
    ray.is_there = is_there

    def items():
        yield from (0, 1)
        ray.tasks[0].future().set_exception(lost)
        yield 2

    with pytest.raises(WorkerLostError, match=r"head must last\. Got: the head is gone"):
        list(RayTasks(of_a_cluster(ray), 3).in_order(abs, items()))
    assert "could not be cancelled" in caplog.text


def test_an_interrupt_leaves_no_task_behind():
    ray = Ray(1, KeyboardInterrupt(), None)
    with pytest.raises(KeyboardInterrupt):
        list(RayTasks(of_a_cluster(ray), 1).in_order(abs, range(3)))
    assert len(ray.tasks) == 2 and ray.cancelled == ray.tasks[1:]


@pytest.mark.parametrize(
    ("failure", "got", "remedy"),
    [
        (
            WorkerGroupStartupTimeoutError(2),
            "The worker group startup timed out after",
            "Let other work end, or add nodes.",
        ),
        (
            WorkerGroupStartupFailedError("A worker's node was lost."),
            "A worker's node was lost.",
            "Mend that on the cluster's nodes, and resume the run.",
        ),
    ],
)
def test_each_failure_to_begin_has_its_remedy(failure, got, remedy):
    error = _not_begun(failure, ClusterConfig(workers=2))
    assert isinstance(error, WorkerLostError)
    assert error.message.startswith(f"The Ray cluster must start 2 workers. Got: {got}")
    assert error.message.endswith(remedy)
