#!/usr/bin/env python3
"""Measure which linear maps read each LayerNorm, on real modules with random weights, and write the tables of readers.

    readers.py OUT [--only NAME] [--source SOURCE] [--tests FOLDER] [--seed N] [--no-variants] [--seconds N] [--redo]
    readers.py --compile OUT [--to src/reader]
    readers.py --check OUT OTHER

The first form writes one JSON document for each architecture to OUT, which stays outside the repository. The second writes
measured.tsv and measured_outside.tsv. The third compares two measurements, for example of two seeds.

A LayerNorm with scale γ and shift β gives y with v·y = v·β for v = γ⁻¹/‖γ⁻¹‖. A map W reads that norm if W + a·vᵀ is the
same function for every a, once its bias absorbs a·(v·β). Each architecture is built small, without pretrained weights. Scales
become 1 + 0.3 N, shifts 0.3 N with |v·β| of at least 0.3. It runs in float64. A norm counts as a site if its recorded outputs are dead
along v to 1e-9. So RMSNorm and BatchNorm do not count, whatever their names are.

 tested    every 2-D weight and every 1×1 convolution with the width of the site as its inner dimension (outer, if the
           weight is stored transposed); embeddings and packed experts are not tested
 dead      v·x varies by less than 1e-5 of x over all inputs of the map, if they can be recorded
 reader    dead, and with v·β removed from β the outputs change by less than 1e-4 of what a random perturbation of the
           same size (0.3 of the norm of W) changes; a map whose random perturbation changes less than 1e-9 is not judged
 bias      a reader; if the map has a bias, moving it by −a·(v·β) keeps the outputs with the original β
 free      a reader that keeps the outputs with the original β and without moving a bias
 keys      a reader of class bias whose key rows alone (the middle third, or the middle third of each head) are free, and whose query
           rows, the third before, are not

Tied unembeddings are untied first. Attention masks pad nothing. Of transformers, every model class of every test is measured.
Classes with a head are measured only outside the blocks of their base model, if that has the same blocks. Then each boolean of the
configuration is inverted, one at a time, if that changes the outputs or the names; also position_embedding_type, is_decoder with and
without cross-attention, and relative attention. With --seconds, the maps that are left after that time are not judged.

Needs torch, transformers, timm, vit-pytorch, x-transformers, each only for its own architectures. --tests is the `tests` folder of the
repository of transformers at the same version: its ModelTester classes provide small configurations and inputs. The tables
were measured with PyTorch 1.13, transformers 4.49.0, timm 1.0.31, vit-pytorch and x-transformers as in the header of the tables.
"""
import argparse, collections, contextlib, importlib.metadata, io, json, logging, os, signal, sys, time, unittest, warnings

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", OMP_NUM_THREADS="1")
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from readers_tables import check, compile_tables  # noqa: E402


@contextlib.contextmanager
def at_most(seconds):
    def stop(*_):
        raise TimeoutError(f"more than {seconds} s")
    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def version_of(source):
    package = source.replace("_", "-")
    import torch
    return f"{package} {torch.__version__ if source == 'torch' else importlib.metadata.version(package)}"


def measure_all(args):
    from readers_models import architectures
    from readers_probe import measure, old_torch
    old_torch()
    args.out = os.path.abspath(args.out)
    os.makedirs(args.out, exist_ok=True)
    counts, start, done = collections.Counter(), time.time(), set()
    for name, source, make in architectures(args.source, args.tests, not args.no_variants, args.out):
        path = os.path.join(args.out, name.replace("/", "_") + ".json")
        if (args.only and args.only not in name) or (os.path.exists(path) and not args.redo) or name in done:
            continue
        done.add(name)  # only the first of several tests of a class counts
        document, began, noise = dict(name=name, source=source, version=version_of(source)), time.time(), io.StringIO()
        try:
            with at_most(2 * args.seconds), contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
                made = make()
                model, run, outside = made.pop("model"), made.pop("run"), made.setdefault("outside", None)
                document.update(made)
                document.update(measure(model, run, args.seed, outside, args.seconds))
                if source == "transformers" and len(document["unseen"]) > sum(map(len, document["judged"].values())) and not document["partial"]:
                    made = make(hidden=True)  # if little reaches the outputs (a ReLU at the end), hidden states count as outputs
                    with contextlib.suppress(Exception):
                        document.update(measure(made["model"], made["run"], args.seed, outside, args.seconds))
        except (Exception, unittest.SkipTest) as e:
            document["error"] = f"{type(e).__name__}: {e}"[:300]
        document["seconds"] = round(time.time() - began, 1)
        with open(path, "w") as f:
            json.dump(document, f)
        counts["failed" if "error" in document else "measured"] += 1
        print(f"{time.time() - start:6.0f} {name}: " + (document.get("error") or f"{len(document['sites'])} sites, {len(document['relations'])} relations, {document['seconds']} s"), flush=True)
    print(dict(counts))


def main():
    parser = argparse.ArgumentParser(description="Measure which linear maps read each LayerNorm.")
    parser.add_argument("out", nargs="?")
    parser.add_argument("--only")
    parser.add_argument("--source")
    parser.add_argument("--tests")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--no-variants", action="store_true")
    parser.add_argument("--redo", action="store_true")
    parser.add_argument("--compile", metavar="OUT")
    parser.add_argument("--to", default="src/reader")
    parser.add_argument("--check", nargs=2)
    args = parser.parse_args()
    if args.compile:
        return compile_tables(args.compile, args.to)
    if args.check:
        return check(*args.check)
    measure_all(args)


if __name__ == "__main__":
    main()
