"""What a bar says after events, in a terminal's words and in a notebook's HTML."""

import sys
from types import SimpleNamespace

import pytest
import rich.console

from ctrfast.client import JobEvent
from ctrfast.client.progress import Shown, job_bar

EVENTS = [
    JobEvent(seq=1, type="state", data={"state": "running"}),
    JobEvent(seq=2, type="metric", data={"step": 10, "loss": 0.45}),
    JobEvent(seq=3, type="progress", data={"progress": 0.5, "eta_s": 80.2}),
]


def test_what_is_shown():
    shown = Shown()
    for event in EVENTS:
        shown.take(event)
    assert (shown.state, shown.note) == ("running", " 50%  loss 0.4500  0:01:20 left")
    shown.take(JobEvent(seq=4, type="state", data={"state": "succeeded"}))
    assert shown.note == "100%  loss 0.4500"


def test_nothing_is_written_where_nobody_looks(capsys):
    with job_bar(True) as show:
        for event in EVENTS:
            show(event)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("wanted", [True, False])
def test_a_notebook_gets_one_display_that_changes(monkeypatch, wanted):
    texts = []
    handle = SimpleNamespace(update=texts.append)
    display = SimpleNamespace(HTML=str, display=lambda text, display_id: texts.append(text) or handle)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    with job_bar(wanted) as show:
        for event in EVENTS:
            show(event)
    assert len(texts) == (4 if wanted else 0)
    assert (
        not wanted or texts[-1] == 'running <progress max="1" value="0.5"></progress>  50%  loss 0.4500  0:01:20 left'
    )
