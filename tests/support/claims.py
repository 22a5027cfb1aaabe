"""Shared by the Python tests: skips them if a module is missing, and prints their results."""
import sys

try:
    import safetensors.torch  # noqa: F401
    import torch  # noqa: F401
except ImportError as missing:
    print(f"skipped: {missing}")
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(0)


def conclude(claims):
    """Prints each claim and the counts. Returns the exit status."""
    for claim, holds in claims.items():
        print(f"{'ok' if holds else 'FAILED'}: {claim}")
    failed = sum(not holds for holds in claims.values())
    print(f"{len(claims) - failed} passed, {failed} failed, 0 skipped")
    return min(failed, 1)
