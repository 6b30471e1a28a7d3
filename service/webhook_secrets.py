"""What webhooks are signed with, and the signature of Standard Webhooks 1.0 (symmetric, `v1`).

CTRFAST_WEBHOOK_SECRET is one secret for all projects, or one for each project that may have webhooks:

    whsec_C2FVsBQIhrscChlQIMV5b5sSYspob7oD
    ads=whsec_C2FVsBQIhrscChlQIMV5b5sSYspob7oD,shop=whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX

    webhook-signature: "v1," + base64(hmac_sha256(secret, id + "." + timestamp + "." + body))

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from service.projects import require_project_name

_PREFIX = "whsec_"
_FEWEST_BYTES, _MOST_BYTES = 24, 64
_EVERY = ""


def parse_secrets(text: str) -> Mapping[str, bytes]:
    """Secrets by project; that of all others under an empty name. ValueError never shows what was given."""
    secrets: dict[str, bytes] = {}
    for part in text.split(","):
        project, mark, encoded = part.strip().partition(_PREFIX)
        name = project.removesuffix("=")
        if not mark or (project and name == project):
            raise ValueError("it must read whsec_BASE64, or PROJECT=whsec_BASE64 with a comma between several")
        if project:
            require_project_name(name)
        if name in secrets:
            raise ValueError("it must name each project once")
        secrets[name] = _decoded(encoded)
    return secrets


def secret_of(project: str, text: str | None) -> bytes | None:
    """The secret of a project's webhooks; None: it can have none."""
    if text is None:
        return None
    secrets = parse_secrets(text)
    return secrets.get(project, secrets.get(_EVERY))


def signature(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`."""
    signed = b".".join([message_id.encode(), str(timestamp).encode(), body])
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def _decoded(encoded: str) -> bytes:
    try:
        secret = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise ValueError("the part after whsec_ must be base64") from None
    if not _FEWEST_BYTES <= len(secret) <= _MOST_BYTES:
        raise ValueError(f"a secret must have {_FEWEST_BYTES} to {_MOST_BYTES} bytes before base64")
    return secret
