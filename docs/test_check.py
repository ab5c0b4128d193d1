#!/usr/bin/env python3
"""Tests of docs/check.py on small trees, and on this one."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
GUIDE = """# X
## Overview
Words.
## Telemetry to expect
```text
a trace
```
| a |
|---|
```promql
up
```
"""
TEMPLATE = "# NAME\n## Overview\n<!-- words -->\n## Telemetry to expect\n"


def check(**files):
    """Exit code and lines of a tree whose docs are right but for the files that are given."""
    tree = {
        "README.md": "[a](a.md) [t](_TEMPLATE.md) [x](guides/x.md)\n",
        "a.md": "# A b, `c`\n",
        "_TEMPLATE.md": TEMPLATE,
        "guides/x.md": GUIDE,
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (tree | files).items():
            path = Path(folder) / "docs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        said = subprocess.run([sys.executable, HERE / "check.py", "--root", folder], capture_output=True, text=True, check=False)
    return said.returncode, said.stdout.splitlines()[:-1]


class Check(unittest.TestCase):
    def test_a_tree_that_is_right(self):
        self.assertEqual(check(), (0, []))

    def test_links(self):
        good = "[up](README.md) [anchor](a.md#a-b-c) [own](#top) [out](https://example.org/x.md) `[no](link.md)`\n```\n[no](link.md)\n```\n# Top\n"
        self.assertEqual(check(**{"a.md": "# A b, `c`\n" + good}), (0, []))
        code, lines = check(**{"a.md": "\n[gone](gone.md)\n[none](README.md#none)\n"})
        self.assertEqual((code, [line.split(":")[1] for line in lines]), (1, ["2", "3"]))

    def test_a_page_that_the_index_does_not_list(self):
        self.assertEqual(check(**{"b.md": "# B\n"}), (1, ["docs/README.md:1: does not list b.md"]))

    def test_guides(self):
        for text, says in (
            (GUIDE.replace("## Overview", "## Other"), "its sections are"),
            (GUIDE.replace("Words.", "<!-- x -->"), "Overview has nothing in it"),
            (GUIDE.replace("promql", "text"), "Telemetry to expect has no ```promql"),
        ):
            code, lines = check(**{"guides/x.md": text})
            self.assertEqual(code, 1)
            self.assertIn(says, lines[0])

    def test_what_cannot_be_meant(self):
        said = subprocess.run([sys.executable, HERE / "check.py", "--root", "/nowhere"], capture_output=True, text=True, check=False)
        self.assertEqual((said.returncode, said.stdout), (2, ""))

    def test_this_tree(self):
        said = subprocess.run([sys.executable, HERE / "check.py"], capture_output=True, text=True, check=False)
        self.assertEqual(said.returncode, 0, said.stdout)


if __name__ == "__main__":
    unittest.main()
