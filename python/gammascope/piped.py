"""Runs the terminal on arguments from standard input, as a JSON list: a list of processes shows a command line, and so a token in it."""
import json
import signal
import sys

from gammascope import _native

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(_native.main(json.load(sys.stdin)))
