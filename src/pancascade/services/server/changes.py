"""Who waits for a change of the jobs is woken, in a thread or on an event loop."""

import asyncio
from contextlib import suppress
from threading import Condition


class Changes:
    """A condition on which threads wait, and event loops listen.

    Attributes:
        condition: Held by whoever reads or changes what it is about.
    """

    def __init__(self) -> None:
        self.condition = Condition()
        self._listeners = set[Listener]()

    def tell(self) -> None:
        """Wake everybody; the condition is held."""
        self.condition.notify_all()
        for listener in self._listeners:
            listener.wake()

    def listen(self) -> "Listener":
        """A listener for the running event loop; close it in the end."""
        listener = Listener(self)
        with self.condition:
            self._listeners.add(listener)
        return listener

    def forget(self, listener: "Listener") -> None:
        """Wake it no more."""
        with self.condition:
            self._listeners.discard(listener)


class Listener:
    """Waits on an event loop; a change that comes between two waits is not missed.

    Args:
        changes: What it listens to.
    """

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def wake(self) -> None:
        """From any thread."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, at_most_s: float) -> bool:
        """Whether there was a change since the last wait, before the time was over."""
        try:
            await asyncio.wait_for(self._event.wait(), at_most_s)
        except TimeoutError:
            return False
        self._event.clear()
        return True

    def close(self) -> None:
        """Listen no more."""
        self._changes.forget(self)
