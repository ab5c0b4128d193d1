"""The tools of others: schemas, hadolint, actionlint, shellcheck, promtool. Each is shown something wrong, too."""

import json
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import jsonschema
import kubernetes_validate
import yaml
from kubernetes_validate.utils import latest_version

from .repository import DEPLOY, OVERLAYS, ROOT, objects, overlay

# Kinds that the cluster does not have by itself, and what of them this repository uses: https://external-secrets.io/latest/api/spec
EXTERNAL_SECRET = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "external-secrets.io/v1"},
        "kind": {"const": "ExternalSecret"},
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "required": ["secretStoreRef", "target", "data"],
            "additionalProperties": False,
            "properties": {
                "refreshInterval": {"type": "string", "pattern": "^[0-9]+[smh]$"},
                "secretStoreRef": {
                    "type": "object", "required": ["kind", "name"], "additionalProperties": False,
                    "properties": {"kind": {"enum": ["SecretStore", "ClusterSecretStore"]}, "name": {"type": "string"}},
                },
                "target": {"type": "object", "required": ["name"], "additionalProperties": False, "properties": {"name": {"type": "string"}}},
                "data": {
                    "type": "array",
                    "items": {
                        "type": "object", "required": ["secretKey", "remoteRef"], "additionalProperties": False,
                        "properties": {
                            "secretKey": {"type": "string"},
                            "remoteRef": {
                                "type": "object", "required": ["key"], "additionalProperties": False,
                                "properties": {"key": {"type": "string"}, "property": {"type": "string"}},
                            },
                        },
                    },
                },
            },
        },
    },
}


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)


class Schemas(unittest.TestCase):
    """Every object is what its kind's schema says, and has no field that the schema does not know."""

    # the oldest that base/ is for (preStop.sleep and pod-index are in it), and the newest whose schemas there are
    VERSIONS = ("1.30", ".".join(latest_version().split(".")[:2]))

    def test_every_object_of_every_overlay_is_valid(self):
        seen = set()
        for which in OVERLAYS:
            for found in overlay(which):
                text = json.dumps(found, sort_keys=True)
                for version in self.VERSIONS if text not in seen else ():
                    with self.subTest(overlay=which, kind=found["kind"], name=found["metadata"]["name"], version=version):
                        kubernetes_validate.validate(found, version, strict=True)
                seen.add(text)

    def test_what_is_not_in_an_overlay_is_valid_too(self):
        import jsonschema

        for found in yaml.safe_load_all((DEPLOY / "k8s/components/external-secrets/secrets.yaml").read_text(encoding="utf-8")):
            jsonschema.validate(found, EXTERNAL_SECRET)
            with self.assertRaises(jsonschema.ValidationError):
                jsonschema.validate(found | {"spec": found["spec"] | {"refresh": "1h"}}, EXTERNAL_SECRET)
        for found in objects("base/ingress"):
            kubernetes_validate.validate(found, self.VERSIONS[-1], strict=True)

    def test_a_field_that_is_none_is_refused(self):
        wrong = overlay("dev")[-1]
        wrong["spec"] = wrong.get("spec", {}) | {"replicsa": 2}
        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, self.VERSIONS[-1], strict=True)


class Linters(unittest.TestCase):
    """What others' linters say."""

    def test_hadolint_has_nothing_to_say_about_the_dockerfile(self):
        done = run("hadolint", DEPLOY / "Dockerfile")
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertIn("DL3007", run("hadolint", "-", input="FROM debian:latest\n").stdout)

    @unittest.skipIf(shutil.which("shellcheck") is None, "there is no shellcheck for this machine on PyPI")
    def test_shellcheck_has_nothing_to_say_about_the_scripts(self):
        scripts = [DEPLOY / "image/build.sh", DEPLOY / "k8s/secrets.sh", DEPLOY / "check"]
        done = run("shellcheck", "-x", *scripts, cwd=ROOT)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_actionlint_has_nothing_to_say_about_the_workflows(self):
        workflows = sorted((ROOT / ".github/workflows").glob("*.yml")) + sorted((ROOT / ".github/workflows").glob("*.yaml"))
        self.assertGreater(len(workflows), 4)
        done = run("actionlint", *workflows, cwd=ROOT)
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        with tempfile.TemporaryDirectory() as folder:
            wrong = pathlib.Path(folder) / "wrong.yaml"
            wrong.write_text("on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: echo ${{ matrx.x }}\n", encoding="utf-8")
            self.assertIn("matrx", run("actionlint", wrong).stdout)

    @unittest.skipIf(shutil.which("promtool") is None, "promtool is not installed")
    def test_promtool_takes_the_rules_and_the_settings(self):
        rules = sorted((ROOT / "observability/prometheus/rules").glob("*.yaml"))
        for path in [rule for rule in rules if "test" not in rule.stem]:
            with self.subTest(file=path.name):
                done = run("promtool", "check", "rules", path)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        done = run("promtool", "check", "config", ROOT / "observability/prometheus/prometheus.yaml")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with tempfile.TemporaryDirectory() as folder:
            wrong = pathlib.Path(folder) / "wrong.yaml"
            wrong.write_text("groups:\n  - name: a\n    rules:\n      - alert: B\n        expr: sum(\n", encoding="utf-8")
            self.assertNotEqual(run("promtool", "check", "rules", wrong).returncode, 0)
