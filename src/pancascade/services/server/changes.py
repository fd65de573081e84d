"""Wake threads and event loops that wait for a change of the jobs."""

import asyncio
from contextlib import suppress
from threading import Condition


class Changes:
    """A condition for threads, and listeners for event loops.

    Attributes:
        condition: Held while the jobs are read or changed.
    """

    def __init__(self) -> None:
        self.condition = Condition()
        self._listeners = set[Listener]()

    def announce(self) -> None:
        """Wake all; the condition is held."""
        self.condition.notify_all()
        for listener in self._listeners:
            listener.wake()

    def listen(self) -> "Listener":
        """Return a listener for the running event loop; close it in the end."""
        listener = Listener(self)
        with self.condition:
            self._listeners.add(listener)
        return listener

    def forget(self, listener: "Listener") -> None:
        """Stop waking a listener."""
        with self.condition:
            self._listeners.discard(listener)


class Listener:
    """Waits on an event loop; a change between two waits is not missed.

    Args:
        changes: The changes to listen to.
    """

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def wake(self) -> None:
        """Wake the listener, from any thread."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, at_most_s: float) -> bool:
        """Wait for a change; return whether there was one since the last wait, before the time was over."""
        try:
            await asyncio.wait_for(self._event.wait(), at_most_s)
        except TimeoutError:
            return False
        self._event.clear()
        return True

    def close(self) -> None:
        """Stop listening."""
        self._changes.forget(self)
