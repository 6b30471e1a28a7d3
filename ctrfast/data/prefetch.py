"""Ask for memory before it is needed, in compiled loops that jump from row to row of a large table.

fetch(weight, row * W)          # the cache line of that element is on its way; nothing waits
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _fetch(typing: Any, array: Any, index: Any) -> Any:  # noqa: ARG001
    """Prefetch an element of a contiguous array; a no-op where the processor has no such instruction."""
    signature = types.void(array, types.intp)

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = builder.bitcast(builder.gep(values.data, [arguments[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        get_or_insert: Callable[..., Any] = cgutils.get_or_insert_function
        function = get_or_insert(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [pointer, number(0), number(3), number(1)])  # to read, keep, data
        return context.get_dummy_value()

    return signature, build


fetch: Any = intrinsic(_fetch)
