"""The one way in which kernels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """Compile a loop over pixels to machine code, kept on disk between runs.

    The lock of the interpreter is released, so that several threads may each work on their own block; a kernel
    itself runs on one thread.
    """
    try:
        return cast(Kernel, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:
        # Neither the package's folder nor the user's can be written: compile anew in each process.
        return cast(Kernel, numba.njit(nogil=True)(function))
