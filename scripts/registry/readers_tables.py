"""Writes the tables of readers.py from its documents: the relations that hold in every block of a layout."""
import collections, glob, json, os, re

from compile import block_end  # the same rule as in src/norm/names.rs

WEAKEST = ["bias", "keys", "free"]


def masked(path, mark="N"):
    """Replaces numbers by N, also in NLLB's expert_3."""
    return re.sub(r"\bexpert_\d+\b", "expert_N", ".".join(mark if part.isdigit() else part for part in path.split(".")))


def place(name):
    """(stack, number of the block, name inside the block), or None outside blocks."""
    parts = name.split(".")
    end = block_end(parts)
    if end is None:
        return None
    return ".".join(parts[:end]), int(parts[end].rpartition("_")[2]), ".".join(parts[end + 1:])


def numbered(statuses, places):
    """{full name: class or None} as {pattern: class or None}: the number of the block becomes N if all blocks agree, and stays
    if only some do."""
    groups = collections.defaultdict(dict)
    for name, kind in statuses.items():
        at = places[name]
        groups[(at[0], at[2]) if at else name][name] = kind
    for key, group in groups.items():
        if isinstance(key, str) or not all(group.values()) or len(group) == 1:
            yield from group.items()
        else:
            yield f"{key[0]}.N.{key[1]}", weakest(group.values())


def weakest(kinds):
    kinds = list(kinds)
    return min(kinds, key=WEAKEST.index) if all(kinds) else None


def with_numbers(rows):
    """Generalises the numbers in {(site, target): class} if at least two instances hold and none fails. Numbers that site and
    target share become # (`#.norm>#.fc`: the same number in both). Numbers of only the target become N (experts)."""
    def shared(site, target):
        ours, theirs = numbers(site), numbers(target)
        return len(ours) if ours and theirs[: len(ours)] == ours else 0

    def bound(site, target):  # only called for pairs that share their numbers
        left, parts = shared(site, target), []
        for part in target.split("."):
            is_number = part.lstrip("+").isdigit()
            parts.append("#" if is_number and left > 0 else part)
            left -= is_number
        return masked(site, "#"), ".".join(parts)

    def alone(site, target):
        return site, masked(target)

    for rule in (bound, alone):
        groups = collections.defaultdict(dict)
        for (site, target), kind in rows.items():
            applies = rule is alone or (shared(site, target) and target[0] != "+")
            groups[rule(site, target) if applies else (site, target)][site, target] = kind
        rows = {}
        for pattern, group in groups.items():
            rows.update({pattern: weakest(group.values())} if len(group) > 1 and all(group.values()) else group)
    return rows


def numbers(path):
    return [part for part in path.lstrip("+").split(".") if part.isdigit()]


def read_document(document):
    """Reads one document: {layout: (statuses, sites, judged maps, other maps)} and {site outside blocks: statuses}."""
    prefix = document["prefix"]
    short = lambda name: name[len(prefix):] if prefix and name.startswith(prefix) else name
    names = [short(n) for n in document["parameters"]]
    places = {n: place(n) for n in names}
    blocks, last = collections.defaultdict(set), {}
    for n, at in places.items():
        if at:
            blocks[at[:2]].add(masked(at[2]))
            last[at[0]] = max(last.get(at[0], 0), at[1])
    layouts = {block: " ".join(sorted(inside)) for block, inside in blocks.items()}
    unseen = {places[short(u)][:2] for u in document["unseen"] if places[short(u)]}
    relations = {(short(s), short(r)): kind for s, r, kind in document["relations"]}
    inside, outside = {}, {}
    for site, width in document["sites"]:
        site = short(site)
        statuses = {short(r): relations.get((site, short(r))) for r in document["judged"].get(str(width), ())}
        at = places[site]
        if at is None:
            outside[site] = dict(numbered(statuses, places))
            continue
        stack, number, own = at
        rows, sites, *_ = inside.setdefault(layouts[stack, number], (collections.defaultdict(list), {}, set(), set()))
        # It is known that nothing reads a site if every map of its block and of the next one was judged.
        clear = number < last[stack] and not document["outside"] and not unseen & {(stack, number), (stack, number + 1)}
        sites[own] = sites.get(own, False) or clear
        elsewhere = {}
        for reader, kind in statuses.items():
            to = places[reader]
            if to and to[0] == stack and to[1] in (number, number + 1):
                rows[own, ("+" if to[1] > number else "") + to[2]].append(kind)
            elif not (to and to[0] == stack) and number == last[stack] and not relative(site, reader):
                elsewhere[reader] = kind
        for pattern, kind in numbered(elsewhere, places):
            rows[own, "^" + pattern].append(kind)
    for site, statuses in outside.items():  # a larger model has more of a series of numbered norms
        alike = [other for other in outside if masked(other) == masked(site)]
        outside[site] = {r: kind for r, kind in statuses.items() if relative(site, r) or all(outside[o].get(r) for o in alike) or not kind}
    for which, names in ((2, [n for names in document["judged"].values() for n in names]), (3, document["unseen"])):
        for at in filter(None, (places[short(n)] for n in names)):
            if layouts[at[:2]] in inside:
                inside[layouts[at[:2]]][which].add(at[2])
    return inside, outside


def relative(site, reader):
    """Whether two names share a numbered part, or first differ only in a number. Then their relation may depend on numbers
    that another size of the model does not have."""
    for ours, theirs in zip(site.split("."), reader.split(".")):
        if ours.isdigit() and theirs.isdigit():
            return True
        if ours != theirs:
            return False
    return False


def load(folder):
    documents = []
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        with open(path) as f:
            documents.append(json.load(f))
    return documents


class Entry:
    """The measurements of one layout (or one site outside blocks) with one model type in one condition."""

    def __init__(self):
        self.judged, self.unseen = set(), set()
        self.rows, self.sites, self.classes, self.default, self.absent = collections.defaultdict(list), {}, set(), {}, {}

    def add(self, document, rows, sites=(), judged=(), unseen=()):
        self.judged.update(judged)
        self.unseen.update(unseen)
        for rel, kinds in rows.items():
            self.rows[rel] += kinds
        for site, known in dict(sites).items():
            self.sites[site] = self.sites.get(site, False) or known
        self.classes.add(document["cls"])
        self.default.update(document.get("default") or {})
        self.absent.update(document.get("absent") or {})

    def finish(self, whole=False):
        """`whole`: relations elsewhere also count for the wiring."""
        rows = {rel: weakest(kinds) for rel, kinds in self.rows.items()}
        elsewhere = {rel: kind for rel, kind in rows.items() if rel[1].startswith("^")}
        rows = with_numbers({rel: kind for rel, kind in rows.items() if rel not in elsewhere}) | elsewhere
        self.holds = {rel: kind for rel, kind in rows.items() if kind}
        self.fails = rows.keys() - self.holds.keys()
        self.whole = whole
        return self

    def agrees(self, other):
        """Whether neither has a relation that the other lacks. A relation elsewhere, or of a map that the other could not judge,
        may be missing."""
        return self.fits(other) and other.fits(self)

    def contradicts(self, other):
        return any(rel in b.fails or b.holds.get(rel, kind) != kind for a, b in ((self, other), (other, self)) for rel, kind in a.holds.items())

    def take(self, other):
        for rel, kinds in other.rows.items():
            self.rows[rel] = self.rows[rel] + kinds
        self.classes |= other.classes
        self.unseen |= other.unseen
        self.judged |= other.judged
        self.finish(self.whole)

    def fits(self, other):
        for (site, reader), kind in self.holds.items():
            missing = not self.whole and (reader.startswith("^") or reader.lstrip("+") in other.unseen)
            if other.holds.get((site, reader), kind if missing else None) != kind or (site, reader) in other.fails:
                return False
        return True


def without_idle_conditions(entries):
    """Joins the measurements of one model type in other conditions if nothing contradicts them."""
    joined = {}
    for (label, condition), entry in sorted(entries.items(), key=lambda item: (item[0][0], bool(item[0][1]), item[0][1])):
        same = next((e for (l, _), e in joined.items() if l == label and not e.contradicts(entry)), None)
        if same:
            same.take(entry)
        else:
            joined[label, condition] = entry
    return joined


def grouped(entries):
    """[(labels, condition, [entries])]: model types that agree share a line."""
    groups = []
    for (label, condition), entry in sorted(entries.items(), key=lambda item: (bool(item[0][1]), item[0])):
        fitting = [g for g in groups if all(entry.agrees(e) for _, _, e in g)]
        own = [g for g in fitting if any(l == label for l, _, _ in g)]
        group = next(iter(own or fitting), None)
        if group is None:
            groups.append(group := [])
        group.append((label, condition, entry))
    absent = lambda label: {k: v for (l, _), e in entries.items() if l == label for k, v in e.absent.items()}
    text = lambda pairs, unset: ",".join(f"{k}={v}" + "*" * (unset.get(k) == v) for k, v in sorted(pairs)) or "-"
    for group in groups:
        lines = collections.defaultdict(set)
        for label, condition, entry in group:
            others = [(c, e) for g in groups if g is not group for l, c, e in g if l == label]
            if not others:
                lines["-"].add(label)
            elif condition:  # the line of the default covers it if that is in this group
                if not any(l == label and not c for l, c, _ in group):
                    lines[text(condition, absent(label))].add(label)
            else:  # the default values that the other wirings change
                defaults = {k: v for c, o in others for k, v in o.default.items()}
                lines[text({(k, defaults[k]) for c, _ in others for k, _ in c if k in defaults}, absent(label))].add(label)
        for condition, labels in sorted(lines.items()):
            yield sorted(labels), condition, [e for l, _, e in group if l in labels]


BLOCKS_HEADER = """# Which linear maps read each LayerNorm of a block, measured. Written by scripts/registry/readers.py --compile; do not edit.
# VERSIONS; random weights, float64.
# 1 model types of transformers, timm:ARCHITECTURE, torch:CLASS, vit_pytorch:MODULE.CLASS, x_transformers:CLASS
# 2 conditions on the configuration, KEY=VALUE with commas, where the same names have another wiring; else -.
#   KEY=VALUE* holds where the configuration does not name KEY, too
# 3 names of all parameters inside the block, further numbers as N; buffers (running means, masks, tables of indices) are left out
# 4 SITE>READER:CLASS; numbers in names are literal here, # is any number that is the same in SITE and READER, N in READER is
#   any number, and all of them read. `+` the next block of the same stack; `^` elsewhere, then the site is that of the stack's LAST block, and the path is full, less the model's
#   own base prefix, with N for the number where every block of that stack reads. SITE> a norm that none of the tested maps reads.
#   CLASS: bias, free, keys as in readers.py
# 5 maps of the block that were not judged, as nothing that they do reached the outputs (one key, a ReLU that is 0): of these the
#   line says nothing. Not tested: embeddings, packed experts, convolutions other than 1×1.
"""
OUTSIDE_HEADER = """# Which linear maps read each LayerNorm that stands outside blocks, measured. Written by scripts/registry/readers.py --compile; do not edit.
# VERSIONS; random weights, float64.
# 1 model types as in measured.tsv
# 2 path of the norm's module, less the model's own base prefix, numbers literal
# 3 READER:CLASS with full paths, less the base prefix; N for a block's number where every block of that stack reads, else literal; - none of the tested maps
# 4 classes that were measured
# 5 conditions on the configuration as in measured.tsv
"""


def compile_tables(folder, to):
    documents = [d for d in load(folder) if "error" not in d and d["sites"]]
    versions = ", ".join(sorted({d.get("version", "transformers 4.49.0") for d in documents}))
    blocks, outside = collections.defaultdict(dict), collections.defaultdict(dict)
    for document in documents:
        inner, outer = read_document(document)
        for label in document["labels"]:
            key = label, tuple(sorted((document.get("condition") or {}).items()))
            for layout, measured in inner.items():
                blocks[layout].setdefault(key, Entry()).add(document, *measured)
            for site, statuses in outer.items():
                entry = outside[site].setdefault(key, Entry())
                entry.add(document, {(site, "^" + r): [k] for r, k in statuses.items()}, unseen=document["unseen"])
    lines, counts = [], collections.Counter()
    for layout, entries in blocks.items():
        # an entry with mostly unjudged maps says too little
        if len(layout.split()) < 3:  # a single norm or map is not a block
            continue
        entries = {key: e for key, e in entries.items() if len(e.judged) > len(e.unseen - e.judged)}
        for labels, condition, members in grouped({key: e.finish() for key, e in entries.items()}):
            holds = {}
            for e in members:
                holds.update(e.holds)
            known = {s: any(e.sites.get(s) for e in members) for e in members for s in e.sites}
            relations = [f"{s}>{r}:{kind}" for (s, r), kind in sorted(holds.items())]
            relations += [f"{s}>" for s, sure in sorted(known.items()) if sure and not any(h[0] in (s, masked(s, "#")) for h in holds)]
            if not relations:
                continue
            counts["lines"] += 1
            counts.update(r.rpartition(":")[2] if ":" in r else "no reader" for r in relations)
            unseen = set().union(*(e.unseen for e in members)) - set().union(*(e.judged for e in members))
            lines.append("\t".join([" ".join(labels), condition, layout, " ".join(relations) or "-", " ".join(sorted(unseen)) or "-"]))
    os.makedirs(to, exist_ok=True)
    with open(os.path.join(to, "measured.tsv"), "w") as f:
        f.write(BLOCKS_HEADER.replace("VERSIONS", versions) + "\n".join(sorted(lines)) + "\n")
    print("measured.tsv", dict(counts))
    lines, counts = [], collections.Counter()
    for site, entries in outside.items():
        for labels, condition, members in grouped(without_idle_conditions({key: e.finish(whole=True) for key, e in entries.items()})):
            holds, classes = {}, set()
            for e in members:
                holds.update(e.holds)
                classes |= e.classes
            module = site.rpartition(".")[0]
            relations = [f"{r[1:]}:{kind}" for (_, r), kind in sorted(holds.items())]
            if not relations and any(e.unseen for e in members):  # its readers may not have been judged
                continue
            counts["lines"] += 1
            counts.update(r.rpartition(":")[2] for r in relations)
            lines.append("\t".join([" ".join(labels), module, " ".join(relations) or "-", " ".join(sorted(classes)), condition]))
    with open(os.path.join(to, "measured_outside.tsv"), "w") as f:
        f.write(OUTSIDE_HEADER.replace("VERSIONS", versions) + "\n".join(sorted(lines)) + "\n")
    print("measured_outside.tsv", dict(counts))


def check(one, two):
    """Compares the relations of two folders for the architectures in both."""
    second = {d["name"]: d for d in load(two)}
    counts = collections.Counter()
    for d in load(one):
        other = second.get(d["name"])
        if not other or "error" in d or "error" in other:
            continue
        judged = [{(s, r) for s, width in x["sites"] for r in x["judged"].get(str(width), ())} for x in (d, other)]
        judged = judged[0] & judged[1]
        pairs = [{(s, r): k for s, r, k in x["relations"] if (s, r) in judged} for x in (d, other)]
        counts["architectures"] += 1
        counts["pairs judged in both"] += len(judged)
        counts["same relation"] += sum(pairs[1].get(p) == k for p, k in pairs[0].items())
        different = sorted((p, pairs[0].get(p), pairs[1].get(p)) for p in judged if pairs[0].get(p) != pairs[1].get(p))
        counts["different"] += len(different)
        for x in different:
            print(d["name"], *x)
    print(dict(counts))
