"""Python's garbage collector, kept from stopping the requests.

A full collection looks at every object that can be part of a cycle. The API's modules and compiled loops are some
280,000 of them: 150 to 200 ms, every few seconds under load, in which nobody is answered. They stay until the process
ends, so they are put out of the collector's sight, once they are all there.
"""

from __future__ import annotations

import asyncio
import gc


def spare_what_stays() -> None:
    """Collect, then have later collections look at newer objects alone: those that are alive now count as lasting.

    One of them that is part of a cycle is never freed; one that is not, is as ever.
    """
    gc.collect()
    gc.freeze()


async def spare_after(first_load: asyncio.Event, pause_s: float = 1.0) -> None:
    """Do so now and after the first model was loaded, which brings much of the code that scores.

    pause_s: seconds in which the requests that waited for the model are answered first.
    """
    spare_what_stays()
    await first_load.wait()
    await asyncio.sleep(pause_s)
    spare_what_stays()
