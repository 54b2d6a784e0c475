"""What runtime/allocator.py does to a process's memory, seen from the system."""

from __future__ import annotations

import subprocess
import sys

_FREED_SMALL_PIECES = """
import ctypes, re
from pathlib import Path
from ventes.runtime import allocator

def resident_mb():
    return int(re.search(r"VmRSS:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
pieces = [libc.malloc(65_536) for _ in range(3_000)]
for piece in pieces:
    ctypes.memset(piece, 1, 65_536)
for piece in pieces[:-1]:  # the last one is at the heap's end, so that free() itself gives nothing back
    libc.free(piece)
before = resident_mb()
allocator.give_back()
print(before - resident_mb())
"""

_ARENAS = """
import ctypes, threading
from ventes.runtime import allocator

allocator.use_few_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(12)

def work():
    together.wait()
    libc.malloc(1_000)
    together.wait()

threads = [threading.Thread(target=work) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fdopen.restype = ctypes.c_void_p
libc.fflush.argtypes = [ctypes.c_void_p]
stream = libc.fdopen(1, b"w")
libc.malloc_info(0, stream)
libc.fflush(stream)
"""


def _printed(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": "src", **environment},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout


def test_freed_pieces_are_given_back() -> None:
    assert float(_printed(_FREED_SMALL_PIECES)) > 150


def test_threads_share_two_arenas_unless_the_user_wants_others() -> None:
    assert _printed(_ARENAS).count("<heap nr=") == 2
    assert _printed(_ARENAS, MALLOC_ARENA_MAX="5").count("<heap nr=") == 5
