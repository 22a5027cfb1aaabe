"""The command line: `gammascope` and `python -m gammascope`."""
import signal
import sys

from gammascope import _native


def main() -> int:
    """Runs the terminal on the arguments of this process. Returns its exit code."""
    # Python would only notice an interrupt after the command has ended.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _native.main(["gammascope", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
