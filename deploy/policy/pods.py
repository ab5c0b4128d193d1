"""Rules about single pods. Each takes the rendered objects and gives what is wrong, a sentence each."""

from .cluster import all_containers, app, containers, name, namespace, of_kind, pod, title, workloads

# What cannot keep a rule, and why: the reason stands where the object is declared, too.
ROOT_BY_DESIGN = {"obi"}  # loads probes into the kernel
WRITES_ITS_IMAGE = {"kafka"}  # the image writes its configuration to /opt/kafka/config
NO_PROBES = {"obi"}  # answers none; the canary tells whether it sees anything
# "Application observability with trace context propagation" in OBI's list of capabilities
OBI_CAPABILITIES = {"BPF", "CHECKPOINT_RESTORE", "DAC_READ_SEARCH", "NET_ADMIN", "NET_RAW", "PERFMON", "SYS_PTRACE"}


def non_root(objects):
    """No container runs as root."""
    wrong = []
    for workload, container in all_containers(objects):
        if app(workload) in ROOT_BY_DESIGN:
            continue
        context = pod(workload).get("securityContext", {}) | container.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
            wrong.append(f"{title(workload)}: {container['name']} may run as root")
    return wrong


def restricted(objects):
    """Pod Security's restricted profile: no escalation, no capabilities, the runtime's seccomp profile, nothing of the host."""
    wrong = []
    for workload in workloads(objects):
        spec = pod(workload)
        if app(workload) in ROOT_BY_DESIGN:
            continue
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(key):
                wrong.append(f"{title(workload)}: {key}")
        wrong += [f"{title(workload)}: hostPath {volume['name']}" for volume in spec.get("volumes", []) if "hostPath" in volume]
        for container in containers(workload):
            context = container.get("securityContext", {})
            seccomp = (spec.get("securityContext", {}) | context).get("seccompProfile", {}).get("type")
            kept = {
                "allowPrivilegeEscalation": context.get("allowPrivilegeEscalation") is False,
                "privileged": not context.get("privileged"),
                "capabilities": context.get("capabilities", {}) == {"drop": ["ALL"]},
                "seccompProfile": seccomp == "RuntimeDefault",
            }
            wrong += [f"{title(workload)}: {container['name']}: {key}" for key, good in kept.items() if not good]
    return wrong


def obi_is_not_privileged(objects):
    """OBI has the capabilities that its documentation lists, and is not privileged."""
    wrong = []
    for workload, container in all_containers(objects):
        if app(workload) == "obi":
            context = container.get("securityContext", {})
            capabilities = context.get("capabilities", {})
            if context.get("privileged") or capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) != OBI_CAPABILITIES:
                wrong.append(f"{title(workload)}: not exactly {', '.join(sorted(OBI_CAPABILITIES))}")
    return wrong


def read_only_root(objects):
    """Nobody writes into an image."""
    return [
        f"{title(workload)}: {container['name']} has a root file system that can be written"
        for workload, container in all_containers(objects)
        if app(workload) not in WRITES_ITS_IMAGE and container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True
    ]


def resources(objects):
    """Every container says what it needs, and at how much memory it is ended."""
    wrong = []
    for workload, container in all_containers(objects):
        given = container.get("resources", {})
        for part, key in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
            if key not in given.get(part, {}):
                wrong.append(f"{title(workload)}: {container['name']} has no resources.{part}.{key}")
    return wrong


def probes(objects):
    """What runs for ever has a startup, a readiness and a liveness probe."""
    wrong = []
    for workload in of_kind(objects, "Deployment", "StatefulSet", "DaemonSet"):
        for container in [] if app(workload) in NO_PROBES else pod(workload)["containers"]:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if probe not in container:
                    wrong.append(f"{title(workload)}: {container['name']} has no {probe}")
    return wrong


def pinned_images(objects):
    """An image is named with a version, never `latest` or a branch."""
    wrong = []
    for workload, container in all_containers(objects):
        image = container["image"]
        tag = image.rsplit("/", 1)[-1].partition(":")[2]
        if "@sha256:" not in image and not any(character.isdigit() for character in tag):
            wrong.append(f"{title(workload)}: {image} has no version")
    return wrong


def no_tokens(objects):
    """Only a pod whose account may do something has a token of the cluster's API, and none uses the account `default`."""
    subjects = {
        (subject.get("namespace", namespace(binding)), subject["name"])
        for binding in of_kind(objects, "RoleBinding", "ClusterRoleBinding")
        for subject in binding["subjects"]
    }
    wrong = []
    for workload in workloads(objects):
        spec = pod(workload)
        allowed = (namespace(workload), spec.get("serviceAccountName")) in subjects
        if spec.get("automountServiceAccountToken", True) != allowed:
            wrong.append(f"{title(workload)}: {'no token' if allowed else 'a token of the API that is of no use'}")
        if spec.get("enableServiceLinks", True):
            wrong.append(f"{title(workload)}: enableServiceLinks is not false")
    return wrong


def drains(objects):
    """A service is taken out of its endpoints before it is told to stop, and has the time to finish."""
    wrong = []
    for workload in of_kind(objects, "Deployment"):
        spec = pod(workload)
        if workload["metadata"].get("labels", {}).get("app.kubernetes.io/component") != "service":
            continue
        pause = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if pause < 3 or spec.get("terminationGracePeriodSeconds", 30) < pause + 30:
            wrong.append(f"{title(workload)}: preStop sleeps {pause} s of {spec.get('terminationGracePeriodSeconds', 30)} s")
        rolling = workload["spec"].get("strategy", {}).get("rollingUpdate", {})
        if rolling.get("maxUnavailable") != 0 or not spec.get("topologySpreadConstraints"):
            wrong.append(f"{title(workload)}: a rollout may take away what is there, or all pods may be on one node")
    return wrong


def names(objects):
    """Every workload has the label by which policies, services and log lines know it."""
    return [f"{title(workload)}: its pods have no label app.kubernetes.io/name" for workload in workloads(objects) if not app(workload)]


RULES = [non_root, restricted, obi_is_not_privileged, read_only_root, resources, probes, pinned_images, no_tokens, drains, names]
__all__ = ["RULES", "name"]
