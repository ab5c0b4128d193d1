#!/usr/bin/env python3
"""Holds docs/alerts.md to the rules: every alert has a section of its own, in which severity, time, dashboard and scenario are
those of its rule, and every section is about an alert.

    runbooks.py --check

Exit code 0: they agree. 1: they do not, and what differs is printed. 2: bad usage."""

import argparse
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PARTS = ("**Means.**", "**Look.**", "**Do.**")


def alerts(folder):
    """Alert to the fields of its rule that a section repeats. The rules are written in one form, a field a line."""
    found = {}
    for path in sorted(folder.glob("*.yaml")):
        for block in re.split(r"^ {6}- ", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
            name = re.match(r"alert: (\w+)\n", block)
            if name:
                found[name[1]] = {key: _field(block, key) for key in ("for", "severity", "runbook_url", "dashboard", "scenario")}
    return found


def _field(block, key):
    found = re.search(rf"\b{key}: (.+?)(?: \}})?\n", block + "\n")
    return found[1].strip() if found else ""


def facts(rule):
    """The line under a section's heading."""
    when = f"for {rule['for']}" if rule["for"] else "at once"
    line = f"{rule['severity']} · {when} · dashboard `{rule['dashboard'].removeprefix('throughline-')}`"
    return line + (f" · fires in the scenario `{rule['scenario']}`" if rule["scenario"] else "")


def problems(page, rules):
    text = page.read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^#{2,3} |\Z)", text, flags=re.MULTILINE | re.DOTALL))
    found = [f"{name}: has no section" for name in rules.keys() - sections.keys()]
    found += [f"{name}: has a section and is no alert" for name in sections.keys() - rules.keys()]
    for name in rules.keys() & sections.keys():
        if facts(rules[name]) not in sections[name].splitlines():
            found.append(f"{name}: the line below the heading has to be: {facts(rules[name])}")
        found += [f"{name}: {part} is missing" for part in PARTS if part not in sections[name]]
        wanted = f"docs/alerts.md#{name.lower()}"
        if rules[name]["runbook_url"] != wanted:
            found.append(f"{name}: runbook_url has to be {wanted}")
    return sorted(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", required=True, help="compare them")
    parser.add_argument("--rules", type=Path, default=HERE / "rules", metavar="DIR", help="folder of the rules (default: rules)")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "alerts.md", metavar="FILE", help="default: docs/alerts.md")
    given = parser.parse_args()
    if not given.page.is_file():
        parser.error(f"--page: {given.page} is no file")
    rules = alerts(given.rules)
    if not rules:
        parser.error(f"--rules: {given.rules} has no alerts")
    found = problems(given.page, rules)
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
