"""`effconvert` and `python -m effconvert`: Ctrl-C ends both in one line, also while the program is imported."""

import signal
import sys


def main() -> None:
    """Run the command line."""
    try:
        from effconvert.cli import main as run_command

        run_command()
    except KeyboardInterrupt:
        sys.stderr.write("effconvert: interrupted; nothing was changed\n")
        sys.exit(130)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the work is done; Python still ends its threads


if __name__ == "__main__":
    main()
