#!/usr/bin/env python3
"""Writes the rules with shorter times, so that a test need not wait for an hour.

    shorten.py --factor 60 --output DIR          5m becomes 5s, `for: 2m` becomes 2s, names and thresholds stay

Ranges and `for` are divided by the factor. No range is made shorter than --shortest, which should be at least four times the
scrape interval. Exit code 0: written, their names are printed. 2: bad usage."""

import argparse
import math
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
DURATION = r"(?:\d+[smhdw])+"
RANGE = re.compile(rf"\[({DURATION})(?::({DURATION})?)?\]")
FOR = re.compile(rf"^([ \t]*(?:for|keep_firing_for):[ \t]*)({DURATION})[ \t]*$", re.MULTILINE)


def seconds(text):
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([smhdw])", text))


def shortened(text, factor, shortest):
    """The text of a rule file with its times divided by the factor."""

    def window(found):
        short = max(shortest, math.ceil(seconds(found[1]) / factor))
        step = f":{max(1, math.ceil(seconds(found[2]) / factor))}s" if found[2] else ":" if ":" in found[0] else ""
        return f"[{short}s{step}]"

    text = RANGE.sub(window, text)
    return FOR.sub(lambda found: f"{found[1]}{math.ceil(seconds(found[2]) / factor)}s", text)


def positive(text):
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not number >= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return number


def duration(text):
    if not re.fullmatch(DURATION, text):
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 8s or 1m")
    return seconds(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factor", type=positive, required=True, help="by which times are divided, such as 60")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder that gets the files; made where it is missing")
    parser.add_argument("--rules", type=Path, default=HERE / "rules", metavar="DIR", help="folder of the rules (default: rules)")
    parser.add_argument("--shortest", type=duration, default=8, metavar="TIME", help="of a range (default: 8s)")
    given = parser.parse_args()
    files = sorted(given.rules.glob("*.yaml"))
    if not files:
        parser.error(f"--rules: {given.rules} has no *.yaml")
    if given.output.resolve() == given.rules.resolve():
        parser.error("--output: is the folder of the rules themselves")
    given.output.mkdir(parents=True, exist_ok=True)
    for path in files:
        (given.output / path.name).write_text(shortened(path.read_text(encoding="utf-8"), given.factor, given.shortest), encoding="utf-8")
        print(given.output / path.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
