"""Who did what in the caller's project."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from service.audit_answers import AuditPublic, DeedPublic
from service.dependencies import ProjectDep, ServicesDep, problems

router = APIRouter(prefix="/v1/audit", tags=["operations"])


@router.get("", responses=problems(422))
def list_audit(
    services: ServicesDep,
    project: ProjectDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> AuditPublic:
    """State-changing requests and key administration, newest first."""
    page = services.audit.of(project).page(limit, cursor)
    return AuditPublic(entries=[DeedPublic.of(row) for row in page.rows], next_cursor=page.next_cursor)
