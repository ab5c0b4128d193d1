"""Rules about numbers: replicas, connections and quotas fit together."""

import re

from .cluster import app, containers, environment, name, namespace, of_kind, pod, quantity, title, workloads
from .repository import SERVICES, read

WITH_A_POOL_PER_THREAD = ("auth", "catalog-cache", "orders")
WITH_A_POOL = ("notification", "analytics")
DEFAULT_POOL, DEFAULT_THREADS, DEFAULT_STREAMS = 20, 64, 32
# superuser_reserved_connections, and the jobs that may run meanwhile
RESERVED = 3 + 3
# the topic with the most partitions among those that a group reads
READS = {"dispatch": "orders.created", "analytics": "analytics"}


def _autoscalers(objects):
    return {name(found): found["spec"] for found in of_kind(objects, "HorizontalPodAutoscaler")}


def _most(objects, workload) -> int:
    """Pods of a workload at their most, one more while they are replaced included."""
    if workload["kind"] in ("Job", "CronJob", "DaemonSet"):
        return 1
    replicas = workload["spec"].get("replicas", 1)
    if name(workload) in _autoscalers(objects):
        replicas = _autoscalers(objects)[name(workload)]["maxReplicas"]
    surge = workload["spec"].get("strategy", {}).get("rollingUpdate", {}).get("maxSurge", 0)
    return replicas + (surge if isinstance(surge, int) else 1)


def _settings(objects, service):
    found = [workload for workload in of_kind(objects, "Deployment") if name(workload) == service]
    return (found[0], environment(objects, found[0], containers(found[0])[0])) if found else (None, {})


def connections(objects) -> dict[str, int]:
    """Connections to Postgres that each service may hold, all replicas together."""
    held = {}
    for service in WITH_A_POOL_PER_THREAD + WITH_A_POOL:
        workload, variables = _settings(objects, service)
        if workload is None:
            continue
        pool = int(variables.get("THROUGHLINE_DATABASE__POOL_SIZE") or DEFAULT_POOL)
        threads = int(variables.get("THROUGHLINE_RUNTIME__THREADS") or DEFAULT_THREADS)
        streams = int(variables.get("THROUGHLINE_RUNTIME__MAX_STREAMS") or DEFAULT_STREAMS)
        each = pool
        if service in WITH_A_POOL_PER_THREAD:
            # a thread serves one call at a time; else the calls have a second pool
            each += threads + streams if variables["THROUGHLINE_TELEMETRY__MODE"] == "ebpf" else pool
        held[service] = _most(objects, workload) * each
    return held


def pools_fit_postgres(objects):
    """All replicas at their most, with all connections that they may open, stay below max_connections."""
    wrong = []
    for workload in of_kind(objects, "StatefulSet"):
        if app(workload) == "postgres":
            most = int(environment(objects, workload, containers(workload)[0])["MAX_CONNECTIONS"])
            held = connections(objects)
            if sum(held.values()) + RESERVED > most:
                wrong.append(f"{sum(held.values())} connections ({held}) and {RESERVED} reserved, and Postgres has {most}")
    return wrong


def places_fit_the_callers(objects):
    """Where a connection takes a thread, all gateways at their most find a place at each service behind."""
    wrong = []
    gateway, variables = _settings(objects, "gateway")
    if gateway is None or variables.get("THROUGHLINE_TELEMETRY__MODE") != "ebpf":
        return wrong
    callers = _autoscalers(objects)["gateway"]["maxReplicas"] * int(variables.get("THROUGHLINE_RUNTIME__THREADS") or DEFAULT_THREADS)
    for service in WITH_A_POOL_PER_THREAD:
        _, theirs = _settings(objects, service)
        places = _autoscalers(objects)[service]["maxReplicas"] * int(theirs.get("THROUGHLINE_RUNTIME__THREADS") or DEFAULT_THREADS)
        if places < callers:
            wrong.append(f"{service} has {places} places for {callers} threads of the gateways")
    return wrong


def autoscalers_are_sound(objects):
    """Every service has one, at 70 % of CPU, from 1 to 10 replicas, that goes up fast and down slowly, and whose target exists."""
    wrong = []
    found = {name(one): one for one in of_kind(objects, "HorizontalPodAutoscaler")}
    wrong += [f"{service} has no autoscaler" for service in SERVICES if service not in found]
    deployments = {(namespace(one), name(one)): one for one in of_kind(objects, "Deployment")}
    for one in found.values():
        spec = one["spec"]
        target = deployments.get((namespace(one), spec["scaleTargetRef"]["name"]))
        if target is None or spec["scaleTargetRef"]["kind"] != "Deployment":
            wrong.append(f"{title(one)}: there is no {spec['scaleTargetRef']['name']}")
        elif "replicas" in target["spec"]:
            wrong.append(f"{title(one)}: {title(target)} says how many replicas, too, and each rollout would undo it")
        if not 1 <= spec["minReplicas"] <= spec["maxReplicas"] <= 10:
            wrong.append(f"{title(one)}: {spec['minReplicas']} to {spec['maxReplicas']} replicas")
        if [(m["resource"]["name"], m["resource"]["target"].get("averageUtilization")) for m in spec["metrics"]] != [("cpu", 70)]:
            wrong.append(f"{title(one)}: not at 70 % of CPU")
        behavior = spec.get("behavior", {})
        if behavior.get("scaleDown", {}).get("stabilizationWindowSeconds", 0) < 60 or "scaleUp" not in behavior:
            wrong.append(f"{title(one)}: behaviour is not set")
    return wrong


def partitions() -> dict[str, int]:
    """Partitions of each topic, as events/src/topics.rs declares them."""
    return {topic: int(count) for topic, count in re.findall(r'of_events\("([a-z.-]+)", (\d+)\)', read("events/src/topics.rs"))}


def consumers_have_partitions(objects):
    """No more members of a group than partitions: the rest would stand by."""
    declared = partitions()
    return [
        f"HorizontalPodAutoscaler {service}: up to {_autoscalers(objects)[service]['maxReplicas']} for {declared[topic]} partitions"
        for service, topic in READS.items()
        if service in _autoscalers(objects) and _autoscalers(objects)[service]["maxReplicas"] > declared[topic]
    ]


def disruption_is_bounded(objects):
    """Every service and server has a budget whose selector finds it, and every budget finds somebody."""
    wrong = []
    budgets = of_kind(objects, "PodDisruptionBudget")
    for budget in budgets:
        wanted = budget["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]
        if wanted not in {app(workload) for workload in workloads(objects)}:
            wrong.append(f"{title(budget)} is about nobody")
        if wanted in SERVICES and budget["spec"].get("maxUnavailable") != 1:
            wrong.append(f"{title(budget)}: not one at a time")
    covered = {budget["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] for budget in budgets}
    return wrong + [f"{wanted} has no PodDisruptionBudget" for wanted in (*SERVICES, "postgres", "redis", "kafka") if wanted not in covered]


def needs(objects, where: str) -> dict[str, float]:
    """What everything in a namespace may ask for at once."""
    total = dict.fromkeys(("pods", "requests.cpu", "requests.memory", "limits.memory", "requests.storage", "persistentvolumeclaims"), 0.0)
    for workload in workloads(objects):
        if namespace(workload) != where:
            continue
        pods = _most(objects, workload)
        total["pods"] += pods
        for container in pod(workload)["containers"]:
            given = container["resources"]
            total["requests.cpu"] += pods * quantity(given["requests"]["cpu"])
            total["requests.memory"] += pods * quantity(given["requests"]["memory"])
            total["limits.memory"] += pods * quantity(given["limits"]["memory"])
        for claim in workload["spec"].get("volumeClaimTemplates", []):
            total["persistentvolumeclaims"] += pods
            total["requests.storage"] += pods * quantity(claim["spec"]["resources"]["requests"]["storage"])
    return total


def quotas_suffice(objects):
    """A namespace's quota lets everything run at its most, and is no more than half as much again."""
    wrong = []
    for quota in of_kind(objects, "ResourceQuota"):
        for what, needed in needs(objects, namespace(quota)).items():
            has = quantity(quota["spec"]["hard"][what])
            if not needed <= has <= max(needed * 1.5, needed + 2):
                wrong.append(f"{title(quota)}: {what} is {quota['spec']['hard'][what]}, and {needed:g} are needed")
    if not of_kind(objects, "ResourceQuota"):
        wrong.append("there is no ResourceQuota")
    return wrong


def production_has_two_of_each(objects):
    """In production no service is alone. (Applied to the overlay prod.)"""
    return [f"HorizontalPodAutoscaler {who}: {spec['minReplicas']} at least" for who, spec in _autoscalers(objects).items() if spec["minReplicas"] < 2]


RULES = [pools_fit_postgres, places_fit_the_callers, autoscalers_are_sound, consumers_have_partitions, disruption_is_bounded, quotas_suffice]
