"""A disk that takes no more, as one clear error: full, over quota, over the size limit, or read-only.

with storing("The run runs/first"):
...                                         # OSError(ENOSPC) -> StorageError, any other error as it is
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ctrfast.errors import StorageError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})


def is_full(error: OSError) -> bool:
    """Whether the disk is at fault, and neither the name nor a permission."""
    return error.errno in _FULL


@contextmanager
def storing(what: str) -> Iterator[None]:
    """Name what could not be stored.

    Args:
        what: begins the sentence, as in "The run runs/first".

    Raises:
        StorageError: the block met a disk that takes no more.
    """
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        reason = os.strerror(error.errno or 0)  # arrow's own text says more than a user needs
        raise StorageError(f"{what} cannot be stored: {reason}. Make room on the disk.") from error
