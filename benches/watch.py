"""Times the Python package beside what it replaces, and prints JSON.

    watch.py TERMINAL MODEL

`import`: milliseconds of importing it. `inspect`: milliseconds of `gammascope.inspect(MODEL)`, and of the terminal on the same folder.
`watch`: milliseconds of a token of BERT-base (d = 768) on the CPU, plain and watched, before the measurement at the end. Each is the median
of several runs, one of each side in turn. Needs torch and transformers for the last.
"""
import json
import statistics
import subprocess
import sys
import time

import gammascope

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
    import torch
    import transformers

    torch.manual_seed(0)
    model = transformers.BertModel(transformers.BertConfig()).eval()
    ids = torch.randint(30000, (SEQUENCES, TOKENS))
    mask = torch.ones_like(ids)

    def plain():
        with torch.no_grad():
            model(input_ids=ids, attention_mask=mask)

    # The block ends with an error, so that only the forward pass is timed. There is room for all tokens.
    watch = gammascope.watch(model, tokens=2 * (RUNS + 1) * SEQUENCES * TOKENS)
    times = []
    try:
        with watch:
            watched = in_turn(plain)
            raise InterruptedError
    except InterruptedError:
        times = [in_turn(plain)[0], watched[0]]
    return [one / (SEQUENCES * TOKENS) for one in times]


def main():
    terminal, model = sys.argv[1:3]
    bare, importing = in_turn(process(sys.executable, "-c", ""), process(sys.executable, "-c", "import gammascope"))
    inspected = in_turn(lambda: gammascope.inspect(model), process(terminal, "inspect", model, "--json"))
    result = {"import": importing - bare, "inspect": inspected}
    try:
        result["watch"] = watching()
    except ImportError as missing:
        result["missing"] = str(missing)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
