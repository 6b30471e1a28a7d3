"""The JSON schema of a train job's `spec`: the settings of the library beside those of the service, on one level.

What a setting means is taken from its class's docstring, which says `name: text` or `one, another: text`. Names that
are checked by a table rather than by their type are listed as `enum`.
"""

from __future__ import annotations

import copy
import re
from functools import cache
from typing import Any

from ctrfast.config import MODEL_NAMES, RULE_NAMES
from service.specs import TrainSpec

_CHOICES = {("ModelConfig", "name"): MODEL_NAMES, ("ScalingConfig", "rule"): RULE_NAMES}


@cache
def _train_schema() -> dict[str, Any]:
    schema = TrainSpec.model_json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    for (model, field), names in _CHOICES.items():
        definitions[model]["properties"][field]["enum"] = list(names)
    for part in (schema, *definitions.values()):
        _describe(part)
    settings = definitions.pop("TrainConfig")
    own: dict[str, Any] = schema["properties"]
    del own["config"]
    schema["properties"] = own | settings["properties"]
    schema["required"] = ["dataset"]
    schema["additionalProperties"] = False
    return schema


def train_schema() -> dict[str, Any]:
    """The schema; a caller may change what it gets."""
    return copy.deepcopy(_train_schema())


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
        text = " ".join(description[mark.end() : end].split())
        found |= dict.fromkeys(mark.group(1).split(", "), text)
    return found
