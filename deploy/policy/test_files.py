"""Settings of the stack, the compose file and the Dockerfile; each check is shown something wrong, too."""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

import yaml

from . import alloy, compose, image, keys, lists
from .cluster import all_containers, app, environment
from .repository import OVERLAYS, ROOT, SERVICES, binaries, load, overlay, read


class Documented(unittest.TestCase):
    """Every key is one that its program documents."""

    def test_every_key_is_documented(self):
        for path, known in keys.FILES.items():
            with self.subTest(file=path):
                self.assertGreater(len(keys.used(load(path))), 8)
                self.assertEqual(keys.undocumented(read(path), known), [])
        for path in keys.ALLOY:
            with self.subTest(file=path):
                self.assertEqual(keys.alloy_undocumented(read(path)), [])

    def test_a_misspelt_key_is_found(self):
        changes = {
            "observability/tempo/tempo.yaml": ("block_retention", "block_retension"),
            "observability/loki/loki.yaml": ("retention_enabled", "retention_enable"),
            "observability/mimir/mimir.yaml": ("multitenancy_enabled", "auth_enabled"),
            "observability/obi/obi.yaml": ("exe_path", "exe_paths"),
            "observability/obi/kubernetes.yaml": ("k8s_namespace", "k8s_namespaces"),
        }
        self.assertEqual(set(changes), set(keys.FILES))
        for path, (right, wrong) in changes.items():
            with self.subTest(file=path):
                self.assertIn(right, read(path))
                self.assertTrue(any(wrong in key for key in keys.undocumented(read(path).replace(right, wrong), keys.FILES[path])))

    def test_a_misspelt_name_in_an_alloy_file_is_found_at_any_depth(self):
        text = read("observability/alloy/config.alloy")
        for right, wrong, path in (
            ("decision_wait", "decision_wit", "otelcol.processor.tail_sampling.decision_wit"),
            ("threshold_ms", "threshold", "otelcol.processor.tail_sampling.policy.latency.threshold"),
            ("insecure", "insecur", "otelcol.exporter.otlp.client.tls.insecur"),
            ("otelcol.exporter.otlp ", "otelcol.exporter.oltp ", "otelcol.exporter.oltp"),
        ):
            self.assertIn(right, text)
            self.assertEqual(keys.alloy_undocumented(text.replace(right, wrong)), [path])

    def test_components_refer_to_components_that_are_there(self):
        texts = {path: read(path) for path in keys.ALLOY}
        for left_out in ("docker", "kubernetes"):
            together = [text for path, text in texts.items() if left_out not in path]
            self.assertEqual(keys.alloy_unresolved(together), [])
        self.assertEqual(keys.alloy_unresolved([texts["observability/alloy/config.alloy"]]), [])
        self.assertTrue(keys.alloy_unresolved([texts["observability/alloy/docker.alloy"]]))
        both = [texts["observability/alloy/logs.alloy"]] * 2
        self.assertTrue(any("twice" in found for found in keys.alloy_unresolved(both)))

    def test_what_is_no_alloy_is_refused(self):
        for text in ("a {", "a = ", 'a "b" { c = [1, }', "a { b = 1\n b = 2 }", "?"):
            with self.assertRaises(alloy.Mistake, msg=text):
                alloy.parse(text)

    def test_every_variable_that_a_file_wants_is_given(self):
        wanted = {name: keys.placeholders(read(f"observability/{name}/{name}.yaml")) for name in ("tempo", "mimir", "loki")}
        wanted["obi"] = keys.placeholders(read("observability/obi/kubernetes.yaml"))
        for which in OVERLAYS:
            for workload, container in all_containers(overlay(which)):
                given = environment(overlay(which), workload, container)
                self.assertEqual(wanted.get(app(workload), set()) - set(given), set(), app(workload))
        for service, names in wanted.items():
            given = compose.load()["services"].get(service, {}).get("environment", {})
            if service != "obi" and service in compose.load()["services"]:
                self.assertEqual(names - set(given), set(), service)

    def test_obi_documents_every_variable_that_it_is_told(self):
        known = keys.variables("observability/obi/documented-keys.txt")
        told = set(compose.load()["services"]["obi"]["environment"])
        for workload, container in all_containers(overlay("dev")):
            if app(workload) == "obi":
                told |= {name for name in environment(overlay("dev"), workload, container) if name.startswith("OTEL_")}
        self.assertGreater(len(told), 3)
        self.assertEqual(told - known, set())

    def test_data_sources_refer_to_each_other(self):
        self.assertEqual(keys.data_sources(), [])
        sources = load("observability/grafana/provisioning/datasources/datasources.yaml")["datasources"]
        self.assertEqual({source["uid"] for source in sources}, {"prometheus", "tempo", "loki"})

    def test_every_rule_dashboard_and_scenario_is_in_a_kustomization(self):
        for path, marks in lists.KUSTOMIZATIONS.items():
            self.assertEqual(read(path), lists.with_lists(path, read(path)), "python3 -m policy.lists --write")
            for mark in marks:
                for found in lists.there(path, mark):
                    self.assertIn(f"\n      - {found}\n", read(path))
        self.assertGreater(len(lists.there("deploy/scenarios/kustomization.yml", "scenarios")), 10)

    def test_every_service_is_scraped(self):
        scraped = read("observability/alloy/docker.alloy")
        for service in SERVICES:
            self.assertRegex(scraped, rf'"__address__" = "{service}:91\d\d", "job" = "{service}"')


class Compose(unittest.TestCase):
    """deploy/compose.yaml."""

    CHECKS = (compose.mistakes, compose.references, compose.neighbours, compose.settings, compose.hardened, compose.connections)

    def test_the_file_keeps_every_rule(self):
        for check in self.CHECKS:
            with self.subTest(check=check.__name__):
                self.assertEqual(check(compose.load()), [])

    def test_every_check_can_fail(self):
        def changed(change):
            tree = compose.load()
            change(tree["services"])
            return tree

        ways = [
            (compose.mistakes, lambda s: s["orders"].update(mem_limt="1m")),
            (compose.references, lambda s: s["redis"].update(volumes=["nowhere:/data"])),
            (compose.mistakes, lambda s: s["orders"]["depends_on"]["topics"].update(condition="service_completed")),
            (compose.mistakes, lambda s: s["orders"].update(networks=["elsewhere"])),
            (compose.references, lambda s: s["orders"]["depends_on"].update(nobody={"condition": "service_started"})),
            (compose.references, lambda s: s["kafka"].pop("healthcheck")),
            (compose.references, lambda s: s["migrate"].update(restart="always")),
            (compose.references, lambda s: s["orders"]["depends_on"].update(grafana={"condition": "service_healthy"})),
            (compose.references, lambda s: s["tempo"].update(volumes=["../observability/temp.yaml:/x"])),
            (compose.references, lambda s: s["orders"]["build"].update(target="order")),
            (compose.references, lambda s: s["orders"].update(ports=["127.0.0.1:8080:50053"])),
            (compose.references, lambda s: s["orders"].update(ports=["50053:50053"])),
            (compose.references, lambda s: s["tempo"].update(image="grafana/tempo:latest")),
            (compose.neighbours, lambda s: s["orders"]["environment"].update(THROUGHLINE_KAFKA__BROKERS="kafak:9092")),
            (compose.settings, lambda s: s["orders"]["environment"].update(THROUGHLINE_KAFKA__BROKER="kafka:9092")),
            (compose.hardened, lambda s: s["orders"].pop("mem_limit")),
            (compose.hardened, lambda s: s["orders"].update(read_only=False)),
            (compose.hardened, lambda s: s["redis"].update(privileged=True)),
            (compose.connections, lambda s: s["orders"]["environment"].update(THROUGHLINE_DATABASE__POOL_SIZE="100")),
        ]
        self.assertEqual({check for check, _ in ways}, set(self.CHECKS))
        for number, (check, change) in enumerate(ways):
            with self.subTest(check=check.__name__, way=number):
                self.assertTrue(check(changed(change)))

    def test_the_sums_of_memory_are_those_of_the_page(self):
        sums = compose.memory(compose.load())
        self.assertEqual(compose.documented_memory(), sums)
        self.assertLessEqual(sums["mesh"] + sums["jobs"], 1024, "the mesh without the Grafana stack fits into 1 GB")

    def test_images_are_those_of_the_cluster(self):
        theirs = {container["image"] for which in OVERLAYS for _, container in all_containers(overlay(which))}
        by_name = {image.partition(":")[0]: image for image in theirs}
        for name, service in compose.load()["services"].items():
            known = by_name.get(service["image"].partition(":")[0])
            self.assertIn(known, (None, service["image"]), name)


class Image(unittest.TestCase):
    """deploy/Dockerfile, as far as that goes without an engine: what is not run here is the download of bases and packages, the
    installation of cargo-chef, and the compilation, which ./mesh does with the same command."""

    @classmethod
    def setUpClass(cls):
        cls.folder = image.temporary()
        image.lay_out(pathlib.Path(cls.folder.name))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_the_context_has_what_building_reads(self):
        folder = pathlib.Path(self.folder.name)
        self.assertEqual(image.missing_includes(folder), [])
        self.assertTrue((folder / "Cargo.lock").is_file() and (folder / "deploy/image/build.sh").is_file())
        os.remove(folder / "deploy/mesh.toml")
        self.assertEqual(image.missing_includes(folder), ["meshctl/src/settings.rs includes ../../deploy/mesh.toml"])
        image.lay_out(folder)

    def test_the_context_has_no_ballast(self):
        size = sum((ROOT / path).stat().st_size for path in image.context())
        self.assertLess(size, 8 << 20)
        self.assertFalse([path for path in image.context() if path.startswith((".mesh", "target", ".git/", "deploy/k8s"))])

    def test_cargo_reads_the_context_and_every_program_is_shipped(self):
        programs = image.programs(pathlib.Path(self.folder.name))
        self.assertEqual(image.shipped(), programs)
        self.assertEqual(image.copied(), programs)

    def test_every_image_runs_without_rights_and_says_what_it_is(self):
        text = read("deploy/Dockerfile")
        stages = image.final_stages()
        self.assertEqual(set(stages), {"gateway", "auth", "catalog-cache", "orders", "events", "db", "meshctl"})
        base = text[text.index(" AS base") :]
        self.assertIn("USER 65532:65532", base)
        for label in ("title", "description", "licenses", "version", "revision", "created"):
            self.assertIn(f"org.opencontainers.image.{label}=", base)
        for name, steps in stages.items():
            self.assertNotIn("RUN", [step for step, _ in steps], f"{name}: there is no shell to run anything")
            self.assertTrue({"ENTRYPOINT", "CMD"} & {step for step, _ in steps}, name)

    def test_the_toolchain_is_the_one_of_the_repository(self):
        channel = read("rust-toolchain.toml").split('channel = "')[1].split('"')[0]
        self.assertIn(f"RUST_IMAGE=rust:{channel}-bookworm", read("deploy/Dockerfile"))

    @unittest.skipIf(binaries() is None, "the services are not built")
    def test_what_is_collected_needs_no_library_that_the_base_lacks(self):
        script = ROOT / "deploy/image/build.sh"
        # cargo alone takes zlib from the system; `build.sh compile` does not
        own = os.environ | {"MORE_LIBRARIES": "libz"}
        with image.temporary() as out:
            done = subprocess.run([script, "collect", binaries(), out], cwd=ROOT, env=own, capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            programs = pathlib.Path(out) / "usr/local/bin"
            self.assertEqual({path.name for path in programs.iterdir()}, image.shipped())
            # one that needs more than the base has is refused
            shutil.copy2(shutil.which("curl") or "/usr/bin/curl", programs / "orders")
            done = subprocess.run([script, "check", out], env=own, capture_output=True, text=True, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("orders needs libcurl", done.stderr)

    @unittest.skipIf(binaries() is None, "the services are not built")
    def test_the_health_check_of_compose_is_one_that_the_services_have(self):
        for name, service in compose.load()["services"].items():
            test = service.get("healthcheck", {}).get("test", [])
            if len(test) > 1 and test[1].startswith("/usr/local/bin/"):
                program = binaries() / test[1].rsplit("/", 1)[-1]
                shown = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
                self.assertIn(test[2], shown, name)

    def test_a_step_that_is_none_is_refused(self):
        self.assertNotEqual(subprocess.run([ROOT / "deploy/image/build.sh", "bake"], capture_output=True, check=False).returncode, 0)


class Yaml(unittest.TestCase):
    """No file says a thing twice."""

    def test_no_key_is_there_twice(self):
        class Strict(yaml.SafeLoader):
            pass

        def mapping(loader, node, deep=False):
            names = [loader.construct_object(key, deep) for key, _ in node.value if key.value != "<<"]
            if len(set(map(str, names))) != len(names):
                raise AssertionError(f"{node.start_mark.line + 1}: {names}")
            loader.flatten_mapping(node)
            return {loader.construct_object(key, deep): loader.construct_object(value, deep) for key, value in node.value}

        Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
        paths = sorted((ROOT / "deploy").rglob("*.yaml")) + sorted((ROOT / "observability").rglob("*.yaml")) + sorted((ROOT / ".github").rglob("*.y*ml"))
        self.assertGreater(len(paths), 60)
        for path in paths:
            if path.name != "expected-trace.yaml":
                with self.subTest(file=str(path.relative_to(ROOT))), open(path, encoding="utf-8") as file:
                    list(yaml.load_all(file, Loader=Strict))
