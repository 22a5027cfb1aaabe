"""Times the Python package beside what it replaces, and prints JSON.

    watch.py TERMINAL MODEL

`import`: milliseconds of importing it. `inspect`: milliseconds of `gammascope.inspect(MODEL)`, and of the terminal on the same folder.
`watch`: milliseconds of a token of BERT-base (d = 768) on the CPU, plain and watched, before the measurement at the end. Each is the median
of several runs, one of each side in turn. Needs torch and transformers.
"""
import contextlib
import json
import statistics
import subprocess
import sys
import time

import gammascope
import torch
import transformers

RUNS, SEQUENCES, TOKENS = 7, 8, 128


def milliseconds(work):
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def in_turn(*works):
    """The median time of each, after a run of each that warms up."""
    times = [[milliseconds(work) for work in works] for _ in range(RUNS + 1)][1:]
    return [statistics.median(of) for of in zip(*times)]


def process(*command):
    return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def watching():
    torch.manual_seed(0)
    model = transformers.BertModel(transformers.BertConfig()).eval()
    ids = torch.randint(30000, (SEQUENCES, TOKENS))
    mask = torch.ones_like(ids)

    def forward():
        with torch.no_grad():
            model(input_ids=ids, attention_mask=mask)

    watches = [gammascope.watch(model, tokens=SEQUENCES * TOKENS) for _ in range(RUNS + 1)]

    def watched():
        # The block ends with an error, so that nothing is measured: only the forward pass is timed.
        with contextlib.suppress(InterruptedError), watches.pop():
            forward()
            raise InterruptedError

    return [one / (SEQUENCES * TOKENS) for one in in_turn(forward, watched)]


def main():
    terminal, model = sys.argv[1:3]
    bare, importing = in_turn(process(sys.executable, "-c", ""), process(sys.executable, "-c", "import gammascope"))
    inspected = in_turn(lambda: gammascope.inspect(model), process(terminal, "inspect", model, "--json"))
    print(json.dumps({"import": importing - bare, "inspect": inspected, "watch": watching()}))


if __name__ == "__main__":
    main()
