"""`ctrfast explain`: why a bundle scores one impression as it does, or what each of its values became."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ctrfast.console import console, print_encoding, print_explanation
from ctrfast.errors import DataError


def explain(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder.")],
    row: Annotated[str, typer.Option(metavar="JSON", help="Raw values by column; - reads it from standard input.")],
    pairs: Annotated[int, typer.Option(help="Of how many fields, the strongest, to show the pairs.")] = 5,
    encoding: Annotated[bool, typer.Option("--encoding", help="Show what each value became instead.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show what each field of one impression adds to its score, by taking it out."""
    from ctrfast.explain import explain_score
    from ctrfast.score import Scorer

    values = _json_object(sys.stdin.read() if row == "-" else row)
    scorer = Scorer.load(bundle)
    if encoding:
        fields = scorer.encoder.explain(values)
        if as_json:
            console.print_json(data=[asdict(field) for field in fields])
        else:
            print_encoding(fields)
        return
    explained = explain_score(scorer, values, pairs=pairs)
    if as_json:
        console.print_json(data=asdict(explained))
    else:
        print_explanation(explained)


def _json_object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"`row` must be JSON. Got {text[:100]!r}: {error}.", path="row") from error
    if not isinstance(found, dict):
        raise DataError(f"`row` must be a JSON object of values by column. Got {text[:100]!r}.", path="row")
    return found
