#!/usr/bin/env python3
"""Runs every query of every dashboard against a Prometheus that scrapes the mesh, and says which panels are empty.

A panel without data is an error, unless it says what it `needs`: a failure, a scenario, the canary, the rules. `--on WORD` says
that this is the case now, and then the panel has to have data as well. docs/dashboards.md has the words.

Exit code 0: all panels have what they should. 1: some have not, or a server does not answer. 2: bad usage."""

import argparse
import json
import re
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))

from checks import boards, server
from checks.run import Run

DOCS = HERE.parent.parent / "docs"
DURATION = re.compile(r"([1-9]\d*)(s|m|h)")
SECONDS = {"s": 1, "m": 60, "h": 3600}


def duration(text):
    found = DURATION.fullmatch(text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 30s, 5m or 1h")
    return int(found[1]) * SECONDS[found[2]]


def url(text):
    if not re.match(r"https?://[^/]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no URL such as http://127.0.0.1:9090")
    return text


def folder(text):
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no folder")
    return Path(text)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", type=url, required=True, metavar="URL", help="base of its API")
    parser.add_argument("--dashboards", type=folder, default=HERE / "dashboards", metavar="DIR", help="their folder (default: dashboards)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only this dashboard, such as sql; may be given again")
    parser.add_argument("--tempo", type=url, metavar="URL", help="base of Tempo's API: exemplars have to lead to traces that it knows")
    parser.add_argument(
        "--on", action="append", default=[], metavar="WORD", help="what is the case now, such as canary or scenario:error-spike"
    )
    parser.add_argument("--range", type=duration, default=300, metavar="TIME", help="how far back to look (default: 5m)")
    parser.add_argument("--window", type=duration, default=60, metavar="TIME", help="what $__rate_interval is (default: 1m)")
    parser.add_argument("--wait", type=duration, default=0, metavar="TIME", help="until when to ask again while something is wrong")
    parser.add_argument("--without-exemplars", action="store_true", help="ask for no exemplars, as where nobody makes spans")
    parser.add_argument(
        "--metrics",
        type=Path,
        action="append",
        metavar="PAGE",
        help="pages with tables of metrics (default: docs/metrics.md, docs/verify.md)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document instead of text")
    given = parser.parse_args()
    known = {path.stem for path in given.dashboards.glob("*.json")}
    if not known:
        parser.error(f"--dashboards: {given.dashboards} has no *.json")
    for name in given.only:
        if name not in known:
            parser.error(f"--only: {name!r} is none of {', '.join(sorted(known))}")
    words = boards.words(given.dashboards)
    for word in given.on:
        if word not in words and not word.startswith("scenario:"):
            parser.error(f"--on: {word!r} is none of scenario:NAME, {', '.join(sorted(words))}")
    given.metrics = given.metrics or [DOCS / "metrics.md", DOCS / "verify.md"]
    for page in given.metrics:
        if not page.is_file():
            parser.error(f"--metrics: {page} is no file")
    return given


def once(given):
    end = time.time()
    step = max(1, given.range // 60)
    times = {"__rate_interval": f"{given.window}s", "__interval": f"{step}s", "__range": f"{given.range}s"}
    prometheus = server.Prometheus(given.prometheus, end - given.range, end, step)
    tempo = server.Tempo(given.tempo) if given.tempo else None
    run = Run(prometheus, tempo, boards.documented(given.metrics), set(given.on), not given.without_exemplars)
    paths = sorted(given.dashboards.glob("*.json"))
    everything = [boards.Board(path, times) for path in paths]
    for board in everything:
        if not given.only or board.name in given.only:
            run.board(board, {other.uid() for other in everything})
    run.rules()
    return run


def main():
    given = arguments()
    until = time.monotonic() + given.wait
    while True:
        try:
            run = once(given)
        except (server.Unreachable, server.Refused, boards.Bad) as problem:
            run, says = None, str(problem)
        if (run and not run.problems()) or time.monotonic() >= until:
            break
        time.sleep(2)
    if run is None:
        print(json.dumps({"error": says}) if given.json else f"check: {says}", file=sys.stdout if given.json else sys.stderr)
        return 1
    print(json.dumps(run.report(), indent=2) if given.json else run.text())
    return 1 if run.problems() else 0


if __name__ == "__main__":
    sys.exit(main())
