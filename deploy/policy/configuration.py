"""What each service can be told, read from the structs that it reads it into; docs/configuration.md is made of it.

`python3 -m policy.configuration --write` writes the page (from deploy/, with the services built, whose defaults it shows).
"""

import functools
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

from .repository import ROOT, SERVICES, binaries, read

PAGE = "docs/configuration.md"
ROOTS = {
    **{service: f"{service}/src/config.rs" for service in ("gateway", "auth", "catalog-cache", "orders")},
    **{service: f"events/src/{service}.rs" for service in ("dispatch", "notification", "analytics")},
    "topics": "events/src/topics/job.rs",
}
# `db` reads these by themselves: db/src/cli.rs and db/src/roles.rs
DB = {"database.url": "who to sign in as, an administrator, and where"} | {
    f"roles.{role}": f"password that the role `throughline_{role}` gets" for role in ("auth", "catalog", "orders", "notification", "analytics")
}
STRUCT = re.compile(r"pub(?:\(crate\))? struct (\w+) \{\n(.*?)\n\}", re.DOTALL)
FIELD = re.compile(r"((?:^ +(?:///|#\[).*\n)*)^ +pub(?:\(crate\))? (\w+): ([\w<>:]+),", re.MULTILINE)


@functools.cache
def structs() -> dict[str, list[tuple[str, str]]]:
    """Bodies of all structs by name, each with its file."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(ROOT.glob("*/src/**/*.rs")) + sorted(ROOT.glob("observability/telemetry/src/**/*.rs")):
        for struct in STRUCT.finditer(path.read_text(encoding="utf-8")):
            found.setdefault(struct[1], []).append((str(path.relative_to(ROOT)), struct[2]))
    return found


def _body(name: str, file: str) -> tuple[str, str] | None:
    """The struct that `name` means in `file`: its own, or the only one whose name ends with Config or that is a known part."""
    candidates = structs().get(name, [])
    own = [candidate for candidate in candidates if candidate[0] == file]
    return (own or candidates or [None])[0]


def _walk(name: str, file: str, prefix: str) -> dict[str, str]:
    keys: dict[str, str] = {}
    where, body = _body(name, file)
    for field in FIELD.finditer(body + "\n"):
        comment = " ".join(line.strip().removeprefix("///").strip() for line in field[1].splitlines() if "///" in line)
        key, kind = f"{prefix}{field[2]}", field[3].rsplit("::", 1)[-1]
        if "serde(flatten)" in field[1]:
            keys |= _walk(kind, where, prefix)
        elif kind not in ("Secret", "String", "PathBuf") and "<" not in kind and (known := _body(kind, where)) and FIELD.search(known[1] + "\n"):
            keys |= _walk(kind, where, f"{key}.")
        else:
            keys[key] = re.sub(r"\[`?([^\]`]*)`?\](\([^)]*\))?", r"\1", comment)
    return keys


@functools.cache
def keys(service: str) -> dict[str, str]:
    """Every key that a service reads, with what it means."""
    return DB if service == "db" else _walk("Config", ROOTS[service], "")


def variable(key: str) -> str:
    return "THROUGHLINE_" + key.upper().replace(".", "__")


def key_of(name: str) -> str:
    return name.removeprefix("THROUGHLINE_").lower().replace("__", ".")


# What has no default that would do: enough to make `--print-config` answer.
LEAST = {
    "THROUGHLINE_DATABASE__URL": "postgres://user:password@127.0.0.1/throughline",
    "THROUGHLINE_JWT__SECRET": "0123456789abcdef0123456789abcdef",
}


def printed(service: str, variables: dict[str, str]) -> subprocess.CompletedProcess:
    """What the built service says of its settings under these variables alone."""
    environment = {"PATH": os.environ.get("PATH", ""), **variables}
    return subprocess.run([binaries() / service, "--print-config"], env=environment, capture_output=True, text=True, check=False)


def flat(tree: dict, prefix: str = "") -> dict[str, object]:
    leaves: dict[str, object] = {}
    for key, value in tree.items():
        leaves |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return leaves


@functools.cache
def defaults(service: str) -> dict[str, object]:
    """The defaults as the built service prints them."""
    with tempfile.TemporaryDirectory() as mail:
        variables = {name: value for name, value in LEAST.items() if key_of(name) in keys(service)}
        if service == "notification":
            variables["THROUGHLINE_MAIL__DIRECTORY"] = mail
        done = printed(service, variables)
    if done.returncode != 0:
        raise AssertionError(f"{service} --print-config: {done.stderr}")
    values = flat(tomllib.loads(done.stdout))
    shown = {key_of(name) for name in LEAST} | {"mail.directory"}
    return {key: value for key, value in values.items() if key not in shown}


def _default(value) -> str:
    text = "true" if value is True else "false" if value is False else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"`{text}`" if text else "-"


def page() -> str:
    """docs/configuration.md: what all services share, then what each has of its own."""
    shared = set.intersection(*(set(keys(service)) for service in SERVICES))
    text = """# Configuration

Everything that a service can be told. A key such as `database.url` is set by the variable `THROUGHLINE_DATABASE__URL` or, below that, by
a TOML file (`--config FILE`); lists are separated by commas in a variable. Times are in the unit at the end of the key. A wrong value ends the
service with exit code 2 and a message that names every mistake; `SERVICE --print-config` shows what holds, secrets masked.
`telemetry.*` also follows OpenTelemetry's own variables ([sampling.md](sampling.md)).

This page is made from the sources and the built services (`python3 -m policy.configuration --write` in `deploy/`); a test fails where it differs.
"""
    sections = [("All services", sorted(shared), "gateway")]
    sections += [(f"`{service}`", sorted(set(keys(service)) - shared), service) for service in (*SERVICES, "topics")]
    for title, rows, service in sections:
        values = defaults("gateway" if service == "topics" else service)
        text += f"\n## {title}\n\n| variable | default | what it is |\n|---|---|---|\n"
        for key in rows:
            # the admin port differs, and the job has its own few
            default = "-1" if service == "topics" and key.startswith("topics.") else values.get(key, defaults("dispatch").get(key, ""))
            if title == "All services" and key == "admin.address":
                default = "127.0.0.1 and a port of its own, 9100 to 9106"
            text += f"| `{variable(key)}` | {_default(default)} | {keys(service)[key]} |\n"
    text += "\n## `db`\n\n| variable | default | what it is |\n|---|---|---|\n"
    return text + "".join(f"| `{variable(key)}` | - | {meaning} |\n" for key, meaning in DB.items())


def documented() -> set[str]:
    """Variables that the page has."""
    return set(re.findall(r"^\| `(THROUGHLINE_\w+)` \|", read(PAGE), re.MULTILINE))


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python3 -m policy.configuration --write")
    if binaries() is None:
        sys.exit("build first: cargo build --release --workspace")
    pathlib.Path(ROOT / PAGE).write_text(page(), encoding="utf-8")
