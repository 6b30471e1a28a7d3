"""Files of FuxiCTR's repository: whole networks, which its package has not and its users copy.

    make build/fuxictr/.ready                                # the checkout
    load("GDCN").GDCNP(feature_map, ...)

Needs no package itself: ours asks which files are there, the peers' environment runs them.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

CHECKOUT = Path("build/fuxictr")
# Our name of a network: the folder in its model zoo, which the file is named after, and the class.
NETWORKS: dict[str, tuple[str, str]] = {
    "afm": ("AFM", "AFM"),
    "autoint": ("AutoInt", "AutoInt"),
    "dlrm": ("DLRM", "DLRM"),
    "eulernet": ("EulerNet", "EulerNet"),
    "fcn": ("DCNv3", "DCNv3"),
    "fwfm": ("FwFM", "FwFM"),
    "gdcn": ("GDCN", "GDCNP"),
    "masknet": ("MaskNet", "MaskNet"),
}


def is_there(name: str, checkout: Path = CHECKOUT) -> bool:
    """Whether the file of one of `NETWORKS` is."""
    return _path(NETWORKS[name][0], checkout).is_file()


def load(folder: str, checkout: Path = CHECKOUT) -> ModuleType:
    """The file of a folder in the model zoo, run.

    Raises:
        SystemExit: it is not there.
    """
    path = _path(folder, checkout)
    if not path.is_file():
        raise SystemExit(f"{path} is missing. `make {CHECKOUT}/.ready` gets it from github.com/reczoo/FuxiCTR.")
    spec = importlib.util.spec_from_file_location(folder, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _path(folder: str, checkout: Path) -> Path:
    return checkout / "model_zoo" / folder / "src" / f"{folder}.py"
