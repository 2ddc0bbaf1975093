"""`python -m jitnet` is the command `jitnet`, which begins here too.

It imports the command line in `main`, and not before: by then Ctrl-C ends it without a traceback.
"""

import os
import signal
import sys

__all__ = ["main"]

INTERRUPTED = 130
"""The exit code after Ctrl-C."""


def main() -> None:
    """Run the command line on the arguments of the process, and leave with its exit code."""
    try:
        handler = signal.getsignal(signal.SIGINT)
        if handler is signal.default_int_handler:
            # Nothing has begun that needs an end, and an exception in an import may be printed, lost or changed.
            signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
        from jitnet.cli import main as run

        signal.signal(signal.SIGINT, handler)
        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
