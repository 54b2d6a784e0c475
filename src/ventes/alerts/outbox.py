"""Messages that wait for their channel: in order, bounded, tried again with growing pauses.

Each channel has a thread, so that one that does not answer delays no other and no check. What waits is in the records
(runtime/alert_records.py), and so survives a restart: a message that was sent just before a kill -9 may be sent twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from ventes.alerts.channels import Answer
from ventes.alerts.decide import REMINDER
from ventes.runtime import alert_records
from ventes.runtime.alert_records import ChannelState, Records, Waiting

MOST_WAITING = 100
"""Messages of one channel. Of more, the oldest reminder goes, else the oldest message."""
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 600.0
IDLE_SECONDS = 5.0

_log = logging.getLogger("ventes.alerts")

Send = Callable[[Waiting], Answer]


def pause(failures: int) -> float:
    """Seconds until the next try after so many failures in a row."""
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 20))


class Store:
    """The records, shared by the loop and the channels' threads. Change them only while holding `lock`."""

    def __init__(self, state: Path) -> None:
        self.state = state
        """The folder paths.state."""
        self.lock = threading.RLock()
        self.records = alert_records.read(state)
        self.problem = ""
        """Why the records could not be written last; "" if they were."""

    def save(self) -> None:
        """Write the records. Where that fails (disk full) the alerts go on, from memory."""
        with self.lock:
            try:
                alert_records.write(self.state, self.records)
                self.problem = ""
            except OSError as error:
                said = f"the state of the alerts cannot be written: {error.strerror}"
                if said != self.problem:
                    _log.error("%s", said)
                self.problem = said


class Outbox:
    """Delivers what waits. `pause_of`: the pause after so many failures."""

    def __init__(self, store: Store, send: Send, pause_of: Callable[[int], float] = pause) -> None:
        self._store = store
        self._send = send
        self._pause_of = pause_of
        self._ended = threading.Event()
        self._wake: dict[str, threading.Event] = {}

    def start(self, channels: Mapping[str, object]) -> None:
        """Begin to deliver to these channels; what waits for another one is given up."""
        with self._store.lock:
            records = self._store.records
            lost = [message for message in records.waiting if message.channel not in channels]
            for message in lost:
                _log.warning("%s is not sent: there is no channel %s any more", message.title, message.channel)
            records.waiting = [message for message in records.waiting if message.channel in channels]
            found = {name: records.channels.get(name, ChannelState()) for name in channels}
            records.channels = found
            for state in found.values():
                state.again_at = 0.0  # the channel may have been corrected: try at once
        for name in channels:
            self._wake[name] = threading.Event()
            threading.Thread(target=self._deliver, args=(name,), name=f"channel-{name}", daemon=True).start()

    def put(self, message: Waiting) -> None:
        """Add a message. The caller holds the store's lock, and saves."""
        waiting = self._store.records.waiting
        mine = [other for other in waiting if other.channel == message.channel]
        if len(mine) >= MOST_WAITING:
            given_up = next((other for other in mine if other.kind == REMINDER), mine[0])
            waiting.remove(given_up)
            self._store.records.channels[message.channel].dropped += 1
            _log.warning("channel %s: too many messages wait, %s is given up", message.channel, given_up.title)
        waiting.append(message)
        self._wake[message.channel].set()

    def end(self) -> None:
        """Tell the threads to end. One that is sending is not waited for: its message stays, and is sent again."""
        self._ended.set()
        for event in self._wake.values():
            event.set()

    def _deliver(self, channel: str) -> None:
        while not self._ended.is_set():
            try:
                self._wake[channel].wait(self._next(channel))
                self._wake[channel].clear()
                self._deliver_due(channel)
            except Exception:  # a mistake of ours must not silence a channel for ever
                _log.exception("channel %s", channel)
                self._ended.wait(IDLE_SECONDS)

    def _next(self, channel: str) -> float:
        """Seconds until there may be something to send."""
        with self._store.lock:
            if not any(message.channel == channel for message in self._store.records.waiting):
                return IDLE_SECONDS
            return min(IDLE_SECONDS, max(0.0, self._store.records.channels[channel].again_at - time.time()))

    def _deliver_due(self, channel: str) -> None:
        while not self._ended.is_set():
            with self._store.lock:
                records = self._store.records
                state = records.channels[channel]
                first = next((message for message in records.waiting if message.channel == channel), None)
            again_at = min(state.again_at, time.time() + LONGEST_PAUSE_SECONDS)  # the clock may be set back
            if first is None or again_at > time.time():
                return
            answer = self._send(first)
            with self._store.lock:
                self._note(channel, state, first, answer)
                self._store.save()
            if not answer.taken:
                return

    def _note(self, channel: str, state: ChannelState, message: Waiting, answer: Answer) -> None:
        now = time.time()
        if answer.taken:
            with suppress(ValueError):  # given up meanwhile
                self._store.records.waiting.remove(message)
            if state.failures:
                _log.info("channel %s takes messages again, after %d failures", channel, state.failures)
            state.failures, state.error, state.sent_at = 0, "", now
            _log.info("sent to %s: %s", channel, message.title)
            return
        state.failures += 1
        state.again_at = now + self._pause_of(state.failures)
        state.error, state.error_at = answer.text, now
        again = f"again in {state.again_at - now:.0f} s"
        _log.warning("channel %s did not take a message: %s; %s", channel, answer.text, again)


def problems(records: Records) -> list[str]:
    """What is wrong with the channels, as text."""
    return [
        f"channel {name} does not take messages: {state.error}"
        for name, state in records.channels.items()
        if state.failures
    ]
