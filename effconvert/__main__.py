"""`effconvert` and `python -m effconvert`: Ctrl-C ends both in one line, also while the program is imported."""

import os
import sys


def main() -> None:
    """Run the command line."""
    try:
        import signal

        before = signal.getsignal(signal.SIGINT)
        if before is signal.default_int_handler:
            signal.signal(signal.SIGINT, _end)
        from effconvert.cli import main as run_command

        signal.signal(signal.SIGINT, before)
        try:
            run_command()
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the work is done; Python still ends its threads
    except KeyboardInterrupt:
        _end()


def _end(*_: object) -> None:
    """End at once: nothing was begun."""
    sys.stderr.write("effconvert: interrupted; nothing was changed\n")
    sys.stderr.flush()
    os._exit(130)


if __name__ == "__main__":
    main()
