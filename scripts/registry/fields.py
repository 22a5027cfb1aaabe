#!/usr/bin/env python3
"""Write which fields of a configuration the code of each family reads.

    python fields.py TRANSFORMERS… > src/model/read_fields.tsv

TRANSFORMERS are folders of the package's sources, one per version; nothing of them is imported. Old versions count because they read
fields that newer ones no longer do, and trained models still have them. One line per `model_type` that Gammascope runs: the fields
that its modelling or configuration code may read in any version. The line `*` has those of the code that all families share. A field
that is in neither cannot change what transformers computes. A name counts as read if it may be: as an attribute of anything that is
called a configuration, as a text anywhere in the configuration's code, or under a name that the family's `attribute_map` maps to it.
"""
import ast
import pathlib
import re
import sys

#: Code that every family may use.
SHARED = [
    "activations.py",
    "backbone_utils.py",
    "cache_utils.py",
    "configuration_utils.py",
    "initialization.py",
    "masking_utils.py",
    "modeling_attn_mask_utils.py",
    "modeling_flash_attention_utils.py",
    "modeling_layers.py",
    "modeling_rope_utils.py",
    "modeling_utils.py",
    "pytorch_utils.py",
    "integrations/eager_attention.py",
    "integrations/moe.py",
    "integrations/sdpa_attention.py",
]
#: Fields begin with a letter. Names with capitals are classes.
NAME = re.compile(r"[a-z][a-z0-9_]*")


def is_configuration(node):
    """Whether an expression is called a configuration, such as `self.text_config`."""
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return "config" in name.lower()


def reads(path):
    """The fields that a file may read."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    configures = path.name.startswith("configuration_")
    documents = {id(node.body[0].value) for node in ast.walk(tree) if has_document(node)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            of_own = configures and isinstance(node.value, ast.Name) and node.value.id == "self"
            if of_own or is_configuration(node.value):
                found.add(node.attr)
        elif isinstance(node, ast.Call) and any(is_configuration(argument) for argument in node.args[:1]):
            found.update(argument.value for argument in node.args[1:2] if isinstance(argument, ast.Constant))
        elif isinstance(node, ast.Subscript) and is_configuration(node.value) and isinstance(node.slice, ast.Constant):
            found.add(node.slice.value)
        elif configures and isinstance(node, ast.Constant) and id(node) not in documents:
            found.add(node.value)
    return {name for name in found if isinstance(name, str) and NAME.fullmatch(name)}


def has_document(node):
    body = getattr(node, "body", None)
    first = body[0] if isinstance(body, list) and body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)


def imported(path):
    """The folders of other families whose modelling code a file uses."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 2 and node.module and "modeling" in node.module:
            yield node.module.split(".")[0]


def files(models, folder, seen):
    """The code of a family, and of those whose modelling code it uses."""
    if folder in seen or not (models / folder).is_dir():
        return
    seen.add(folder)
    for path in sorted((models / folder).glob("*.py")):
        if path.name.startswith(("modeling_", "configuration_")):
            yield path
            for other in imported(path):
                yield from files(models, other, seen)


def renamed(path, found):
    """`found` with the other names of the same fields."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "attribute_map":
            for one, other in ast.literal_eval(node.value).items():
                if one in found or other in found:
                    found = found | {one, other}
    return found


def families(sources):
    """The values of `model_type` that run here."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(sources.glob("*.rs")))
    return sorted({name for names in re.findall(r"(?:families: |: &\[&str\] = )&\[([^\]]*)\]", text) for name in re.findall(r'"([^"]+)"', names)})


def measured(package):
    """The version of a package, and the fields of each family. `*` has those of the shared code."""
    version = re.search(r'__version__ = "([^"]+)"', (package / "__init__.py").read_text(encoding="utf-8")).group(1)
    found = {"*": set().union(*(reads(package / name) for name in SHARED if (package / name).exists()))}
    for path in sorted((package / "models").glob("*/configuration_*.py")):
        names = re.findall(r'^    model_type = "([^"]+)"', path.read_text(encoding="utf-8"), re.MULTILINE)
        if not names:
            continue
        paths = list(files(package / "models", path.parent.name, set()))
        fields = set().union(*map(reads, paths))
        for one in paths:
            fields = renamed(one, fields)
        found |= dict.fromkeys(names, fields)
    return version, found


def main(*packages):
    versions, tables = zip(*(measured(pathlib.Path(package)) for package in packages))
    print(f"# Fields that transformers ({', '.join(versions)}) may read; written by scripts/registry/fields.py.")
    print("# A line: model_type, fields.")
    of = lambda family: set().union(*(table.get(family, set()) for table in tables))
    shared = of("*")
    print("*", *sorted(shared), sep="\t")
    for family in families(pathlib.Path(__file__).parents[2] / "src/model"):
        if found := of(family):
            print(family, *sorted(found - shared), sep="\t")


main(*sys.argv[1:])
