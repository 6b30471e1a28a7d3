"""What an earlier dataset learned, for new rows: yesterday's model then fits today's data.

frozen    the same vocabularies and statistics: new values are unseen
grown     new values are appended; all ids stay, so a model's table only has to grow (`ctrfast.warm_start`)

earlier = Earlier.open(Path("runs/yesterday"), schema, grow=True)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctrfast.data.encode import SCHEMA_FILE, VOCABULARY_FOLDER
from ctrfast.data.fit import Known
from ctrfast.data.vocabulary import Vocabulary, hash_vocabularies
from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.fitted_schema import FittedSchema
from ctrfast.schema import Schema


@dataclass(frozen=True)
class Earlier:
    """A dataset, run or bundle whose vocabularies and statistics are taken over."""

    path: Path
    fitted: FittedSchema
    grow: bool

    @classmethod
    def open(cls, path: Path | None, schema: Schema, *, grow: bool) -> Earlier | None:
        """Open it, where there is one.

        Raises:
            ConfigError: it has another schema, or is to grow and is not there.
            ArtifactError: it cannot be read.
        """
        if path is None:
            if grow:
                raise ConfigError("`grow` needs the vocabularies to grow from. Set `vocabulary_from`.", path="grow")
            return None
        if not (path / SCHEMA_FILE).is_file():
            raise ArtifactError(f"{path} is no dataset, run or bundle: it has no {SCHEMA_FILE}.")
        fitted = FittedSchema.from_file(path / SCHEMA_FILE)
        if fitted.schema_ != schema:
            raise ConfigError(
                f"`vocabulary_from` must have the schema of the new rows. Got {fitted.schema_.name!r} in {path}, and "
                f"{schema.name!r} with other columns or fields. Give the same preset or schema.",
                path="vocabulary_from",
            )
        return cls(path.absolute(), fitted, grow)

    def settings(self) -> dict[str, Any]:
        """What the manifest says of it."""
        return {"vocabulary_from": self.fitted.hash, "grow": self.grow}

    def known(self, name: str) -> Known:
        """The vocabulary of an id field."""
        return Known(Vocabulary.load(self.path / VOCABULARY_FOLDER / f"{name}.parquet"), self.grow)

    def check(self, hashes: Mapping[str, str]) -> None:
        """Refuse vocabularies that are not those that the schema was fitted with.

        Raises:
            ArtifactError: one was changed.
        """
        if hash_vocabularies(hashes) != self.fitted.vocabulary_hash:
            raise ArtifactError(f"The vocabulary of {self.path} is not its schema's. Write the artefact again.")
