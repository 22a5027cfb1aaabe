#!/usr/bin/env python3
"""Turn measured architectures into the registry that is compiled into Gammascope.

    python compile.py DOCUMENTS… --out src/norm/registry

DOCUMENTS are folders written by measure.py. Writes one table, with one line per family:

    families.tsv  model_type, default, exceptions: `pattern=kind`; a pattern is part of the path of a site without numbers

The tables of layouts, counts and vocabularies are written by `cargo run --release --example registry`.
A kind is layer, rms or other, with +1 if the scale is stored as γ − 1 and * if that differs, or ? if a value of the configuration
decides the kind. The table has only measured families. Families known from elsewhere are in published.tsv, edited by hand.
"""
import argparse
import collections
import glob
import gzip
import json
import os
import re

# The same as in src/checkpoint/config.rs: words of a path that point to a nested configuration.
SYNONYMS = {
    "vision": ["vision", "visual", "image", "img", "vit"],
    "audio": ["audio", "speech", "sound"],
    "text": ["text", "language", "llm", "lm"],
    "vision_tower": ["vision", "visual", "image", "img", "vit"],
    "speech": ["audio", "speech", "sound"],
}
TEXT_KEYS = ["text_config", "llm_config", "language_config", "decoder", "decoder_config"]


def kind_of(norm):
    if norm["kind"] not in ("layer", "rms", "other"):
        return None
    one_plus = norm["kind"] != "other" and norm.get("convention") == "1+w"
    return norm["kind"] + ("+1" if one_plus else "")


def pooled(kinds):
    """One kind for several measurements. * if they differ only in the convention, ? if a configuration value decides the kind."""
    plain = {kind.removesuffix("+1") for kind in kinds}
    if len(plain) > 1:
        return "?"
    return next(iter(kinds)) if len(kinds) == 1 else f"{plain.pop()}*"


def components(path):
    return tuple(part for part in re.split(r"[./]", path) if not part.isdigit())


def contains(path, pattern):
    return any(path[at : at + len(pattern)] == pattern for at in range(len(path) - len(pattern) + 1))


# ------------------------------------------------------------------ families


def nested(config, path):
    """The configurations for a path, outermost first, as in Config::scope."""
    chain = [config]
    words = [word for part in components(path) for word in re.split(r"[_.]", part.lower())]
    while len(chain) <= 3:
        inner = {key: value for key, value in chain[-1].items() if isinstance(value, dict) and "model_type" in value}
        def spoken(key):
            stem = key.removesuffix("_config")
            parts = [part.lower() for part in components(path)]
            return any(name in words or name in parts for name in SYNONYMS.get(stem, [stem]))
        keys = [key for key in inner if key not in TEXT_KEYS and spoken(key)] or [key for key in TEXT_KEYS if key in inner]
        if not keys:
            return chain
        chain.append(inner[max(keys, key=len) if keys[0] not in TEXT_KEYS else keys[0]])
    return chain


def predict(families, chain, path):
    """The kind of a site from the lines so far: exceptions of the inner line, then of the outer line, then defaults."""
    lines = [families.get(config.get("model_type")) for config in chain]
    for line in reversed(lines):
        best = max((pattern for pattern in (line or {}).get("exceptions", {}) if contains(path, pattern)), key=len, default=None)
        if best:
            return line["exceptions"][best]
    for config, line in reversed(list(zip(chain, lines))):
        if line and line["default"]:
            return line["default"]
        if config.get("model_type") and not line:
            return None
    return None


def shortest_pattern(path, others):
    """The shortest part of a path, nearest to its end, that is in none of the others."""
    for length in range(1, len(path) + 1):
        for at in reversed(range(len(path) - length + 1)):
            pattern = path[at : at + length]
            if not any(contains(other, pattern) for other in others):
                return pattern
    return None


def line_of(sites, families, chains):
    """The default and the exceptions of one family. `sites` maps a path without numbers to its kind."""
    own = {path: kind for path, kind in sites.items() if len(chains[path]) == 1}
    # "other" is the default only if there is no other kind: convolutional towers say nothing about the norms of a transformer.
    counts = collections.Counter(kind for kind in own.values() if kind != "other") or collections.Counter(own.values())
    default = counts.most_common(1)[0][0] if counts else None
    line = {"default": default, "exceptions": {}}
    # Parts with their own configuration come first, so their lines are already there.
    for path, kind in sorted(sites.items()):
        said = predict({**families, "": line}, [{**chains[path][0], "model_type": ""}, *chains[path][1:]], path)
        if said == kind:
            continue
        same = [other for other, its in sites.items() if its == kind]
        different = [other for other, its in sites.items() if its != kind]
        pattern = shortest_pattern(path, different)
        if pattern is None:
            raise SystemExit(f"no pattern tells {path} apart")
        line["exceptions"][pattern] = kind
    return line


def compile_families(documents):
    by_type = collections.defaultdict(list)
    for document in documents:
        if document["source"] == "transformers" and document.get("model_type"):
            by_type[document["model_type"]].append(document)
    families = {}
    # Parts come before the models that contain them.
    depth = lambda documents: max(str(document["config"]).count("model_type") for document in documents)
    for model_type, group in sorted(by_type.items(), key=lambda item: (depth(item[1]), item[0])):
        kinds, chains = collections.defaultdict(set), {}
        for document in group:
            for norm in document["norms"]:
                kind = kind_of(norm)
                if norm.get("weight") and kind:
                    path = components(norm["weight"].rpartition(".")[0])
                    kinds[path].add(kind)
                    chains[path] = nested({**document["config"], "model_type": model_type}, norm["weight"].rpartition(".")[0])
        if kinds:
            families[model_type] = line_of({path: pooled(kind) for path, kind in kinds.items()}, families, chains)
    return families


# ------------------------------------------------------------------ files


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", nargs="+")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    documents = []
    for folder in arguments.documents:
        for path in sorted(glob.glob(f"{folder}/*.json.gz")):
            document = json.load(gzip.open(path))
            if document["source"] in ("transformers", "timm"):
                document.setdefault("norms", [])
                documents.append({"config": {}, **document})

    families = compile_families(documents)
    with open(os.path.join(arguments.out, "families.tsv"), "w") as file:
        for model_type, line in sorted(families.items()):
            exceptions = " ".join(f"{'.'.join(pattern)}={kind}" for pattern, kind in sorted(line["exceptions"].items()))
            if line["default"] or exceptions:
                print(model_type, line["default"] or "-", exceptions, sep="\t", file=file)

    print(f"{len(families)} families")


if __name__ == "__main__":
    main()
