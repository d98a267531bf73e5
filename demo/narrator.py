"""Tells what happens, and holds the story to its claims."""

import resource
import shlex
import time
from collections.abc import Mapping, Sequence

from catdog.errors import CatdogError

_LONGEST, _SHOWN = 24, 10
"""Of a command with more arguments than the first, such as hundreds of row ids, so many are shown."""


class BrokenClaimError(CatdogError):
    """Something did not come out as the story says."""

    code = "broken_claim"


class Narrator:
    """Prints to stdout. The first claim that does not hold ends the story."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._steps = 0
        self.claims = 0
        """How many held."""

    def step(self, title: str) -> None:
        """Begin a step."""
        self._steps += 1
        self._print(f"\n[{self.seconds:4.0f} s] {self._steps}. {title}")

    def tell(self, text: str) -> None:
        """Say something, in as many lines as it has."""
        for line in text.rstrip().splitlines():
            self._print(f"    {line}")

    def command(self, arguments: Sequence[str], settings: Mapping[str, str]) -> None:
        """Show a command as one would type it."""
        given = [f"{name}={shlex.quote(value)}" for name, value in settings.items()]
        cut = len(arguments) > _LONGEST
        shown = shlex.join(arguments[:_SHOWN] if cut else arguments)
        self._print(f"  $ {' '.join([*given, shown, *(['...'] if cut else [])])}")

    def claim(self, text: str, *, held: bool) -> None:
        """Say what should be so, and whether it is.

        Raises:
            BrokenClaimError: it is not.
        """
        self._print(f"  {'ok ' if held else 'NO '} {text}")
        if not held:
            raise BrokenClaimError(f"This did not hold: {text}. The folder of the run has the logs.")
        self.claims += 1

    def end(self) -> None:
        """Say that everything held, and what it cost."""
        usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        cpu_s = sum(each.ru_utime + each.ru_stime for each in usage)
        self._print(f"\nAll {self.claims} claims held: {self.seconds:.0f} s, {cpu_s:.0f} s of processor time.")

    @property
    def seconds(self) -> float:
        """Since the story began."""
        return time.monotonic() - self._started

    def _print(self, line: str) -> None:
        print(line, flush=True)
