"""What the soak does to the line: each begins, lasts for a random while and ends. All chance comes from the stage's."""

from collections.abc import Callable

from soak.stage import Stage

Fault = Callable[[Stage], None]


def cut(stage: Stage) -> None:
    """Closed, and refused for a while."""
    stage.proxy.cut()
    stage.cut = True
    stage.wait(stage.chance.uniform(0.1, 8.0))
    stage.cut = False
    stage.proxy.restore()


def freeze(stage: Stage) -> None:
    """Half-open: shorter or longer than it takes to be noticed. What was under way comes late."""
    stage.proxy.freeze()
    stage.wait(stage.chance.uniform(0.5, 12.0))
    stage.proxy.restore()


def freeze_and_reset(stage: Stage) -> None:
    """Half-open, and then what was under way is lost."""
    stage.proxy.freeze()
    stage.wait(stage.chance.uniform(0.5, 12.0))
    stage.proxy.reset()
    stage.proxy.restore()


def swallow_answers(stage: Stage) -> None:
    """What the daemon says arrives, and it hears of nothing."""
    stage.proxy.swallow_answers()
    stage.wait(stage.chance.uniform(0.5, 8.0))
    stage.proxy.restore()


def reset(stage: Stage) -> None:
    """RST."""
    stage.proxy.reset()


def reset_in_a_packet(stage: Stage) -> None:
    """RST in the middle of what the daemon says."""
    stage.proxy.reset(after=stage.chance.randrange(1, 2000))
    stage.wait(stage.chance.uniform(1.0, 3.0))
    stage.proxy.restore()


def corrupt(stage: Stage) -> None:
    """One bit."""
    stage.proxy.corrupt()
    stage.wait(stage.chance.uniform(0.5, 2.0))
    stage.proxy.restore()


def delay(stage: Stage) -> None:
    """Slow to answer."""
    stage.proxy.delay(stage.chance.uniform(0.1, 1.0))
    stage.wait(stage.chance.uniform(2.0, 8.0))
    stage.proxy.restore()


def throttle(stage: Stage) -> None:
    """A few bytes a second."""
    stage.proxy.throttle(stage.chance.uniform(20, 2000))
    stage.wait(stage.chance.uniform(2.0, 12.0))
    stage.proxy.restore()


def kill_broker(stage: Stage) -> None:
    """The broker is gone for a while, and comes back without its memory."""
    stage.kill_broker()
    stage.wait(stage.chance.uniform(0.0, 5.0))
    stage.start_broker()


def freeze_broker(stage: Stage) -> None:
    """The broker stands still with every connection open."""
    stage.deaf = True
    stage.broker.freeze()
    stage.wait(stage.chance.uniform(0.5, 10.0))
    stage.broker.thaw()
    stage.deaf = False


def restart_daemon(stage: Stage) -> None:
    """The daemon is ended and begins anew, perhaps while there is no line."""
    offline = stage.chance.random() < 0.5
    if offline:
        stage.proxy.cut()
        stage.cut = True
        stage.wait(stage.chance.uniform(0.5, 3.0))
    stage.restart_daemon()
    stage.wait(stage.chance.uniform(0.5, 3.0))
    if offline:
        stage.cut = False
        stage.proxy.restore()


LINE: tuple[Fault, ...] = (
    cut,
    freeze,
    freeze_and_reset,
    swallow_answers,
    reset,
    reset_in_a_packet,
    corrupt,
    delay,
    throttle,
    kill_broker,
    freeze_broker,
)
