#!/usr/bin/env python3
"""Tests the rules: promtool reads them, each alert fires and is silent where its tests say so, every alert has both kinds of
test and a runbook, and the shortened rules are rules as well. Needs promtool."""

import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))

import runbooks
import shorten

RULES = sorted((HERE / "rules").glob("*.yaml"))
TESTS = sorted((HERE / "tests").glob("*.yaml"))


def promtool(*arguments):
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)


class Rules(unittest.TestCase):
    def test_promtool_accepts_the_rules(self):
        said = promtool("check", "rules", *RULES)
        self.assertEqual(said.returncode, 0, said.stderr)

    def test_each_alert_fires_and_is_silent_where_it_should(self):
        said = promtool("test", "rules", *TESTS)
        self.assertEqual(said.returncode, 0, said.stdout + said.stderr)

    def test_every_alert_is_tested_both_ways(self):
        names = "\n".join(re.findall(r"^ {2}- name: '(.+)'$", "\n".join(path.read_text() for path in TESTS), flags=re.MULTILINE))
        for alert in runbooks.alerts(HERE / "rules"):
            self.assertRegex(names, rf"(?m)^{alert} fires: ")
            self.assertRegex(names, rf"(?m)^{alert} is silent: ")

    def test_every_alert_has_a_runbook(self):
        found = runbooks.problems(runbooks.ROOT / "docs" / "alerts.md", runbooks.alerts(HERE / "rules"))
        self.assertEqual(found, [])

    def test_a_section_too_many_and_one_too_few_are_told(self):
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "alerts.md"
            page.write_text("### Invented\n**Means.** **Look.** **Do.**\n")
            found = runbooks.problems(page, runbooks.alerts(HERE / "rules"))
        self.assertIn("Invented: has a section and is no alert", found)
        self.assertIn("DeadLetters: has no section", found)


class Shortened(unittest.TestCase):
    def test_times_are_divided_and_names_and_thresholds_stay(self):
        text = "      - record: a:rate5m\n        expr: rate(x[5m]) > 5 and y[1h:5m]\n        for: 2m\n"
        self.assertEqual(
            shorten.shortened(text, 60, 4), "      - record: a:rate5m\n        expr: rate(x[5s]) > 5 and y[60s:5s]\n        for: 2s\n"
        )
        self.assertIn("[30s]", shorten.shortened("rate(x[5m])", 60, 30))

    def test_promtool_accepts_the_shortened_rules(self):
        for factor in (2, 60, 600):
            with tempfile.TemporaryDirectory() as folder:
                for path in RULES:
                    text = shorten.shortened(path.read_text(), factor, 8)
                    self.assertNotEqual(text, path.read_text(), f"{path.name} has nothing to shorten")
                    (Path(folder) / path.name).write_text(text)
                said = promtool("check", "rules", *sorted(Path(folder).glob("*.yaml")))
                self.assertEqual(said.returncode, 0, said.stderr)


if __name__ == "__main__":
    if not shutil.which("promtool"):
        sys.exit("promtool is not in PATH: apt-get install --no-install-recommends prometheus")
    unittest.main()
