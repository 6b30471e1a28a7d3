"""The JSON schema of a job's `spec`, by its kind; a training's has the library's settings beside those of the service.

What a setting means is taken from its class's docstring, which says `name: text` or `one, another: text`. Names that
are checked by a table rather than by their type are listed as `enum`.
"""

from __future__ import annotations

import copy
import re
from functools import cache
from typing import Any

from pydantic import BaseModel

from ctrfast.config import RULE_NAMES
from ctrfast.model_config import MODEL_NAMES
from ctrfast.schema import PRESETS
from service.specs import EvaluateSpec, PrepareSpec, ScoreSpec, TrainSpec
from service.states import Kind
from service.sweep_specs import SweepSpec

_CHOICES = {("ModelConfig", "name"): MODEL_NAMES, ("ScalingConfig", "rule"): RULE_NAMES}
_MODULE = re.compile(r" \(`(?:ctrfast|service)\.[\w.]+`\)")  # where the code says more: nothing for a reader of pages
_OF_A_PUBLICATION = ("publish_as", "gates")  # which the runs of a sweep are not


def job_schema(kind: Kind) -> dict[str, Any]:
    """The schema of a kind's spec; a caller may change what it gets."""
    return copy.deepcopy(_schema(kind))


@cache
def _schema(kind: Kind) -> dict[str, Any]:
    return {Kind.TRAIN: _train, Kind.SWEEP: _sweep, Kind.PREPARE: _prepare}.get(kind, lambda: _plain(kind))()


def _train() -> dict[str, Any]:
    schema = TrainSpec.model_json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    for (model, field), names in _CHOICES.items():
        definitions[model]["properties"][field]["enum"] = list(names)
    _describe_all(schema)
    settings = definitions.pop("TrainConfig")
    own: dict[str, Any] = schema["properties"]
    del own["config"]
    schema["properties"] = own | settings["properties"]
    schema["required"] = ["dataset"]
    schema["additionalProperties"] = False
    return schema


def _sweep() -> dict[str, Any]:
    """`base` is a training's spec, on one level with its definitions."""
    schema = SweepSpec.model_json_schema()
    _describe_all(schema)
    base = job_schema(Kind.TRAIN)
    for name in _OF_A_PUBLICATION:
        del base["properties"][name]
    schema["$defs"] |= base.pop("$defs")
    schema["properties"]["base"] = base | {"title": "Base", "description": schema["properties"]["base"]["description"]}
    return schema


def _prepare() -> dict[str, Any]:
    schema = PrepareSpec.model_json_schema()
    _describe_all(schema)
    schema["properties"]["preset"]["anyOf"][0]["enum"] = sorted(PRESETS)
    return schema


def _plain(kind: Kind) -> dict[str, Any]:
    models: dict[Kind, type[BaseModel]] = {Kind.EVALUATE: EvaluateSpec, Kind.SCORE: ScoreSpec}
    schema = models[kind].model_json_schema()
    _describe_all(schema)
    return schema


def _describe_all(schema: dict[str, Any]) -> None:
    for part in (schema, *schema.get("$defs", {}).values()):
        _describe(part)


def _describe(part: dict[str, Any]) -> None:
    """Give each property the sentence that the class's description has about it."""
    properties: dict[str, Any] = part.get("properties", {})
    for name, text in _sentences(part.get("description", ""), list(properties)).items():
        properties[name]["description"] = text


def _sentences(description: str, names: list[str]) -> dict[str, str]:
    if not names:
        return {}
    one = "|".join(map(re.escape, names))
    marks = list(re.finditer(rf"(?:^|(?<=\. )|(?<=\n))((?:{one})(?:, (?:{one}))*): ", description))
    found: dict[str, str] = {}
    for number, mark in enumerate(marks):
        end = marks[number + 1].start() if number + 1 < len(marks) else len(description)
        text = _MODULE.sub("", " ".join(description[mark.end() : end].split()))
        found |= dict.fromkeys(mark.group(1).split(", "), text)
    return found
