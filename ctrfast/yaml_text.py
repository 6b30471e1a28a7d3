"""YAML as settings need it: numbers like 1e-5 are numbers, dates stay text, and any fault is one clear line.

PyYAML follows YAML 1.1, where 1e-5 is text (it wants 1.0e-5) and 2020-01-01 a date. Of a key that is given twice it
takes the last value without a word; here that is an error, as YAML has it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ctrfast.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """Plain data only, with YAML 1.2's floats, without dates, and each key of a mapping once."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """A mapping as it is written: `<<` has not brought in the keys of another one yet, which may be given anew."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if (key.tag, key.value) in seen:
                raise _TwiceError(problem=key.value, problem_mark=key.start_mark)
            seen.add((key.tag, key.value))
        return node


class _TwiceError(yaml.MarkedYAMLError):
    """A mapping has a key, `problem`, twice."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag not in {"tag:yaml.org,2002:timestamp"}]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"), list("-+.0123456789")
)


def parse_yaml(text: str, what: str) -> Any:
    """Read YAML text.

    Args:
        text: the YAML.
        what: where it comes from, for the message.

    Raises:
        ConfigError: it is not YAML, or a key is given twice.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except _TwiceError as error:
        line = f"line {error.problem_mark.line + 1}" if error.problem_mark else "a later line"
        problem = f"{what} must give each key of a mapping once. Got {error.problem!r} again on {line}."
        raise ConfigError(f"{problem} Keep one of them.") from error
    except yaml.MarkedYAMLError as error:
        line = f" on line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{what} is not YAML: {error.problem}{line}.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{what} is not YAML: it holds a character or value that YAML does not know.") from error
    except RecursionError as error:
        raise ConfigError(f"{what} is nested too deeply.") from error


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Raises:
        ConfigError: it cannot be read, or is not YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"The file {path} is not UTF-8 text.") from error
    except OSError as error:
        raise ConfigError(f"The file {path} cannot be read: {error.strerror}.") from error
    return parse_yaml(text, f"The file {path}")
