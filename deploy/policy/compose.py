"""deploy/compose.yaml: is it what the Compose Specification says, and is everything there that it names?"""

import re

import yaml
from compose_spec import PyCompose

from .configuration import key_of, keys
from .repository import DEPLOY, ROOT, SERVICES, read

FILE = "deploy/compose.yaml"
# what is up in the minimal profile; the jobs have ended by then
JOBS = {"migrate", "seed", "topics"}
# whose healthcheck depends_on may wait for
DEFAULT = re.compile(r"\$\{[A-Z_]+:-([^}]*)\}")


def load(text: str | None = None) -> dict:
    """The file with its merges done and its variables at their defaults."""
    return yaml.safe_load(DEFAULT.sub(r"\1", text if text is not None else read(FILE)))


def mistakes(tree: dict) -> list[str]:
    """What the specification does not know, and names of volumes, networks, configs and secrets that nobody declares."""
    try:
        compose = PyCompose.from_yaml(yaml.safe_dump({key: value for key, value in tree.items()}, sort_keys=False))
        compose.validate()
    except ValueError as error:
        return [str(error)]
    return []


def references(tree: dict) -> list[str]:
    """Services, files on disk, build targets, ports and profiles that are named and are not there."""
    services, wrong = tree["services"], []
    targets = set(re.findall(r"^FROM \S+ AS (\S+)", read("deploy/Dockerfile"), re.MULTILINE))
    published = [port.rsplit(":", 1)[0] for service in services.values() for port in service.get("ports", [])]
    wrong += [f"{port} is published twice" for port in {p for p in published if published.count(p) > 1}]
    wrong += [f"{port} is published beyond this machine" for port in published if not port.startswith("127.0.0.1:")]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            if other not in services:
                wrong.append(f"{name} depends on {other}, which is none")
                continue
            there = services[other]
            if how["condition"] == "service_healthy" and "healthcheck" not in there:
                wrong.append(f"{name} waits for {other} to be healthy, which has no healthcheck")
            if how["condition"] == "service_completed_successfully" and there.get("restart", "no") not in ("no", False):
                wrong.append(f"{name} waits for {other} to end, which is started again")
            if not set(there.get("profiles", [])) <= set(service.get("profiles", [])):
                wrong.append(f"{name} depends on {other}, which another profile has")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith(".") and not (DEPLOY / source).exists():
                wrong.append(f"{name} mounts {source}, which is not there")
            if source[0] not in "./" and source not in tree["volumes"]:
                wrong.append(f"{name} mounts the volume {source}, which nobody declares")
        build = service.get("build")
        if build:
            if build["target"] not in targets:
                wrong.append(f"{name} builds {build['target']}, which deploy/Dockerfile does not have")
            if (DEPLOY / build["context"]).resolve() != ROOT or not (ROOT / build["dockerfile"]).is_file():
                wrong.append(f"{name} builds {build['context']}, {build['dockerfile']}")
        tag = service["image"].rsplit("/", 1)[-1].partition(":")[2]
        if not any(character.isdigit() for character in tag):
            wrong.append(f"{name}: {service['image']} has no version")
    return wrong


def neighbours(tree: dict) -> list[str]:
    """NAME:PORT in variables and commands that is no service of the file."""
    wrong = []
    for name, service in tree["services"].items():
        texts = [str(value) for value in (service.get("environment") or {}).values()] + [str(part) for part in service.get("command") or []]
        for text in texts:
            for host, _ in re.findall(r"(?:^|://|@|,|=)([a-z][a-z0-9-]*):(\d{2,5})(?=$|[/,?])", text):
                if host not in tree["services"]:
                    wrong.append(f"{name} speaks to {host}, which is no service")
    return wrong


def settings(tree: dict) -> list[str]:
    """THROUGHLINE_ variables that the program of a service does not read."""
    wrong = []
    for name, service in tree["services"].items():
        program = "db" if name in ("migrate", "seed") else name
        if program not in (*SERVICES, "topics", "db"):
            continue
        wrong += [f"{name} reads no {v}" for v in service.get("environment", {}) if v.startswith("THROUGHLINE_") and key_of(v) not in keys(program)]
    return wrong


def hardened(tree: dict) -> list[str]:
    """Our own services keep what Kubernetes asks of them: no writable root, no capabilities, a limit of memory; all have that."""
    wrong = [f"{name} has no mem_limit" for name, service in tree["services"].items() if "mem_limit" not in service]
    for name, service in tree["services"].items():
        if service["image"].startswith("throughline/") and not (service.get("read_only") and service.get("cap_drop") == ["ALL"]):
            wrong.append(f"{name} may write into its image, or has capabilities")
        if service.get("privileged") and name != "obi":
            wrong.append(f"{name} is privileged")
    return wrong


def connections(tree: dict) -> list[str]:
    """The pools of all services, in mode ebpf too, and Postgres' max_connections."""
    held = 0
    for name in ("auth", "catalog-cache", "orders", "notification", "analytics"):
        told = tree["services"][name]["environment"]
        pool = int(told["THROUGHLINE_DATABASE__POOL_SIZE"])
        threads = int(told["THROUGHLINE_RUNTIME__THREADS"]) + int(told["THROUGHLINE_RUNTIME__MAX_STREAMS"])
        held += pool + (max(pool, threads) if name in ("auth", "catalog-cache", "orders") else 0)
    most = int(next(part.split("=")[1] for part in tree["services"]["postgres"]["command"] if part.startswith("max_connections=")))
    return [] if held + 6 <= most else [f"{held} connections and 6 reserved, and Postgres has {most}"]


def memory(tree: dict) -> dict[str, int]:
    """Sums of the limits in MiB: the mesh without jobs, the jobs, and each profile by itself."""
    sums = {"mesh": 0, "jobs": 0}
    for name, service in tree["services"].items():
        group = (service.get("profiles") or ["jobs" if name in JOBS else "mesh"])[0]
        sums[group] = sums.get(group, 0) + int(re.fullmatch(r"(\d+)m", service["mem_limit"])[1])
    return sums


def documented_memory() -> dict[str, int]:
    """The same from the table in docs/deploy.md."""
    return {group: int(mib) for group, mib in re.findall(r"^\| `(\w+)` \| (\d+) MiB", read("docs/deploy.md"), re.MULTILINE)}
