"""Messages between workers and the process that started them."""

import pytest

from ctrfast.errors import ConfigError, StorageError
from ctrfast.loop.progress import Progress
from ctrfast.mailbox import Mailbox


def progress(step):
    return Progress(epoch=0, step=step, total_steps=9, rows=step, fraction=step / 9, eta_s=None, metrics={"loss": 0.1})


@pytest.fixture
def mail(tmp_path):
    with Mailbox.beside(tmp_path / "run") as mail:
        yield mail


def test_progress_is_read_once_and_in_whole_lines(mail):
    chief = Mailbox(mail.path)
    assert list(mail.new_progress()) == [] and not chief.has_progress
    chief.tell(progress(1))
    chief.tell(progress(2))
    with (mail.path / "progress.jsonl").open("a") as file:
        file.write('{"epoch": 0, ')
        file.flush()
        assert list(mail.new_progress()) == [progress(1), progress(2)]
        assert list(mail.new_progress()) == []
        file.write('"step": 3, "total_steps": 9, "rows": 3, "fraction": 0.5, "eta_s": 1.0, "metrics": {}}\n')
    assert [each.step for each in mail.new_progress()] == [3]
    assert Mailbox(mail.path).has_progress


def test_a_wish_to_stop_is_seen_and_stays(mail):
    early, late = Mailbox(mail.path), Mailbox(mail.path)
    assert not early.is_to_stop()
    mail.ask_to_stop()
    assert late.is_to_stop() and late.is_to_stop()


def test_errors_are_those_of_the_first_worker(mail):
    assert mail.first_error() is None
    mail.tell_error(1, StorageError("The disk must have room."))
    assert not mail.have_all_told_errors(2, patience_s=0.0)
    mail.tell_error(0, ConfigError("It must divide.", path="batch_size"))
    assert mail.have_all_told_errors(2, patience_s=0.0)
    error = mail.first_error()
    assert (type(error), error.message, error.path) == (ConfigError, "It must divide.", "batch_size")


def test_it_is_empty_at_first_and_gone_at_last(tmp_path):
    for _ in range(2):
        with Mailbox.beside(tmp_path / "run") as mail:
            assert not list(mail.path.iterdir())
            mail.ask_to_stop()
        assert not list(tmp_path.iterdir())
    (tmp_path / ".partial-cluster-run").mkdir()
    (tmp_path / ".partial-cluster-run" / "stop").touch()  # of a process that was killed
    with Mailbox.beside(tmp_path / "run") as mail:
        assert not mail.is_to_stop()
