"""Rules about names: what one object says of another is there."""

import functools
import subprocess

import yaml

from .cluster import (
    all_containers, containers, environment, expanded, hosts, labels, name, namespace, of_kind, pod, selects, title, workloads,
)
from .image import final_stages
from .repository import DEPLOY

# What no file here makes: certificates of the ingress, the address of somebody's mail server, and whom a load test signs in as.
GIVEN_SECRETS = {"gateway-tls": {"tls.crt", "tls.key"}, "smtp": {"url"}, "k6-login": {"PASSWORD", "ADMIN_PASSWORD"}}
# Made by the cluster itself.
GIVEN_CONFIG_MAPS = {"kube-root-ca.crt"}


@functools.cache
def made_secrets() -> dict[str, set[str]]:
    """The Secrets that deploy/k8s/secrets.sh makes, and their keys."""
    text = subprocess.run([DEPLOY / "k8s/secrets.sh", "any"], capture_output=True, text=True, check=True).stdout
    return {secret["metadata"]["name"]: set(secret["stringData"]) for secret in yaml.safe_load_all(text) if secret}


def _uses(container):
    """(kind, name, key or None) of every ConfigMap and Secret that a container takes variables from."""
    for source in container.get("envFrom", []):
        for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if key in source:
                yield kind, source[key]["name"], None
    for entry in container.get("env", []):
        for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
            if key in entry.get("valueFrom", {}):
                yield kind, entry["valueFrom"][key]["name"], entry["valueFrom"][key]["key"]


def settings_are_there(objects):
    """Every ConfigMap and Secret that a pod names exists, with the key that it wants."""
    maps = {(namespace(found), name(found)): set(found.get("data", {})) for found in of_kind(objects, "ConfigMap")}
    secrets = made_secrets() | GIVEN_SECRETS
    wrong = []
    for workload in workloads(objects):
        used = [use for container in containers(workload) for use in _uses(container)]
        for volume in pod(workload).get("volumes", []):
            if "configMap" in volume:
                used.append(("ConfigMap", volume["configMap"]["name"], None))
            if "secret" in volume:
                used.append(("Secret", volume["secret"]["secretName"], None))
        for kind, wanted, key in used:
            known = maps.get((namespace(workload), wanted)) if kind == "ConfigMap" else secrets.get(wanted)
            if known is None and wanted not in GIVEN_CONFIG_MAPS:
                wrong.append(f"{title(workload)}: there is no {kind} {wanted}")
            elif key and key not in known:
                wrong.append(f"{title(workload)}: {kind} {wanted} has no key {key}")
    return wrong


def volumes_are_there(objects):
    """Every mount has its volume, and every volume is mounted."""
    wrong = []
    for workload in workloads(objects):
        declared = {volume["name"] for volume in pod(workload).get("volumes", [])}
        declared |= {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
        mounted = {mount["name"] for container in containers(workload) for mount in container.get("volumeMounts", [])}
        wrong += [f"{title(workload)}: volume {volume} is {'not mounted' if volume in declared else 'not declared'}" for volume in declared ^ mounted]
    return wrong


def services_lead_somewhere(objects):
    """A service selects pods, and its ports are ports of theirs; so do probes, StatefulSets and ingresses name what is there."""
    wrong = []
    services = {(namespace(found), name(found)): found for found in of_kind(objects, "Service")}
    for service in services.values():
        chosen = [w for w in workloads(objects) if namespace(w) == namespace(service) and selects(service["spec"]["selector"], labels(w))]
        if not chosen:
            wrong.append(f"{title(service)} selects no pod")
        for port in service["spec"]["ports"]:
            target = port.get("targetPort", port["port"])
            for workload in chosen:
                offered = [p for container in pod(workload)["containers"] for p in container.get("ports", [])]
                if not any(target in (p.get("name"), p["containerPort"]) for p in offered):
                    wrong.append(f"{title(service)}: {title(workload)} has no port {target}")
    for workload, container in all_containers(objects):
        offered = {known for p in container.get("ports", []) for known in (p.get("name"), p["containerPort"])}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            for how in ("httpGet", "tcpSocket", "grpc"):
                port = container.get(probe, {}).get(how, {}).get("port")
                if port and port not in offered:
                    wrong.append(f"{title(workload)}: {probe} asks port {port}, which {container['name']} does not have")
    for workload in of_kind(objects, "StatefulSet"):
        if (namespace(workload), workload["spec"]["serviceName"]) not in services:
            wrong.append(f"{title(workload)}: there is no service {workload['spec']['serviceName']}")
    for ingress in of_kind(objects, "Ingress"):
        for path in (path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]):
            wanted = path["backend"]["service"]
            service = services.get((namespace(ingress), wanted["name"]))
            if not service or wanted["port"].get("name") not in {port["name"] for port in service["spec"]["ports"]}:
                wrong.append(f"{title(ingress)}: there is no service {wanted['name']} with that port")
    return wrong


def neighbours_are_there(objects):
    """Every NAME:PORT in a variable or an argument is a service of the cluster with that port."""
    known = {(name(found), port["port"]) for found in of_kind(objects, "Service") for port in found["spec"]["ports"]}
    wrong = []
    for workload, container in all_containers(objects):
        variables = environment(objects, workload, container)
        texts = [value for value in variables.values() if value] + container.get("args", []) + container.get("command", [])
        for host, port in {found for text in texts for found in hosts(expanded(text, variables))}:
            if (host, port) not in known and (host.removesuffix("-brokers"), port) not in known:
                wrong.append(f"{title(workload)}: {container['name']} speaks to {host}:{port}, which no service is")
    return wrong


def our_images_are_built(objects):
    """An image of ours is a target of deploy/Dockerfile, and has the program that is to run."""
    stages = final_stages()
    wrong = []
    for workload, container in all_containers(objects):
        owner, _, target = container["image"].partition(":")[0].rpartition("/")
        if not owner.endswith("throughline"):
            continue
        if target not in stages:
            wrong.append(f"{title(workload)}: deploy/Dockerfile makes no {target}")
        elif container.get("command") and not any(f"/out/usr/local/bin/{container['command'][0]}" in text for _, text in stages[target]):
            wrong.append(f"{title(workload)}: {target} has no program {container['command'][0]}")
    return wrong


def maps_fit(objects):
    """A ConfigMap holds 1 MiB at most."""
    return [
        f"{title(found)} holds {size} bytes"
        for found in of_kind(objects, "ConfigMap")
        if (size := sum(len(value.encode()) for value in found.get("data", {}).values())) > 1_000_000
    ]


def headless_for_grpc(objects):
    """A service of gRPC is headless, so that clients see every pod."""
    return [
        f"{title(service)}: clusterIP is not None"
        for service in of_kind(objects, "Service")
        if any(port.get("name") == "grpc" for port in service["spec"]["ports"]) and service["spec"].get("clusterIP") != "None"
    ]


def accounts_are_there(objects):
    """Every account that a pod or a binding names exists, and every role."""
    accounts = {(namespace(found), name(found)) for found in of_kind(objects, "ServiceAccount")}
    roles = {(found["kind"], name(found)) for found in of_kind(objects, "Role", "ClusterRole")}
    wrong = []
    for workload in workloads(objects):
        account = pod(workload).get("serviceAccountName")
        if account and (namespace(workload), account) not in accounts:
            wrong.append(f"{title(workload)}: there is no account {account}")
    for binding in of_kind(objects, "RoleBinding", "ClusterRoleBinding"):
        for subject in binding["subjects"]:
            if (subject.get("namespace", namespace(binding)), subject["name"]) not in accounts:
                wrong.append(f"{title(binding)}: there is no account {subject['name']} in {subject.get('namespace')}")
        if (binding["roleRef"]["kind"], binding["roleRef"]["name"]) not in roles:
            wrong.append(f"{title(binding)}: there is no {binding['roleRef']['kind']} {binding['roleRef']['name']}")
    return wrong


def namespaces_are_there(objects):
    """Everything is in a namespace that comes along, or is cluster-wide; none is called default."""
    known = {name(found) for found in of_kind(objects, "Namespace")}
    cluster_wide = ("Namespace", "ClusterRole", "ClusterRoleBinding")
    return [f"{title(found)} is in {namespace(found) or 'no namespace'}" for found in objects
            if found["kind"] not in cluster_wide and namespace(found) not in known]


RULES = [settings_are_there, volumes_are_there, services_lead_somewhere, neighbours_are_there, our_images_are_built, maps_fit, headless_for_grpc,
         accounts_are_there, namespaces_are_there]
