"""A child process that the kernel ends when the process that started it ends, however that ends."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None)
"""Loaded here: between fork and exec nothing may be loaded."""


def end_with(parent: int) -> None:
    """Call it in the child, before exec or after; `parent` is the pid of the process that started it. Linux only.

    The signal is SIGKILL: a stopped process is ended too. It is sent when the *thread* that started the child ends, so
    that thread must be one that lives as long as its process. Elsewhere than on Linux nothing is done.
    """
    if not hasattr(_LIBC, "prctl"):
        return
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended meanwhile, and no signal will come
        os._exit(1)
