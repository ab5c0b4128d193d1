"""Settings of the Grafana stack and of OBI against the lists of documented keys that stand beside them. Most of these programs refuse or
pass over a key that they do not know only once they run: here a misspelt one fails before."""

import re

import yaml

from . import alloy
from .repository import load, read

# settings file -> list of documented keys
FILES = {
    "observability/tempo/tempo.yaml": "observability/tempo/documented-keys.txt",
    "observability/loki/loki.yaml": "observability/loki/documented-keys.txt",
    "observability/mimir/mimir.yaml": "observability/mimir/documented-keys.txt",
    "observability/obi/obi.yaml": "observability/obi/documented-keys.txt",
    "observability/obi/kubernetes.yaml": "observability/obi/documented-keys.txt",
}
ALLOY = [f"observability/alloy/{name}.alloy" for name in ("config", "metrics", "logs", "docker", "kubernetes")]


def documented(path: str) -> list[str]:
    """Keys of a list; a second column, as in OBI's, is the variable."""
    lines = [line for line in read(path).splitlines() if line and not line.startswith("#")]
    return [line.split()[0] for line in lines if line.split()[0] != "-"]


def variables(path: str) -> set[str]:
    """The second column of OBI's list."""
    lines = [line.split() for line in read(path).splitlines() if line and not line.startswith("#")]
    return {line[1] for line in lines if len(line) == 2 and line[1] != "-"}


def used(tree, path: str = "") -> list[str]:
    """The keys of all values; those of a list's elements behind `[]`."""
    if isinstance(tree, dict) and tree:
        return [found for key, value in tree.items() for found in used(value, f"{path}.{key}" if path else str(key))]
    if isinstance(tree, list) and any(isinstance(value, dict) for value in tree):
        return [found for value in tree for found in used(value, f"{path}[]")]
    return [path]


def _matches(key: str, pattern: str) -> bool:
    mine, theirs = key.split("."), pattern.split(".")
    if theirs[-1] == "*" and len(mine) >= len(theirs):
        mine = mine[: len(theirs)]
    return len(mine) == len(theirs) and all(want in ("*", has) for has, want in zip(mine, theirs))


def undocumented(text: str, list_path: str) -> list[str]:
    """Keys of a YAML text that the list does not have."""
    known = documented(list_path)
    return [key for key in used(yaml.safe_load(text)) if not any(_matches(key, pattern) for pattern in known)]


def alloy_documented() -> dict[str, set[str]]:
    known: dict[str, set[str]] = {}
    component = ""
    for line in read("observability/alloy/documented-keys.txt").splitlines():
        if line and not line.startswith("#"):
            if not line.startswith(" "):
                component = line.strip()
                known[component] = set()
            else:
                known[component].add(line.strip())
    return known


def alloy_undocumented(text: str) -> list[str]:
    """Components, blocks and arguments of an Alloy file that the list does not have."""
    known, wrong = alloy_documented(), []
    for block in alloy.parse(text):
        if block.name not in known:
            wrong.append(block.name)
            continue
        wrong += [f"{block.name}.{path}" for path in block.arguments() if path not in known[block.name]]
    return wrong


def alloy_unresolved(texts: list[str]) -> list[str]:
    """References of Alloy files, loaded together, to components that none of them has, and names that are there twice."""
    blocks = [block for text in texts for block in alloy.parse(text)]
    names = [f"{block.name}.{block.label}" for block in blocks]
    wrong = sorted({f"{name} is there twice" for name in names if names.count(name) > 1})
    roots = {name.split(".")[0] for name in alloy_documented()}
    for block in blocks:
        for reference in block.references():
            if reference.split(".")[0] in roots and not any(reference.startswith(f"{name}.") for name in names):
                wrong.append(f"{block.name}.{block.label} refers to {reference}")
    return wrong


def placeholders(text: str) -> set[str]:
    """${NAME} in settings, without a default."""
    return set(re.findall(r"\$\{([A-Z][A-Z0-9_]*)\}", "\n".join(line.split(" #")[0] for line in text.splitlines() if not line.lstrip().startswith("#"))))


def data_sources() -> list[str]:
    """What one data source of Grafana says of another that is not there."""
    sources = load("observability/grafana/provisioning/datasources/datasources.yaml")["datasources"]
    known = {source["uid"] for source in sources}
    wrong = []

    def walk(value, where):
        if isinstance(value, dict):
            for key, inner in value.items():
                if key == "datasourceUid" and inner not in known:
                    wrong.append(f"{where} refers to the data source {inner}")
                walk(inner, where)
        elif isinstance(value, list):
            for inner in value:
                walk(inner, where)

    for source in sources:
        walk(source.get("jsonData", {}), source["name"])
    return wrong
