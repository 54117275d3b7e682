"""A guest at the device's broker: what `watch`, `publish`, `set` and `status` have in common."""

import secrets
import sys
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from stoker.cli import Exit
from stoker.config import Config
from stoker.core.messages import LinkDown, LinkUp, Message, Notice, Now, Publish, Stop
from stoker.inbox import Inbox, monotonic
from stoker.link.link import Link

Heard = Message | LinkUp | LinkDown | Notice | Stop


class Client:
    """Connected while entered. Its client id is its own, so it never disturbs the daemon."""

    def __init__(self, config: Config, subscriptions: Sequence[str] = ()) -> None:
        self.id = f"stoker-{config.core.device}-{secrets.token_hex(4)}"
        self._inbox: Inbox[Heard] = Inbox(config.clock_trusted)
        self._brokers = len(config.mqtt.brokers)
        self.link = Link(
            config.mqtt,
            self._inbox.put,
            client_id=self.id,
            subscriptions=subscriptions,
            now=monotonic,
        )

    def __enter__(self) -> Self:
        self._inbox.attend(self.link)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave(2.0)

    def leave(self, timeout: float) -> bool:
        """Say what is left. Whether the broker has acknowledged all of it."""
        self._inbox.see_off(timeout)
        return self.link.all_said

    def hear(self, until: float) -> Iterator[Heard]:
        """Everything that comes in, until the monotonic time `until`."""
        while (event := self._inbox.get(until)) is not None:
            yield event

    def now(self) -> Now:
        """The time, and whether this machine's clock is known to be right."""
        return self._inbox.now()

    def connect(self, timeout: float) -> LinkUp:
        """Wait for the connection; end the command with one line where no broker gives one."""
        text = f"no answer within {timeout:g} s"
        for event in self.hear(monotonic() + timeout):
            match event:
                case LinkUp():
                    return event
                case LinkDown(text=text, tries=tries):
                    if tries >= self._brokers:
                        break
                case Notice(text=text):  # a topic is refused; the others may do
                    continue
                case _:
                    continue
        print(f"no broker: {text}", file=sys.stderr)
        sys.exit(Exit.UNAVAILABLE)

    def publish(self, effect: Publish) -> None:
        """Send it."""
        self.link.publish(effect)
