"""docs/deploy.md, and what workflows and manifests type: files, names, commands and flags that are there."""

import pathlib
import re
import shlex
import subprocess
import tempfile
import unittest

import yaml

from . import compose
from .cluster import all_containers, name, namespace
from .image import final_stages
from .repository import DEPLOY, OVERLAYS, ROOT, binaries, objects, overlay, read

PAGE = "docs/deploy.md"


def typed(text: str) -> list[list[str]]:
    """The commands of a page's console blocks, continued lines joined, as words; of several on a line each."""
    lines: list[str] = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("> "):
                lines[-1] += "\n" + line[2:]
            elif line.startswith("$ "):
                lines.append(line[2:])
    return words("\n".join(lines))


def words(script: str) -> list[list[str]]:
    """Simple commands of a script, as words."""
    joined = script.replace("\\\n", " ")
    parts = [part for line in joined.splitlines() for part in re.split(r"\s(?:\|\||&&|\||&|;)(?:\s|$)|\$\(|^do |^if ", line.strip())]
    found = []
    for part in parts:
        try:
            split = shlex.split(part.rstrip(')"').split(" #")[0], comments=True)
        except ValueError:
            split = part.split()
        found.append([word for word in split if not re.fullmatch(r"[A-Z_]+=.*", word)])
    return [command for command in found if command]


def workflows() -> list[list[str]]:
    """The commands of all workflows."""
    found = []
    for path in sorted((ROOT / ".github/workflows").glob("*.yml")):
        jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
        found += [command for job in jobs.values() for step in job["steps"] for command in words(step.get("run", ""))]
    return found


def flags(help_text: str) -> set[str]:
    return set(re.findall(r"--[a-z][a-z0-9-]+", help_text))


def kubectl_mistakes(command: list[str]) -> list[str]:
    """Flags of a kubectl command that kubectl does not know, and names of namespaces and objects that no overlay has."""
    shown = {overlay_name: overlay(overlay_name) for overlay_name in OVERLAYS}
    known = {(namespace(found), found["kind"].lower(), name(found)) for objects in shown.values() for found in objects}
    secrets = {(where, "secret", secret) for where, _, _ in known for secret in ("canary", "grafana", "postgres", "auth", "redis")}
    rest = [word for word in command[1:] if not word.startswith("--")]
    verbs = [word for word in rest if word in ("create", "apply", "wait", "rollout", "status", "logs", "port-forward", "get", "delete")]
    verb = ["rollout", "status"] if "rollout" in verbs else verbs[:1]
    if not verb:
        return [f"{' '.join(command)}: no command of kubectl"]
    run = lambda *parts: subprocess.run(["kubectl", *parts], capture_output=True, text=True, check=True).stdout
    there = flags(run(*verb, "--help")) | flags(run("options"))
    wrong = [f"{' '.join(command)}: {word}" for word in command if word.startswith("--") and word.split("=")[0] not in there]
    where = command[command.index("--namespace") + 1] if "--namespace" in command else ""
    for kind, named in (found.groups() for word in rest if (found := re.fullmatch(r"(job|deployment|service|secret)/([a-z-]+)", word))):
        if (where, kind, named) not in known | secrets:
            wrong.append(f"{' '.join(command)}: there is no {kind} {named} in {where!r}")
    return wrong


class Page(unittest.TestCase):
    """docs/deploy.md."""

    def test_every_file_that_the_page_names_is_there(self):
        named = set(re.findall(r"\b((?:deploy|observability|docs)/[A-Za-z0-9_./-]*[A-Za-z0-9])", read(PAGE)))
        self.assertGreater(len(named), 10)
        self.assertEqual([path for path in sorted(named) if not (ROOT / path).exists()], [])
        linked = set(re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(PAGE)))
        self.assertEqual([path for path in sorted(linked) if not (ROOT / "docs" / path).exists()], [])

    def test_every_profile_that_the_page_names_is_there(self):
        known = {profile for service in compose.load()["services"].values() for profile in service.get("profiles", [])} | {"minimal"}
        self.assertEqual(set(re.findall(r"--profile ([a-z]+)", read(PAGE))), known)

    def test_every_kubectl_command_is_one(self):
        commands = [command for command in typed(read(PAGE)) + workflows() if command[0] == "kubectl"]
        self.assertGreater(len(commands), 15)
        for command in commands:
            with self.subTest(command=" ".join(command)):
                self.assertEqual(kubectl_mistakes(command), [])

    def test_a_kubectl_command_that_is_none_is_found(self):
        for wrong in ("kubectl --namespace throughline-dev logs deployment/canari", "kubectl apply --server-sid --kustomize x", "kubectl frobnicate"):
            self.assertTrue(kubectl_mistakes(wrong.split()), wrong)

    def test_every_image_of_ours_can_come_from_a_registry(self):
        targets = [name for name in final_stages()]
        images = [{"name": f"throughline/{target}", "newName": f"ghcr.io/owner/throughline/{target}", "newTag": "v1"} for target in targets]
        with tempfile.TemporaryDirectory(dir=DEPLOY / "k8s") as folder:
            kustomization = {"resources": ["../overlays/dev"], "images": images}
            pathlib.Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
            replaced = {container["image"] for _, container in all_containers(objects(folder.removeprefix(str(DEPLOY / "k8s") + "/")))}
        self.assertEqual([image for image in replaced if image.startswith("throughline/")], [])
        self.assertEqual({image for image in replaced if image.startswith("ghcr.io/owner/")}, {f"ghcr.io/owner/throughline/{target}:v1" for target in targets})
        for workflow in ("images", "cluster", "deploy-dev"):
            text = read(f".github/workflows/{workflow}.yml")
            self.assertEqual({line.split(" in ")[1].rstrip("; do") for line in text.splitlines() if "for target in" in line}, {" ".join(targets)}, workflow)

    @unittest.skipIf(binaries() is None, "the services are not built")
    def test_every_flag_of_our_programs_is_one(self):
        def unknown(program, subcommand, given):
            shown = subprocess.run([binaries() / program, *subcommand, "--help"], capture_output=True, text=True, check=True).stdout
            return [flag.split("=")[0] for flag in given if flag.startswith("--") and flag.split("=")[0] not in flags(shown)]

        asked = [command[1:] for command in typed(read(PAGE)) if command[0] == "./mesh" and command[1:]]
        asked += [[str(word) for word in service["command"]] for service in compose.load()["services"].values() if "meshctl" in service["image"]]
        asked += [container["args"] for _, container in all_containers(overlay("prod")) if "/meshctl:" in container["image"]]
        verifies = [command for command in asked if command[0] == "verify"]
        self.assertGreaterEqual(len(verifies), 3)
        for command in verifies:
            self.assertEqual(unknown("meshctl", ["verify"], command), [], command)
        self.assertEqual(unknown("meshctl", ["verify"], ["--rat=1"]), ["--rat"])
        for _, container in all_containers(overlay("dev")):
            if "/db:" in container["image"]:
                subcommand = [word for word in container["args"] if word in ("migrate", "up", "seed")]
                self.assertEqual(unknown("db", subcommand, container["args"]), [], container["args"])
