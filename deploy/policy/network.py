"""Rules about who may speak to whom: the policies allow the edges of edges.yaml and nothing else."""

import yaml

from .cluster import NAME, all_containers, app, environment, expanded, hosts, of_kind, pod, title, workloads
from .repository import load, read

OUTSIDE = "outside"
# where a client of each protocol in the expected trace leads
SERVERS = {"SQL": ("postgres", 5432), "Redis": ("redis", 6379), "Kafka": ("kafka", 9092)}
GRPC = {"auth": 50051, "catalog-cache": 50052, "orders": 50053}


def wanted(components: set[str]) -> set[tuple[str, str, int]]:
    """The edges of edges.yaml, without those of components that are not there."""
    edges = load("deploy/policy/edges.yaml")["edges"]
    return {(e["from"], e["to"], e["port"]) for e in edges if e.get("component", "") in components | {""}}


def _components(objects) -> set[str]:
    """Which optional parts an overlay has, by what they bring."""
    apps = {app(workload) for workload in workloads(objects)}
    policies = {found["metadata"]["name"] for found in of_kind(objects, "NetworkPolicy")}
    marks = {"canary": "canary" in apps, "demo-data": "seed" in apps, "smtp": "notification-to-smtp" in policies}
    return {component for component, there in marks.items() if there} | ({"k6"} if any(a.startswith("k6") for a in apps) else set())


def _peer(peer: dict) -> str:
    if "ipBlock" in peer or "namespaceSelector" in peer:
        return OUTSIDE
    return peer["podSelector"]["matchLabels"][NAME]


def allowed(objects):
    """Edges that egress allows, and edges that ingress allows. The cluster's DNS is no edge."""
    egress, ingress = set(), set()
    for policy in of_kind(objects, "NetworkPolicy"):
        own = policy["spec"]["podSelector"].get("matchLabels", {}).get(NAME)
        for rule in policy["spec"].get("egress", []) if own else []:
            egress |= {(own, _peer(peer), port["port"]) for peer in rule["to"] for port in rule["ports"]}
        for rule in policy["spec"].get("ingress", []) if own else []:
            ingress |= {(_peer(peer), own, port["port"]) for peer in rule["from"] for port in rule["ports"]}
    return egress, ingress


def default_deny(objects):
    """Whoever no policy speaks of may speak to nobody, nor be spoken to."""
    for policy in of_kind(objects, "NetworkPolicy"):
        spec = policy["spec"]
        if spec["podSelector"] == {} and sorted(spec["policyTypes"]) == ["Egress", "Ingress"] and not spec.get("egress") and not spec.get("ingress"):
            return []
    return ["there is no policy that denies everything by default"]


def every_rule_is_narrow(objects):
    """A rule names its peers and its ports: an empty list would mean everybody."""
    wrong = []
    for policy in of_kind(objects, "NetworkPolicy"):
        for direction, key in (("egress", "to"), ("ingress", "from")):
            for rule in policy["spec"].get(direction, []):
                if not rule.get(key) or not rule.get("ports") or any(not peer for peer in rule[key]):
                    wrong.append(f"{title(policy)}: a rule of {direction} without {key} or ports")
    return wrong


def edges_equal_the_chain(objects):
    """What the policies allow is what edges.yaml has: an edge inside at both of its ends, one from or to outside at ours."""
    chain = wanted(_components(objects))
    egress, ingress = allowed(objects)
    # only what an overlay has can speak
    apps = {app(workload) for workload in workloads(objects)} | {OUTSIDE}
    chain = {edge for edge in chain if edge[0] in apps and edge[1] in apps}
    out_of = {edge for edge in chain if edge[0] != OUTSIDE}
    into = {edge for edge in chain if edge[1] != OUTSIDE}
    wrong = []
    for what, has, should in (("egress", egress, out_of), ("ingress", ingress, into)):
        wrong += [f"{what}: {a} may speak to {b}:{port}, which is no edge" for a, b, port in sorted(has - should)]
        wrong += [f"{what}: {a} may not speak to {b}:{port}" for a, b, port in sorted(should - has)]
    return wrong


def settings_follow_the_edges(objects):
    """Whom a pod is told to speak to, it may speak to."""
    egress, _ = allowed(objects)
    wrong = []
    for workload, container in all_containers(objects):
        if pod(workload).get("hostNetwork"):
            continue
        variables = environment(objects, workload, container)
        texts = [value for value in variables.values() if value] + container.get("args", [])
        for host, port in {found for text in texts for found in hosts(expanded(text, variables))}:
            server = host.split("-brokers")[0].rsplit("-", 1)[0] if host.startswith("kafka-") else host
            if (app(workload), server, port) not in egress:
                wrong.append(f"{title(workload)} is told to speak to {host}:{port} and may not")
    return wrong


def hops_of_the_trace() -> set[tuple[str, str, int]]:
    """The edges that the trace of an order shows."""
    # what follows are regular expressions that only YAML 1.2 takes without quotes
    trace = yaml.safe_load(read("observability/expected-trace.yaml").split("\nconventions:")[0])
    nodes = {node["id"]: node for node in trace["nodes"]}
    hops = set()
    for node in trace["nodes"]:
        if node["protocol"] in SERVERS:
            hops.add((node["service"], *SERVERS[node["protocol"]]))
    for edge in trace["edges"]:
        if edge["from"] in nodes:
            client, server = nodes[edge["from"]], nodes[edge["to"]]
            if server["kind"] == "server" and client["service"] != server["service"]:
                hops.add((client["service"], server["service"], GRPC[server["service"]]))
    return hops


RULES = [default_deny, every_rule_is_narrow, edges_equal_the_chain, settings_follow_the_edges]
