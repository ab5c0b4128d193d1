#!/usr/bin/env python3
"""Tests of the dashboards, and of check.py against a small Prometheus of its own that says what each test wants."""

import json
import subprocess
import sys
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))

import generate
from checks import logql, traceql
from checks.promql import Names

NEEDS = {"canary", "whole", "rules", "spans-lost", "alert", "day"}
SCENARIOS = {"error-spike", "connection-leak", "deadline-exceeded", "lost-context"}


class Dashboards(unittest.TestCase):
    def boards(self):
        for name, text in generate.made().items():
            yield name, json.loads(text)

    def test_files_are_what_their_source_makes(self):
        self.assertEqual(generate.drift(HERE / "dashboards", generate.made()), {})

    def test_a_file_that_differs_is_named_and_one_too_many_and_one_too_few(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in generate.made().items():
                (Path(folder) / name).write_text(text)
            (Path(folder) / "sql.json").write_text("{}\n")
            (Path(folder) / "http.json").unlink()
            (Path(folder) / "own.json").write_text("{}\n")
            said = run("generate.py", "--check", "--output", folder)
        self.assertEqual(said.returncode, 1)
        self.assertEqual([line.split()[0] for line in said.stdout.splitlines()], ["http.json", "own.json", "sql.json"])

    def test_panels_say_what_they_show_and_do_not_overlap(self):
        for name, board in self.boards():
            taken = set()
            for panel in board["panels"]:
                place = panel["gridPos"]
                cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
                self.assertFalse(cells & taken, f"{name}: {panel['title']} overlaps")
                self.assertLessEqual(place["x"] + place["w"], 24, f"{name}: {panel['title']}")
                taken |= cells
                if panel["type"] not in ("row", "text"):
                    self.assertTrue(panel["title"] and panel["description"] and panel["targets"], f"{name}: {panel['title']}")

    def test_titles_are_unique_within_a_row_and_ids_within_a_board(self):
        for name, board in self.boards():
            ids = [panel["id"] for panel in board["panels"]]
            self.assertEqual(len(ids), len(set(ids)), name)
            row = []
            for panel in board["panels"]:
                row = [] if panel["type"] == "row" else [*row, panel["title"]]
                self.assertEqual(len(row), len(set(row)), f"{name}: {row}")

    def test_what_panels_need_is_a_known_word(self):
        words = NEEDS | {f"scenario:{name}" for name in SCENARIOS}
        for name, board in self.boards():
            for panel in board["panels"]:
                for need in panel.get("needs", []):
                    self.assertLessEqual(set(need.split("|")), words, f"{name}: {panel['title']}")


class Languages(unittest.TestCase):
    def test_metrics_and_labels_of_promql(self):
        names = Names(
            'label_replace(sum by (le, a) (rate(x_bucket{b="c{,", d!~"e"}[5m:1m] offset 1h)) / on (f) group_left (g) y, "h", "$1", "i", "") > bool 1'
        )
        self.assertEqual(names.selectors, [("x_bucket", {"b", "d"}), ("y", set())])
        self.assertEqual((names.grouped, names.made), ({"le", "a", "f", "g"}, {"h"}))
        self.assertEqual(Names('max without (a) ({__name__="m", b="c"}) unless absent(n) or vector(0)').metrics(), {"m", "n"})

    def test_traceql(self):
        right = (
            "{}",
            "{ status = error && duration > 1.5s }",
            '{ .a != nil } >> { span.b =~ "c.*" } | count() > 3',
            "{ (kind = server || kind = consumer) && nestedSetParent < 0 }",
        )
        for query in right:
            traceql.Query(query)
        wrong = (
            "",
            "{",
            "{ status error }",
            '{ a = "b" }',
            '{ span.a = "b" } | counts() > 1',
            '{ span.a = "b" && }',
            '{ span.a = "b" } }',
            "{ duration > }",
            "{ span.a ! 3 }",
        )
        for query in wrong:
            with self.assertRaises(traceql.Wrong, msg=query):
                traceql.Query(query)

    def test_tags_are_made_of_what_tags_can_say(self):
        def tags(query):
            return traceql.as_tags(traceql.Query(query))

        self.assertEqual(tags('{ span.a = "b" && duration > 5ms }'), {"limit": 20, "minDuration": "5ms", "tags": "a=b"})
        self.assertEqual(tags("{ kind = consumer && status = error }"), {"limit": 20, "tags": "span.kind=consumer error=true"})
        for query in ("{}", '{ span.a = "b" || span.c = "d" }', "{ span.a > 3 }", '{ span.a = "b" } | count() > 1'):
            self.assertIsNone(tags(query), query)

    def test_logql(self):
        self.assertEqual(logql.parse('{a="b", c=~"d|e"} |= "x" |~ "(?i)y" | json | level = "WARN" and n > 5'), {"a", "c"})
        for query in ("", "{}", "{a=b}", '{a=~".*"}', '{a!="b"}', '{a="b"} | ', '{a="b"} |= x', '{a="b"} | jsn', '{a="b"} |~ "("'):
            with self.assertRaises(logql.Wrong, msg=query):
                logql.parse(query)


class Check(unittest.TestCase):
    """A board of one panel, and what check.py says about it."""

    def check(self, expression, *more, known=("good", "empty"), needs=None):
        panel = {
            "type": "stat",
            "title": "The panel",
            "targets": [{"datasource": {"type": "prometheus"}, "expr": expression, "instant": False}],
        }
        if needs:
            panel["needs"] = needs
        with Answers(known) as url, tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "one.json").write_text(json.dumps({"uid": "one", "panels": [panel]}))
            return run("check.py", "--prometheus", url, "--dashboards", folder, *more)

    def test_a_panel_with_data_is_fine(self):
        said = self.check("sum by (job) (rate(good[$__rate_interval]))")
        self.assertEqual((said.returncode, said.stderr), (0, ""), said.stdout)
        self.assertIn("1 queries: 1 with data", said.stdout)

    def test_an_empty_panel_is_told(self):
        said = self.check("empty")
        self.assertEqual(said.returncode, 1)
        self.assertIn("one / The panel: no data", said.stdout)

    def test_an_empty_panel_may_be_empty_until_what_it_needs_is_on(self):
        needs = ["scenario:a|scenario:b", "canary"]
        self.assertEqual(self.check("empty", needs=needs).returncode, 0)
        self.assertEqual(self.check("empty", "--on", "canary", needs=needs).returncode, 0)
        self.assertEqual(self.check("empty", "--on", "canary", "--on", "scenario:b", needs=needs).returncode, 1)

    def test_unknown_metrics_and_labels_and_wrong_queries_are_told(self):
        for expression, says in (
            ("invented", "unknown metric invented"),
            ('good{colour="red"}', "unknown label colour of good"),
            ("sum by (colour) (good)", "unknown label colour"),
            ("sum(good", "bad query: 400"),
        ):
            said = self.check(expression)
            self.assertEqual(said.returncode, 1, expression)
            self.assertIn(says, said.stdout)

    def test_json_has_the_same(self):
        said = json.loads(self.check("empty", "--json").stdout)
        self.assertEqual((said["ok"], said["empty"], said["problems"][0]["panel"]), (False, 1, "The panel"))

    def test_what_cannot_be_meant_is_2_and_no_server_is_1(self):
        for arguments in (
            (),
            ("--prometheus", "nowhere"),
            ("--prometheus", "http://127.0.0.1:1", "--only", "nothing"),
            ("--prometheus", "http://127.0.0.1:1", "--on", "canarry"),
            ("--prometheus", "http://127.0.0.1:1", "--range", "5x"),
        ):
            said = run("check.py", *arguments)
            self.assertEqual((said.returncode, said.stdout), (2, ""), arguments)
        said = run("check.py", "--prometheus", "http://127.0.0.1:1")
        self.assertEqual(said.returncode, 1)
        self.assertIn("http://127.0.0.1:1", said.stderr)


class Answers:
    """A Prometheus with the given metrics; `good` has numbers, all others have none."""

    def __init__(self, known):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked = urlsplit(self.path)
                query = parse_qs(asked.query).get("query", [""])[0]
                series = [{"metric": {}, "value": [0, "1"], "values": [[0, "NaN"], [1, "1"]]}] if "good" in query else []
                data = {"__name__/values": list(known), "labels": ["__name__", "job"], "rules": {"groups": []}}.get(
                    asked.path.removeprefix("/api/v1/").removeprefix("label/"), {"resultType": "matrix", "result": series}
                )
                wrong = query.count("(") != query.count(")")
                body = json.dumps(
                    {"status": "error", "error": "unclosed left parenthesis"} if wrong else {"status": "success", "data": data}
                )
                self.send_response(400 if wrong else 200)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}"

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def run(script, *arguments):
    return subprocess.run([sys.executable, HERE / script, *arguments], capture_output=True, text=True, check=False)


if __name__ == "__main__":
    unittest.main()
