"""What `ctrfast sweep --preset compress` trains and exports; a file takes the place of the parts that it names.

    base: {batch_size: 8192, model: {name: dcn_v2}}       # of all runs, beside the preset's own
    wide: {model.hidden: [[1024, 1024, 1024]], epochs: [1], seed: [1, 2, 3]}
    small: {model.hidden: [[64, 64, 64], [128, 128, 128]], epochs: [8], seed: [1, 2, 3]}
    prune: [0.5, 0.75]
    quantize: [int8]

`wide` and `small` are grids of a sweep each. Wide networks are exported as trained, pruned by each share, and each of
these packed; small ones as trained and packed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ctrfast.errors import ConfigError, unknown_name
from ctrfast.forms import Form
from ctrfast.packing import Precision
from ctrfast.sweep.grid import SweepConfig, parse_sweep, read_values
from ctrfast.sweep.space import Grid

Kind = Literal["wide", "small"]
KINDS: tuple[Kind, ...] = ("wide", "small")
PRESET: Mapping[str, Any] = {
    "base": {"final_weights": "best"},  # longer training then costs a small network nothing
    "wide": {"model.hidden": [[512, 512, 512], [1024, 1024, 1024]], "epochs": [1]},
    "small": {"model.hidden": [[32, 32, 32], [64, 64, 64], [128, 128, 128]], "epochs": [8]},
    "prune": [0.25, 0.5],
    "quantize": ["int8"],
}


class CompressionConfig(BaseModel):
    """base: settings of all runs. wide, small: grids. prune: shares of hidden units. quantize: precisions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: dict[str, Any]
    wide: Grid
    small: Grid
    prune: tuple[Annotated[float, Field(gt=0, lt=1)], ...]
    quantize: tuple[Literal["float16", "int8"], ...]

    def sweep(self, kind: Kind) -> SweepConfig:
        """The sweep of the wide or of the small networks."""
        return SweepConfig(base=self.base, grid=getattr(self, kind))

    def forms(self, kind: Kind) -> tuple[Form, ...]:
        """What a run is exported as, the trained weights first."""
        shares = (None, *self.prune) if kind == "wide" else (None,)
        precisions: tuple[Precision, ...] = ("float32", *self.quantize)
        return tuple(Form(precision, share) for share in shares for precision in precisions)


def parse_compression(values: Mapping[str, Any]) -> CompressionConfig:
    """The preset with these values: settings under `base` are added to its own, other parts take the place of its.

    Raises:
        ConfigError: a setting is unknown or breaks a rule, in one of the points too; a form is there twice.
    """
    for name in values:
        if name not in CompressionConfig.model_fields:
            raise unknown_name("setting", str(name), CompressionConfig.model_fields, path=str(name))
    base = values.get("base", {})
    if not isinstance(base, Mapping):
        raise ConfigError(f"`base` must hold settings by name. Got {base!r}.", path="base")
    try:
        config = CompressionConfig.model_validate({**PRESET, **values, "base": {**PRESET["base"], **base}})
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"] if part not in ("list", "range"))
        raise ConfigError(f"`{path}` breaks a rule: {first['msg']}.", path=path) from error
    for name in ("prune", "quantize"):
        given = getattr(config, name)
        if len(set(given)) < len(given):
            raise ConfigError(f"`{name}` must hold each value once. Got {list(given)}.", path=name)
    for kind in KINDS:
        try:
            parse_sweep({"base": config.base, "grid": getattr(config, kind)})
        except ConfigError as error:
            place = None if error.path is None else error.path.replace("grid", kind, 1)
            raise ConfigError(error.message, path=place) from error
    return config


def read_compression(file: Path | None) -> tuple[CompressionConfig, Path | None]:
    """Settings from YAML, or the preset's own; and the dataset's folder where `data` names it. Raises ConfigError."""
    values, data = ({}, None) if file is None else read_values(file)
    return parse_compression(values), data
