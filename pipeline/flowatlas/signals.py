"""What a scheduler's signals mean to a run.

USR1, the warning before the end: the shard at hand is finished if the time that is left allows it, no other is begun, and
the run ends with exit code 75 when there is more to do. TERM, the end itself: whatever is at hand is given back at once,
exit code 143. Both are caught from the very start of the command, so that one that is still importing is not killed by
its warning.
"""

import signal
from types import FrameType

from flowatlas.errors import StoppedError

TERMINATED = 128 + signal.SIGTERM
_MARGIN = 15.0  # seconds of the warning that are kept for giving the shard back

_warning_seconds = 120.0
_warned = _terminated = False


class Terminated(KeyboardInterrupt):
    """Raised in the main thread, wherever it is, when the time is over; as rarely to be caught as its base."""


def catch() -> None:
    """Take the two signals over; called in the main thread, first of all."""
    signal.signal(signal.SIGUSR1, _warn)
    signal.signal(signal.SIGTERM, _terminate)


def set_warning(seconds: float) -> None:
    """How long before the end the warning comes."""
    global _warning_seconds
    _warning_seconds = seconds


def warned() -> bool:
    """Whether no more work is to be begun."""
    return _warned


def stop_if_warned(what_is_left: str) -> None:
    """Raises StoppedError when the warning has come."""
    if _warned:
        raise StoppedError(f"stopped at the scheduler's warning, {what_is_left}; the same command again goes on")


def _warn(number: int, frame: FrameType | None) -> None:
    global _warned
    if not _warned:
        _warned = True
        signal.signal(signal.SIGALRM, _terminate)
        signal.setitimer(signal.ITIMER_REAL, max(_warning_seconds - _MARGIN, 0.001))


def _terminate(number: int, frame: FrameType | None) -> None:
    """Once: the same signal often comes twice, from the scheduler and from the script around us."""
    global _terminated
    if not _terminated:
        _terminated = True
        raise Terminated
