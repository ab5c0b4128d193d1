"""Every rule holds for every overlay, and can fail: each is given an overlay with one thing made wrong."""

import copy
import pathlib
import subprocess
import tempfile
import unittest

import yaml

from . import capacity, configuration, network, pods, references, settings
from .cluster import containers, name, of_kind, pod
from .repository import DEPLOY, OVERLAYS, binaries, objects, overlay, read, rendered

RULES = pods.RULES + references.RULES + network.RULES + capacity.RULES + settings.RULES


def _of(objects, kind, named):
    return next(found for found in of_kind(objects, kind) if name(found) == named)


def _service(objects, named="orders"):
    return containers(_of(objects, "Deployment", named))[0]


def _map(objects, begins):
    return next(found for found in of_kind(objects, "ConfigMap") if name(found).startswith(begins))


def _policy(objects, named):
    return _of(objects, "NetworkPolicy", named)["spec"]


def _drop(objects, kind, named):
    objects.remove(_of(objects, kind, named))


# One way at least to break each rule, told as a sentence, on the overlay prod.
MUTATIONS = {
    pods.non_root: {
        "a container runs as root": lambda o: _service(o)["securityContext"].update(runAsUser=0),
        "a pod may run as root": lambda o: pod(_of(o, "StatefulSet", "redis"))["securityContext"].pop("runAsNonRoot"),
    },
    pods.restricted: {
        "privileges may grow": lambda o: _service(o)["securityContext"].update(allowPrivilegeEscalation=True),
        "a capability is added": lambda o: _service(o)["securityContext"]["capabilities"].update(add=["NET_ADMIN"]),
        "no seccomp profile": lambda o: pod(_of(o, "Deployment", "orders"))["securityContext"].pop("seccompProfile"),
        "the node's network": lambda o: pod(_of(o, "Deployment", "orders")).update(hostNetwork=True),
        "a folder of the node": lambda o: pod(_of(o, "Deployment", "orders")).update(volumes=[{"name": "x", "hostPath": {"path": "/"}}]),
    },
    pods.obi_is_not_privileged: {
        "OBI is privileged": lambda o: containers(of_kind(o, "DaemonSet")[0])[0]["securityContext"].update(privileged=True),
        "OBI has one more capability": lambda o: containers(of_kind(o, "DaemonSet")[0])[0]["securityContext"]["capabilities"]["add"].append("SYS_ADMIN"),
    },
    pods.read_only_root: {"the root can be written": lambda o: _service(o)["securityContext"].pop("readOnlyRootFilesystem")},
    pods.resources: {
        "no limit of memory": lambda o: _service(o)["resources"].pop("limits"),
        "no request of CPU": lambda o: _service(o)["resources"]["requests"].pop("cpu"),
    },
    pods.probes: {f"no {probe}": lambda o, probe=probe: _service(o).pop(probe) for probe in ("startupProbe", "readinessProbe", "livenessProbe")},
    pods.pinned_images: {
        "latest": lambda o: _service(o).update(image="throughline/orders:latest"),
        "no tag": lambda o: _service(o).update(image="registry:5000/throughline/orders"),
        "a branch": lambda o: _service(o).update(image="throughline/orders:main"),
    },
    pods.no_tokens: {
        "a token for nothing": lambda o: pod(_of(o, "Deployment", "orders")).update(automountServiceAccountToken=True),
        "no token where one is needed": lambda o: pod(_of(o, "Deployment", "alloy")).update(automountServiceAccountToken=False),
        "links": lambda o: pod(_of(o, "Deployment", "orders")).pop("enableServiceLinks"),
    },
    pods.drains: {
        "no pause before SIGTERM": lambda o: _service(o).pop("lifecycle"),
        "no time to finish": lambda o: pod(_of(o, "Deployment", "orders")).update(terminationGracePeriodSeconds=30),
        "all at once": lambda o: _of(o, "Deployment", "orders")["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=1),
        "all on one node": lambda o: pod(_of(o, "Deployment", "orders")).pop("topologySpreadConstraints"),
    },
    pods.names: {"a pod without a name": lambda o: _of(o, "Job", "topics")["spec"]["template"].pop("metadata")},
    references.settings_are_there: {
        "a map that is not there": lambda o: o.remove(_map(o, "orders-")),
        "a secret that nobody makes": lambda o: _service(o)["env"].append({"name": "X", "valueFrom": {"secretKeyRef": {"name": "vault", "key": "x"}}}),
        "a key that a secret does not have": lambda o: _service(o)["env"].append({"name": "X", "valueFrom": {"secretKeyRef": {"name": "postgres", "key": "x"}}}),
    },
    references.volumes_are_there: {
        "a mount without a volume": lambda o: _service(o).update(volumeMounts=[{"name": "x", "mountPath": "/x"}]),
        "a volume that nobody mounts": lambda o: pod(_of(o, "Deployment", "orders")).update(volumes=[{"name": "x", "emptyDir": {}}]),
    },
    references.services_lead_somewhere: {
        "a selector that finds nobody": lambda o: _of(o, "Service", "orders")["spec"].update(selector={"app": "order"}),
        "a port that the pod does not have": lambda o: _of(o, "Service", "orders")["spec"]["ports"][0].update(targetPort="http"),
        "a probe of no port": lambda o: _service(o)["livenessProbe"]["httpGet"].update(port="metrics"),
        "a StatefulSet without its service": lambda o: _drop(o, "Service", "kafka-brokers"),
        "an ingress to nowhere": lambda o: _of(o, "Ingress", "gateway")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"].update(name="web"),
    },
    references.neighbours_are_there: {
        "a name that is none": lambda o: _map(o, "gateway-")["data"].update(THROUGHLINE_UPSTREAM__AUTH="http://author:50051"),
        "a port that is none": lambda o: _map(o, "gateway-")["data"].update(THROUGHLINE_UPSTREAM__AUTH="http://auth:50052"),
        "a name in an argument": lambda o: _service(o, "canary").update(args=["--backend=tempo=http://temp:3200"]),
    },
    references.our_images_are_built: {
        "an image that nobody makes": lambda o: _service(o).update(image="throughline/order:0.1.0"),
        "a program that is in another image": lambda o: _service(o, "dispatch").update(command=["orders"]),
    },
    references.maps_fit: {"a map that is too large": lambda o: _map(o, "mesh-")["data"].update(X="x" * 1_100_000)},
    references.headless_for_grpc: {"an address of the cluster": lambda o: _of(o, "Service", "auth")["spec"].pop("clusterIP")},
    references.accounts_are_there: {
        "a pod of nobody": lambda o: _drop(o, "ServiceAccount", "orders"),
        "a binding of nobody": lambda o: _of(o, "RoleBinding", "alloy")["subjects"][0].update(name="alloi"),
        "a role that is none": lambda o: _drop(o, "Role", "alloy"),
    },
    references.namespaces_are_there: {"another namespace": lambda o: _of(o, "Service", "orders")["metadata"].update(namespace="default")},
    network.default_deny: {
        "no default": lambda o: _drop(o, "NetworkPolicy", "default-deny"),
        "a default that lets in": lambda o: _policy(o, "default-deny").update(ingress=[{}]),
    },
    network.every_rule_is_narrow: {
        "from everybody": lambda o: _policy(o, "orders")["ingress"][0].update({"from": []}),
        "to every port": lambda o: _policy(o, "orders")["egress"][0].pop("ports"),
        "to every pod": lambda o: _policy(o, "orders")["egress"][0].update(to=[{}]),
    },
    network.edges_equal_the_chain: {
        "one edge more out": lambda o: _policy(o, "gateway")["egress"].append(
            {"to": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "postgres"}}}], "ports": [{"port": 5432}]}),
        "one edge more in": lambda o: _policy(o, "postgres")["ingress"][0]["from"].append({"podSelector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}}}),
        "one edge less": lambda o: _policy(o, "orders")["egress"].pop(),
        "another port": lambda o: _policy(o, "orders")["ingress"][0]["ports"][0].update(port=50054),
        "in from outside": lambda o: _policy(o, "auth")["ingress"][0]["from"].append({"ipBlock": {"cidr": "0.0.0.0/0"}}),
        "a policy less": lambda o: _drop(o, "NetworkPolicy", "analytics"),
    },
    network.settings_follow_the_edges: {
        "told to speak to whom it may not": lambda o: _map(o, "dispatch-")["data"].update(THROUGHLINE_KAFKA__BROKERS="redis:6379"),
    },
    capacity.pools_fit_postgres: {
        "more replicas": lambda o: _map(o, "postgres-")["data"].update(MAX_CONNECTIONS="900"),
        "larger pools": lambda o: _map(o, "orders-")["data"].update(THROUGHLINE_DATABASE__POOL_SIZE="20"),
        "more threads": lambda o: _map(o, "mesh-")["data"].update(THROUGHLINE_RUNTIME__THREADS="64"),
    },
    capacity.places_fit_the_callers: {
        "few of one": lambda o: _of(o, "HorizontalPodAutoscaler", "auth")["spec"].update(maxReplicas=5),
    },
    capacity.autoscalers_are_sound: {
        "no autoscaler": lambda o: _drop(o, "HorizontalPodAutoscaler", "orders"),
        "a target that is none": lambda o: _of(o, "HorizontalPodAutoscaler", "orders")["spec"]["scaleTargetRef"].update(name="order"),
        "a number of replicas beside it": lambda o: _of(o, "Deployment", "orders")["spec"].update(replicas=2),
        "another threshold": lambda o: _of(o, "HorizontalPodAutoscaler", "orders")["spec"]["metrics"][0]["resource"]["target"].update(averageUtilization=90),
        "too many": lambda o: _of(o, "HorizontalPodAutoscaler", "orders")["spec"].update(maxReplicas=11),
        "down at once": lambda o: _of(o, "HorizontalPodAutoscaler", "orders")["spec"]["behavior"].pop("scaleDown"),
    },
    capacity.consumers_have_partitions: {"a sixth of five": lambda o: _of(o, "HorizontalPodAutoscaler", "dispatch")["spec"].update(maxReplicas=6)},
    capacity.disruption_is_bounded: {
        "no budget": lambda o: _drop(o, "PodDisruptionBudget", "orders"),
        "a budget about nobody": lambda o: _of(o, "PodDisruptionBudget", "orders")["spec"]["selector"]["matchLabels"].update({"app.kubernetes.io/name": "order"}),
        "all at once": lambda o: _of(o, "PodDisruptionBudget", "orders")["spec"].update(maxUnavailable="100%"),
    },
    capacity.quotas_suffice: {
        "too little": lambda o: _of(o, "ResourceQuota", "throughline")["spec"]["hard"].update({"limits.memory": "16Gi"}),
        "as good as none": lambda o: _of(o, "ResourceQuota", "throughline")["spec"]["hard"].update({"requests.cpu": "1000"}),
        "none": lambda o: _drop(o, "ResourceQuota", "throughline"),
    },
    settings.every_key_is_read: {
        "a misspelt key in a map": lambda o: _map(o, "orders-")["data"].update(THROUGHLINE_DATABASE__POOLSIZE="5"),
        "a key of another service": lambda o: _map(o, "dispatch-")["data"].update(THROUGHLINE_DATABASE__POOL_SIZE="5"),
        "a misspelt variable": lambda o: _service(o)["env"].append({"name": "THROUGHLINE_LOG__LEVLE", "value": "info"}),
    },
    settings.every_key_is_documented: {"a key that no page has": lambda o: _map(o, "mesh-")["data"].update(THROUGHLINE_SECRET__SWITCH="on")},
    settings.every_map_is_used: {"a map for nobody": lambda o: _service(o).pop("envFrom")},
    capacity.production_has_two_of_each: {"one is alone": lambda o: _of(o, "HorizontalPodAutoscaler", "orders")["spec"].update(minReplicas=1)},
}


# Components that change what another one brings.
NEEDS = {"k6-jobs": ["k6"]}


class Overlays(unittest.TestCase):
    """The rules on what is there."""

    def test_every_overlay_keeps_every_rule(self):
        for which in OVERLAYS:
            for rule in RULES:
                with self.subTest(overlay=which, rule=rule.__name__):
                    self.assertEqual(rule(overlay(which)), [])

    def test_production_has_two_of_each(self):
        self.assertEqual(capacity.production_has_two_of_each(overlay("prod")), [])

    def test_every_rule_can_fail(self):
        self.assertEqual(set(MUTATIONS), {*RULES, capacity.production_has_two_of_each})
        for rule, ways in MUTATIONS.items():
            for sentence, change in ways.items():
                with self.subTest(rule=rule.__name__, change=sentence):
                    wrong = copy.deepcopy(overlay("prod"))
                    change(wrong)
                    self.assertTrue(rule(wrong), "the rule did not see it")

    def test_the_chain_has_every_hop_of_the_expected_trace(self):
        hops = network.hops_of_the_trace()
        self.assertGreater(len(hops), 8)
        self.assertEqual(hops - network.wanted(set()), set())

    def test_load_keeps_the_rules_where_it_is_added(self):
        component = DEPLOY / "k8s/components/k6/kustomization.yaml"
        if not component.is_file():
            self.skipTest("there is no component k6")
        with tempfile.TemporaryDirectory(dir=DEPLOY / "k8s") as folder:
            parts = [f"../components/{one}" for one in ("k6", "k6-jobs") if (DEPLOY / "k8s/components" / one / "kustomization.yaml").is_file()]
            kustomization = {"namespace": "throughline-dev", "resources": ["../overlays/dev/mesh"], "components": parts}
            pathlib.Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
            added = objects(folder.removeprefix(str(DEPLOY / "k8s") + "/"))
        self.assertIn("CronJob", {found["kind"] for found in added})
        for rule in pods.RULES + references.RULES + network.RULES:
            with self.subTest(rule=rule.__name__):
                self.assertEqual(rule(added), [])

    def test_every_base_and_component_renders_alone(self):
        bases = [path.parent for path in sorted((DEPLOY / "k8s/base").glob("*/kustomization.yaml"))]
        self.assertGreater(len(bases), 15)
        for base in bases:
            with self.subTest(base=base.name):
                self.assertIn("kind:", rendered(f"base/{base.name}"))
        for component in sorted((DEPLOY / "k8s/components").glob("*/kustomization.yaml")):
            with self.subTest(component=component.parent.name), tempfile.TemporaryDirectory(dir=DEPLOY / "k8s") as folder:
                wanted = [*NEEDS.get(component.parent.name, []), component.parent.name]
                kustomization = {"resources": ["../base"], "components": [f"../components/{one}" for one in wanted]}
                kind = yaml.safe_load(component.read_text(encoding="utf-8"))["kind"]
                if kind != "Component":
                    kustomization = {"resources": [f"../components/{component.parent.name}"]}
                pathlib.Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
                self.assertTrue(objects(folder.removeprefix(str(DEPLOY / "k8s") + "/")))

    def test_the_vault_has_what_the_script_makes(self):
        listed = {found["metadata"]["name"]: {entry["secretKey"] for entry in found["spec"]["data"]}
                  for found in yaml.safe_load_all(read("deploy/k8s/components/external-secrets/secrets.yaml"))}
        self.assertEqual(listed, references.made_secrets())

    def test_secrets_are_random_and_the_script_says_what_it_wants(self):
        script = DEPLOY / "k8s/secrets.sh"
        first, second = (subprocess.run([script, "any"], capture_output=True, text=True, check=True).stdout for _ in range(2))
        self.assertNotEqual(first, second)
        values = [value for secret in yaml.safe_load_all(first) if secret for value in secret["stringData"].values()]
        self.assertEqual(len(set(values)), len(values))
        self.assertTrue(all(len(value) == 64 for value in values))
        self.assertEqual(subprocess.run([script], capture_output=True, check=False).returncode, 2)

    def test_environments_differ_only_in_what_may_differ(self):
        def fixed(which):
            kept = set()
            for found in overlay(which):
                if found["kind"] in ("Deployment", "StatefulSet"):
                    kept |= {(found["kind"], name(found), c["name"], c["image"]) for c in containers(found)}
            return kept

        self.assertEqual(fixed("dev"), fixed("prod"))
        self.assertEqual(fixed("staging"), fixed("prod"))

    @unittest.skipIf(binaries() is None, "the services are not built")
    def test_the_built_services_accept_what_they_are_told(self):
        with tempfile.TemporaryDirectory() as mail:
            for which in OVERLAYS:
                with self.subTest(overlay=which):
                    self.assertEqual(settings.accepted(overlay(which), mail), [])

    @unittest.skipIf(binaries() is None, "the services are not built")
    def test_a_wrong_value_is_not_accepted(self):
        wrong = overlay("prod")
        _map(wrong, "orders-")["data"]["THROUGHLINE_DATABASE__POOL_SIZE"] = "many"
        with tempfile.TemporaryDirectory() as mail:
            self.assertTrue(any("database.pool_size" in found for found in settings.accepted(wrong, mail)))


class Configuration(unittest.TestCase):
    """docs/configuration.md."""

    def test_every_key_of_every_service_is_on_the_page(self):
        every = {configuration.variable(key) for service in (*configuration.ROOTS, "db") for key in configuration.keys(service)}
        self.assertEqual(every ^ configuration.documented(), set())

    def test_every_key_says_what_it_is(self):
        for service in configuration.ROOTS:
            self.assertGreater(len(configuration.keys(service)), 30)
            self.assertEqual([key for key, meaning in configuration.keys(service).items() if not meaning], [], service)

    @unittest.skipIf(binaries() is None, "the services are not built")
    def test_the_page_is_what_the_built_services_say(self):
        for service in configuration.SERVICES:
            with self.subTest(service=service):
                missing = set(configuration.defaults(service)) ^ set(configuration.keys(service))
                self.assertEqual(missing - {"database.url", "jwt.secret", "mail.directory"}, set())
        self.assertEqual(read(configuration.PAGE), configuration.page(), "python3 -m policy.configuration --write")
