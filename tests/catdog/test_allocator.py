"""What becomes of memory that was freed."""

import subprocess
import sys
from pathlib import Path

import pytest

_MB = 64
_SCRIPT = """
import resource
import sys
import numpy
from catdog import allocator

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6

if not getattr(allocator, sys.argv[1])():
    sys.exit(3)
for _ in range(2):  # glibc by itself learns from the first large block that is freed
    block = numpy.ones(int(sys.argv[2]) * 125_000)
    del block
before = resident_mb()
block = numpy.ones(int(sys.argv[2]) * 125_000)
during = resident_mb()
del block
given_back = during - resident_mb()
allocator.trim()
print(round(during - before), round(given_back), round(during - resident_mb()))
"""


def _taken_and_given_back(function: str) -> tuple[int, int, int]:
    """Megabytes that a large block takes from the system, gives back when it is freed, and has given back after `trim`."""
    if not Path("/proc/self/statm").is_file():
        pytest.skip("memory is read from /proc, which is not there")
    command = [sys.executable, "-c", _SCRIPT, function, str(_MB)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip("this C library is not glibc")
    assert not done.stderr
    taken, given_back, trimmed = map(int, done.stdout.split())
    return taken, given_back, trimmed


def test_a_server_gives_large_blocks_back_at_once() -> None:
    taken, given_back, _ = _taken_and_given_back("return_memory_at_once")
    assert taken > 0.9 * _MB
    assert given_back > 0.9 * _MB


def test_training_uses_freed_blocks_again_instead_of_asking_for_new_ones() -> None:
    taken, given_back, trimmed = _taken_and_given_back("keep_freed_memory")
    assert taken < 0.1 * _MB
    assert given_back < 0.1 * _MB
    assert trimmed > 0.9 * _MB, "the memory is the system's again once somebody says so"
