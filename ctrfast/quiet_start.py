"""TensorFlow without the lines that it writes as it starts, for command lines and notebooks.

    load_tensorflow()

Some are written before its log level counts. `TF_CPP_MIN_LOG_LEVEL=0` in the environment shows the later ones.
"""

from __future__ import annotations

import os
import sys
import tempfile


def load_tensorflow() -> None:
    """Import it. What the import writes on standard error is dropped, or shown after all where it fails."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except BaseException:
            chatter.seek(0)
            os.write(kept, chatter.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
