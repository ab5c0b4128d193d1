"""Rules about what services are told."""

from . import configuration
from .cluster import all_containers, environment, expanded, title
from .configuration import key_of, keys

BY_IMAGE = {"gateway": "gateway", "auth": "auth", "catalog-cache": "catalog-cache", "orders": "orders", "db": "db"}


def program(container) -> str | None:
    """Which of our programs a container runs."""
    image = container["image"].partition(":")[0].rsplit("/", 1)[-1]
    if image == "events":
        return (container.get("command") or container.get("args") or ["dispatch"])[0]
    return BY_IMAGE.get(image)


def told(objects):
    """(workload, program, variables) of every container that runs a program of ours."""
    for workload, container in all_containers(objects):
        if program(container):
            variables = environment(objects, workload, container)
            yield workload, program(container), {k: v for k, v in variables.items() if k.startswith("THROUGHLINE_")}, variables


def every_key_is_read(objects):
    """Every THROUGHLINE_ variable of a container, from a ConfigMap or its own, is a key that its program reads."""
    return [
        f"{title(workload)}: {service} reads no {variable}"
        for workload, service, ours, _ in told(objects)
        for variable in ours
        if key_of(variable) not in keys(service)
    ]


def every_key_is_documented(objects):
    """What is set here, docs/configuration.md has."""
    documented = configuration.documented()
    return sorted({f"{variable} is not in {configuration.PAGE}" for _, _, ours, _ in told(objects) for variable in ours if variable not in documented})


def every_map_is_used(objects):
    """No ConfigMap of settings is there for nobody."""
    used = set()
    for workload, container in all_containers(objects):
        used |= {(workload["metadata"].get("namespace"), s["configMapRef"]["name"]) for s in container.get("envFrom", []) if "configMapRef" in s}
        spec = workload["spec"].get("jobTemplate", workload)["spec"]["template"]["spec"]
        used |= {(workload["metadata"].get("namespace"), v["configMap"]["name"]) for v in spec.get("volumes", []) if "configMap" in v}
    return [
        f"{title(found)} is used by nobody"
        for found in objects
        if found["kind"] == "ConfigMap" and (found["metadata"].get("namespace"), found["metadata"]["name"]) not in used
    ]


def accepted(objects, mail: str):
    """What each built service says of the variables that it gets here, secrets replaced; nothing where all is well."""
    wrong = []
    for workload, service, ours, variables in told(objects):
        if service in configuration.SERVICES:
            given = {k: expanded(v, variables) if v else "a-secret-of-more-than-32-characters-1" for k, v in ours.items()}
            if given.get("THROUGHLINE_MAIL__TRANSPORT") == "smtp":
                given["THROUGHLINE_MAIL__SMTP_URL"] = "smtp://mail.example.org:587"
            if "THROUGHLINE_MAIL__DIRECTORY" in given:
                given["THROUGHLINE_MAIL__DIRECTORY"] = mail
            done = configuration.printed(service, given)
            if done.returncode != 0:
                wrong.append(f"{title(workload)}: {done.stderr.strip()}")
    return wrong


RULES = [every_key_is_read, every_key_is_documented, every_map_is_used]
