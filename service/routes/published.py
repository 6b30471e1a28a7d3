"""The paper's own results, for a line beside one's own in a picture."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from ctrfast.optim.published import EPOCHS, PUBLISHED_AUC, PUBLISHED_MINUTES

router = APIRouter(prefix="/v1/published-results", tags=["jobs"])

_SOURCE = "Zheng et al. 2022, arXiv:2204.06240; test split, one V100"


class PublishedTable(BaseModel):
    """Results of a network on a whole public data set. auc, minutes: of training, by batch size."""

    preset: str
    network: str
    rule: str
    epochs: int
    auc: dict[int, float]
    minutes: dict[int, float]


class PublishedResults(BaseModel):
    """All tables."""

    source: str
    tables: list[PublishedTable]


@router.get("")
def get_published_results() -> PublishedResults:
    """AUC and training time against batch size, as the paper has them. Other rows, or fewer, have another AUC."""
    tables = [
        PublishedTable(
            preset=name,
            network=network,
            rule="cowclip",
            epochs=EPOCHS,
            auc={size: percent / 100 for size, percent in by_batch.items()},
            minutes=dict(PUBLISHED_MINUTES[name][network]),
        )
        for name, networks in PUBLISHED_AUC.items()
        for network, by_batch in networks.items()
    ]
    return PublishedResults(source=_SOURCE, tables=tables)
