"""How many corrections of one kind it takes until the gate can tell whether a challenger learned it."""

import math

REMOVED = 0.3
"""The challenger that must not be missed removes this share of a kind's mistakes."""
POWER = 0.8
_MOST = 10_000


def chance(corrections: int, level: float, *, removed: float = REMOVED) -> float:
    """How likely a challenger that removes a share of the mistakes passes a sign test at a level.

    What it takes is as many newly right pictures, against none newly wrong, as chance gives less often than `level`.
    """
    wanted = math.floor(math.log2(1 / level)) + 1
    fewer = sum(
        math.exp(_log_binomial(corrections, won) + won * math.log(removed) + (corrections - won) * math.log1p(-removed))
        for won in range(min(wanted, corrections + 1))
    )
    return max(0.0, 1 - fewer)


def corrections_needed(level: float, *, removed: float = REMOVED, power: float = POWER) -> int:
    """How many corrections make that chance at least `power`."""
    low, high = 1, _MOST
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle, level, removed=removed) >= power else (middle + 1, high)
    return low


def _log_binomial(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
