"""How many of something there may be at a time: of all clients together, and of each."""

from collections import Counter


class Shares:
    """Counts what clients hold."""

    def __init__(self, *, most: int, most_of_a_client: int) -> None:
        """Begin with none.

        Args:
            most: Of all clients together.
            most_of_a_client: Of each.
        """
        self._most = most
        self._most_of_a_client = most_of_a_client
        self._held = 0
        self._of_clients: Counter[str] = Counter()

    def take(self, client: str) -> bool:
        """Count one more, unless that is too many; returns whether it was counted."""
        if self._held >= self._most or self._of_clients[client] >= self._most_of_a_client:
            return False
        self._held += 1
        self._of_clients[client] += 1
        return True

    def give_back(self, client: str) -> None:
        """Count one less."""
        self._held -= 1
        self._of_clients[client] -= 1
        if not self._of_clients[client]:
            del self._of_clients[client]
