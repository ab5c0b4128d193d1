#!/usr/bin/env python3
"""Writes the dashboards of observability/grafana/dashboards from boards/ and parts/.

    generate.py            writes those that have changed
    generate.py --check    changes nothing; exit code 1 where a file is not what its source makes, or has no source

Python 3 with nothing beside it."""

import argparse
import importlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))

from parts.dashboard import BOARDS


def made():
    """File name to text, of all dashboards."""
    texts = {}
    for name in BOARDS:
        board = importlib.import_module("boards." + name.replace("-", "_")).board()
        texts[f"{name}.json"] = json.dumps(board, indent=2, ensure_ascii=False) + "\n"
    return texts


def drift(folder, texts):
    """What is wrong with the files of a folder, by name."""
    found = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.json"))}
    wrong = {name: "is missing" for name in texts.keys() - found.keys()}
    wrong |= {name: "has no source in boards/" for name in found.keys() - texts.keys()}
    wrong |= {name: "is not what its source makes" for name in texts.keys() & found.keys() if texts[name] != found[name]}
    return wrong


def main():
    parser = argparse.ArgumentParser(description="Writes the Grafana dashboards from their source.")
    parser.add_argument("--check", action="store_true", help="only compare; exit code 1 where a file differs")
    parser.add_argument("--output", type=Path, default=HERE / "dashboards", help="folder of the dashboards (default: dashboards)")
    arguments = parser.parse_args()
    if arguments.check and not arguments.output.is_dir():
        parser.error(f"--output: {arguments.output} is not a folder")
    texts = made()
    wrong = drift(arguments.output, texts)
    if arguments.check:
        for name, says in sorted(wrong.items()):
            print(f"{name} {says}: run observability/grafana/generate.py")
        return 1 if wrong else 0
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in sorted(wrong):
        if name in texts:
            (arguments.output / name).write_text(texts[name], encoding="utf-8")
        else:
            (arguments.output / name).unlink()
        print(f"{name} {'written' if name in texts else 'removed'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
