"""Each notebook runs from top to bottom in its fast setting, uses public names alone, and is committed with outputs."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
LONGEST_S = 900  # of the fast setting on a machine that has other work; about a minute where nothing else runs
MACHINE_PATHS = ("/tmp/", "/work/", "/home/", "/root/", "/Users/", "/var/folders/", "C:\\Users")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_of(notebook: nbformat.NotebookNode) -> Iterator[str]:
    """The code cells without lines for the notebook itself (`%matplotlib inline`)."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            yield "\n".join(line for line in cell.source.splitlines() if not line.startswith(("%", "!")))


def private_names(source: str) -> list[str]:
    """Modules, imported names and attributes that begin with one underscore."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found += [name.name for name in names]
            case ast.ImportFrom(module=module, names=names):
                found += [f"{module}.{name.name}" for name in names]
            case ast.Attribute(attr=attribute):
                found.append(attribute)
    return [name for name in found if any(map(is_private, name.split(".")))]


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def texts_of(notebook: nbformat.NotebookNode) -> Iterator[str]:
    """All that a reader sees as text: cells, what they printed, what they showed."""
    yield str(notebook.metadata)
    for cell in notebook.cells:
        yield cell.source
        for output in cell.get("outputs", ()):
            yield output.get("text", "")
            for kind, data in output.get("data", {}).items():
                if not kind.startswith("image/png"):
                    yield str(data)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """What 03, 04 and 05 keep and use again: the first that runs makes the dataset, and 04 finds most runs of 03."""
    return tmp_path_factory.mktemp("work")


def test_there_are_notebooks():
    assert NOTEBOOKS


@each_notebook
@pytest.mark.timeout(LONGEST_S)
def test_runs_from_top_to_bottom(path, work, tmp_path, monkeypatch):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    shutil.copy(path, folder)
    (folder / "work").symlink_to(work)
    (tmp_path / "bench").symlink_to(ROOT / "bench")  # 05 reads what is committed there
    monkeypatch.setenv("FAST", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("TF_USE_LEGACY_KERAS", raising=False)  # as in a reader's shell
    notebook = nbformat.read(folder / path.name, as_version=4)
    where = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=LONGEST_S, startup_timeout=LONGEST_S, resources=where)
    client.execute()
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")


@each_notebook
def test_uses_public_names_alone(path):
    notebook = nbformat.read(path, as_version=4)
    assert not [name for source in code_of(notebook) for name in private_names(source)]


@pytest.mark.parametrize(
    "source",
    ["import ctrfast.lab._secret", "from ctrfast.lab import _secret", "from ctrfast._version import VERSION", "run._x"],
)
def test_a_private_name_would_be_found(source):
    assert private_names(source)
    assert not private_names("from ctrfast import __version__\nfrom ctrfast.lab import runs\nruns('a').plot")


@each_notebook
def test_is_committed_as_it_ran(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert outputs
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [place for text in texts_of(notebook) for place in MACHINE_PATHS if place in text]
