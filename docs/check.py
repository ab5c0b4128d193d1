#!/usr/bin/env python3
"""Checks the documentation: every relative link leads to a file, and its anchor to a heading; docs/README.md lists every page;
guides have the sections of docs/_TEMPLATE.md, in its order, each with something in it.

    docs/check.py [--json] [--root DIR]

Exit code 0: fine. 1: something is wrong, and printed with file and line. 2: bad usage. No address outside is asked."""

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*$")
# What sections of a guide have to have in them.
WANTED = {"Architecture": "```mermaid", "Running it": "```sh", "Scenarios": "|---", "Troubleshooting": "|---"}
EXPECTED = ("```text", "|---", "```promql")


def pages(root):
    found = [root / name for name in ("README.md", "CONTRIBUTING.md") if (root / name).is_file()]
    return found + sorted((root / "docs").rglob("*.md"))


def prose(text):
    """(number, line) of what is no code block and no comment."""
    fenced = comment = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        comment = comment or line.lstrip().startswith("<!--")
        if not fenced and not comment:
            yield number, line
        if "-->" in line:
            comment = False


def anchors(text):
    """Anchors as GitHub makes them of headings."""
    found = set()
    for _, line in prose(text):
        heading = HEADING.match(line)
        if heading:
            words = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading[2]).lower()
            anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
            number = 0
            while (name := f"{anchor}-{number}" if number else anchor) in found:
                number += 1
            found.add(name)
    return found


def links(page):
    text = page.read_text(encoding="utf-8")
    for number, line in prose(text):
        for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
            if not re.match(r"[a-z]+:", target):
                yield number, target


def broken(page):
    for number, target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            yield number, f"leads to {path}, which is not there"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8")):
            yield number, f"leads to {target}, and {file.name} has no such heading"


def unlisted(docs):
    index = docs / "README.md"
    listed = {(docs / target.partition("#")[0]).resolve() for _, target in links(index)}
    for page in sorted(docs.rglob("*.md")):
        if page != index and page not in listed and not listed & set(page.parents):
            yield 1, f"does not list {page.relative_to(docs)}"


def sections(text):
    """Heading of the second level to what is below it, in order."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def guide(page, template):
    wanted = list(sections(template.read_text(encoding="utf-8")))
    found = sections(page.read_text(encoding="utf-8"))
    if list(found) != wanted:
        yield 1, f"its sections are {', '.join(found)}; those of the template are {', '.join(wanted)}"
    for name, below in found.items():
        inside = re.sub(r"<!--.*?-->", "", below, flags=re.DOTALL).strip()
        if not inside:
            yield 1, f"{name} has nothing in it"
        needs = EXPECTED if name == "Telemetry to expect" else (WANTED.get(name, ""),)
        for part in needs:
            if part not in inside:
                yield 1, f"{name} has no {part}"


def problems(root):
    docs, found = root / "docs", []
    for page in pages(root):
        told = list(broken(page))
        if page == docs / "README.md":
            told += unlisted(docs)
        if page.parent == docs / "guides":
            told += guide(page, docs / "_TEMPLATE.md")
        found += [{"file": str(page.relative_to(root)), "line": number, "says": says} for number, says in told]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of text")
    parser.add_argument(
        "--root", type=Path, default=ROOT, metavar="DIR", help="of another tree that has docs/README.md and docs/_TEMPLATE.md"
    )
    given = parser.parse_args()
    for name in ("README.md", "_TEMPLATE.md"):
        if not (given.root / "docs" / name).is_file():
            parser.error(f"--root: {given.root} has no docs/{name}")
    root = given.root.resolve()
    found = problems(root)
    if given.json:
        print(json.dumps({"ok": not found, "pages": len(pages(root)), "problems": found}, indent=2))
    else:
        for problem in found:
            print(f"{problem['file']}:{problem['line']}: {problem['says']}")
        print(f"{len(pages(root))} pages, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
