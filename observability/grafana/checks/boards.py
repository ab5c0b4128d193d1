"""Dashboards as files: their panels, and their queries with the variables put in."""

import json
import re
from urllib.parse import parse_qs, urlsplit

VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)(?::\w+)?\}?")
LABEL_VALUES = re.compile(r"label_values\((?:(?P<series>.+),\s*)?(?P<label>\w+)\)")
BOARD = re.compile(r"/d/([\w-]+)")

# An annotation has data while what it marks is the case.
ANNOTATIONS = {"Scenarios": ["scenario"], "Alerts": ["alert"]}


class Bad(Exception):
    """A dashboard that cannot be read or means nothing."""


class Board:
    def __init__(self, path, times):
        try:
            self.json = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as problem:
            raise Bad(f"{path}: {problem}") from None
        if not isinstance(self.json, dict) or not isinstance(self.json.get("panels"), list):
            raise Bad(f"{path}: is no dashboard: `panels` has to be a list")
        self.name = path.stem
        self.values = dict(times)
        for variable in self.json.get("templating", {}).get("list", []):
            self.values[variable["name"]] = _default(variable)

    def uid(self):
        return self.json.get("uid", "")

    def panels(self):
        """All panels that ask something, those inside collapsed rows too."""
        for panel in self.json["panels"]:
            yield from panel.get("panels", [])
            if panel.get("targets"):
                yield panel

    def expression(self, text):
        """The text with variables replaced by their defaults."""

        def value(found):
            if found.group(1) not in self.values:
                raise Bad(f"{self.name}: there is no variable {found.group(0)}")
            return self.values[found.group(1)]

        return VARIABLE.sub(value, text)

    def others(self):
        """(where, expression, what it needs): queries of variables and annotations."""
        for variable in self.json.get("templating", {}).get("list", []):
            if variable["type"] == "query":
                found = LABEL_VALUES.fullmatch(variable["query"]["query"])
                if not found:
                    raise Bad(f"{self.name}: variable {variable['name']}: only label_values(SERIES, LABEL) is known here")
                yield f"variable {variable['name']}", f"count by ({found['label']}) ({self.expression(found['series'])})", []
        for annotation in self.json.get("annotations", {}).get("list", []):
            yield f"annotation {annotation['name']}", self.expression(annotation["expr"]), ANNOTATIONS.get(annotation["name"], [])

    def searches(self):
        """(kind, query) of the links that lead to Explore, each once."""
        found = {}
        for link in re.findall(r'"(/explore\?[^"]*)"', json.dumps(self.json)):
            panes = json.loads(parse_qs(urlsplit(link).query)["panes"][0])
            for pane in panes.values():
                for query in pane["queries"]:
                    kind = "tempo" if "query" in query else "loki"
                    found[kind, re.sub(r"\$\{[^}]*\}", "x", query.get("query") or query["expr"])] = True
        return list(found)

    def leads_to(self):
        return set(BOARD.findall(json.dumps(self.json)))


def words(folder):
    """What panels of a folder say that they need."""
    found = {word for needs in ANNOTATIONS.values() for word in needs}
    for path in folder.glob("*.json"):
        for need in re.findall(r'"needs": \[([^\]]*)\]', path.read_text(encoding="utf-8")):
            found |= {word for text in re.findall(r'"([^"]*)"', need) for word in text.split("|")}
    return {word for word in found if not word.startswith("scenario:")}


def _default(variable):
    value = variable.get("current", {}).get("value", "")
    value = value[0] if isinstance(value, list) else value
    return variable.get("allValue") or ".*" if value == "$__all" else value


def documented(pages):
    """Metric to labels, from tables of pages such as docs/metrics.md: | `metric` | type | unit | `label`, `label` | ..."""
    found = {}
    for page in pages:
        for line in page.read_text(encoding="utf-8").splitlines():
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if len(cells) < 2 or not re.fullmatch(r"(`[a-z][a-z0-9_]+`(, )?)+", cells[0]):
                continue
            labels = set(re.findall(r"`(\w+)`", cells[3] if len(cells) > 4 else cells[1]))
            for metric in re.findall(r"`(\w+)`", cells[0]):
                for name in (metric, f"{metric}_bucket", f"{metric}_sum", f"{metric}_count"):
                    found[name] = labels | ({"le"} if name.endswith("_bucket") else set())
    return found
