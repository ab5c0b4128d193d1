"""Files that a kustomization has to name one by one: rules, dashboards and scenarios. `python3 -m policy.lists --write` names them all."""

import re
import sys

from .repository import ROOT, read

# kustomization -> mark in it -> folder and pattern of the files, as seen from it
KUSTOMIZATIONS = {
    "observability/kustomization.yaml": {"rules": ("prometheus/rules", "*.yaml"), "dashboards": ("grafana/dashboards", "*.json")},
    "deploy/scenarios/kustomization.yml": {"scenarios": (".", "*.yaml")},
}


def there(kustomization: str, mark: str) -> list[str]:
    folder, pattern = KUSTOMIZATIONS[kustomization][mark]
    base = (ROOT / kustomization).parent
    return sorted(str(path.relative_to(base)) for path in (base / folder).glob(pattern))


def with_lists(kustomization: str, text: str) -> str:
    """The kustomization with every file of each folder."""
    for mark in KUSTOMIZATIONS[kustomization]:
        files = "".join(f"\n      - {path}" for path in there(kustomization, mark)) or " []"
        text = re.sub(rf"(# {mark}: begin\n)(.*?)(\n    # {mark}: end)", lambda m, files=files: f"{m[1]}    files:{files}{m[3]}", text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python3 -m policy.lists --write")
    for path in KUSTOMIZATIONS:
        (ROOT / path).write_text(with_lists(path, read(path)), encoding="utf-8")
