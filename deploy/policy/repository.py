"""Where things are, and how they are read."""

import functools
import os
import pathlib
import pickle
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
OBSERVABILITY = ROOT / "observability"
OVERLAYS = ("dev", "dev-sdk", "staging", "prod")
SERVICES = ("gateway", "auth", "catalog-cache", "orders", "dispatch", "notification", "analytics")


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def load(path: str):
    return yaml.safe_load(read(path))


@functools.cache
def rendered(path: str) -> str:
    """What `kubectl kustomize` makes of a folder below deploy/k8s."""
    command = ["kubectl", "kustomize", str(DEPLOY / "k8s" / path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{path} does not render: {done.stderr.strip()}")
    return done.stdout


@functools.cache
def _parsed(path: str) -> bytes:
    # the loader in C is ten times as fast
    return pickle.dumps([found for found in yaml.load_all(rendered(path), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if found])


def objects(path: str) -> list[dict]:
    """The objects of a rendered folder, new ones at each call: tests change them."""
    return pickle.loads(_parsed(path))


def overlay(name: str) -> list[dict]:
    return objects(f"overlays/{name}")


def binaries() -> pathlib.Path | None:
    """The folder with the built services, where there is one."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release"
    return target if all((target / name).is_file() for name in SERVICES) else None
