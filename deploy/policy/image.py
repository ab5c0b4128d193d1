"""deploy/Dockerfile without an engine: is all in its context that building reads, and is what it copies what its steps make?"""

import fnmatch
import json
import pathlib
import re
import shutil
import subprocess
import tempfile

from .repository import ROOT, read


def instructions(text: str) -> list[tuple[str, str]]:
    """(instruction, rest) of a Dockerfile, continued lines joined."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    return [(line.split(None, 1)[0].upper(), line.split(None, 1)[1]) for line in joined.splitlines() if line.strip()]


def _ignored(path: str, patterns: list[str]) -> bool:
    """Whether .dockerignore leaves a file out: the last pattern that fits it, or a folder above it, decides."""
    out = False
    parts = path.split("/")
    above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    for pattern in patterns:
        keep, bare = pattern.startswith("!"), pattern.lstrip("!").strip("/")
        wild = bare.removeprefix("**/")
        for candidate in above:
            fits = fnmatch.fnmatchcase(candidate, bare) or (bare.startswith("**/") and fnmatch.fnmatchcase(candidate.rsplit("/", 1)[-1], wild))
            if fits:
                out = not keep
    return out


def context() -> list[str]:
    """Files of the repository that a build gets."""
    patterns = [line for line in read(".dockerignore").splitlines() if line and not line.startswith("#")]
    command = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    return [path for path in listed.stdout.splitlines() if (ROOT / path).is_file() and not _ignored(path, patterns)]


def lay_out(folder: pathlib.Path) -> None:
    """The context as `COPY . .` would have it."""
    for path in context():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target)


def missing_includes(folder: pathlib.Path) -> list[str]:
    """include_str!, include_bytes! and embed_migrations! outside of tests that name what the context does not have."""
    wrong = []
    for source in sorted(folder.rglob("*.rs")):
        text = source.read_text(encoding="utf-8")
        text = text.split("#[cfg(test)]\nmod tests {")[0]
        if source.stem in ("tests", "keys") or "/tests/" in str(source):
            continue
        crate = next(parent for parent in source.parents if (parent / "Cargo.toml").is_file())
        for kind, name in re.findall(r'(include_str|include_bytes|embed_migrations)!\("([^"]+)"\)', text):
            path = (crate if kind == "embed_migrations" else source.parent) / name
            if not path.exists():
                wrong.append(f"{source.relative_to(folder)} includes {name}")
    return wrong


def workspace(folder: pathlib.Path) -> subprocess.CompletedProcess:
    """What cargo makes of the context: reads every manifest, and wants every target's file."""
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1", "--offline"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def programs(folder: pathlib.Path) -> set[str]:
    """Names of the binaries that the workspace of a folder has."""
    done = workspace(folder)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    packages = json.loads(done.stdout)["packages"]
    return {target["name"] for package in packages for target in package["targets"] if "bin" in target["kind"]}


def shipped() -> set[str]:
    """What build.sh collects."""
    return set(subprocess.run([ROOT / "deploy/image/build.sh", "names"], capture_output=True, text=True, check=True).stdout.split())


def copied() -> set[str]:
    """Binaries that the final images copy."""
    return set(re.findall(r"/out/usr/local/bin/([a-z-]+)", read("deploy/Dockerfile")))


def final_stages() -> dict[str, list[tuple[str, str]]]:
    """The images by name: the stages that stand on `base`."""
    stages, name = {}, None
    for instruction, rest in instructions(read("deploy/Dockerfile")):
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            name = name.strip() if base == "base" else None
        if name:
            stages.setdefault(name, []).append((instruction, rest))
    return stages


def temporary():
    return tempfile.TemporaryDirectory(prefix="throughline-image-")
