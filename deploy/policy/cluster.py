"""What the rules ask about rendered objects."""

import re

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")
NAME = "app.kubernetes.io/name"


def of_kind(objects, *kinds):
    return [found for found in objects if found["kind"] in kinds]


def name(found) -> str:
    return found["metadata"]["name"]


def namespace(found) -> str:
    return found["metadata"].get("namespace", "")


def title(found) -> str:
    return f"{found['kind']} {name(found)}"


def template(workload) -> dict:
    spec = workload["spec"]
    return spec["jobTemplate"]["spec"]["template"] if workload["kind"] == "CronJob" else spec["template"]


def pod(workload) -> dict:
    return template(workload)["spec"]


def labels(workload) -> dict:
    return template(workload).get("metadata", {}).get("labels", {})


def app(workload) -> str:
    return labels(workload).get(NAME, "")


def containers(workload):
    spec = pod(workload)
    return spec.get("initContainers", []) + spec["containers"]


def workloads(objects):
    return of_kind(objects, *WORKLOADS)


def all_containers(objects):
    """Every container with its workload."""
    return [(workload, container) for workload in workloads(objects) for container in containers(workload)]


def selects(selector: dict, pod_labels: dict) -> bool:
    return all(pod_labels.get(key) == value for key, value in selector.items())


def environment(objects, workload, container) -> dict[str, str]:
    """The variables of a container: of its ConfigMaps, then its own. A value from elsewhere is None."""
    maps = {(namespace(found), name(found)): found.get("data", {}) for found in of_kind(objects, "ConfigMap")}
    variables = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            variables |= maps.get((namespace(workload), source["configMapRef"]["name"]), {})
    for entry in container.get("env", []):
        variables[entry["name"]] = entry.get("value")
    return variables


def expanded(text: str, variables: dict) -> str:
    """$(NAME) as Kubernetes puts it in."""
    return re.sub(r"\$\(([A-Z0-9_]+)\)", lambda found: variables.get(found[1]) or f"value-of-{found[1].lower()}", text)


def hosts(text: str) -> set[tuple[str, int]]:
    """NAME:PORT of neighbours in a setting: no addresses, no names with dots but those of this cluster."""
    found = re.findall(r"(?:^|://|@|,|=)([a-z][a-z0-9-]*)(?:\.[a-z0-9-]+\.svc)?:(\d{2,5})(?=$|[/,?\s])", text)
    return {(host, int(port)) for host, port in found}


BYTES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "m": 1e-3, "": 1}


def quantity(text) -> float:
    """A number as Kubernetes writes it: 500m, 64Mi, 2."""
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(text)).groups()
    return float(number) * BYTES[unit]
