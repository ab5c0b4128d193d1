"""Files that a kustomization has to name one by one: rules, dashboards and scenarios. `python3 -m policy.lists --write` names them all."""

import re
import sys

from .repository import ROOT, read

KUSTOMIZATION = "observability/kustomization.yaml"
FOLDERS = {"rules": ("prometheus/rules", "*.yaml"), "dashboards": ("grafana/dashboards", "*.json")}


def there(which: str) -> list[str]:
    folder, pattern = FOLDERS[which]
    return sorted(f"{folder}/{path.name}" for path in (ROOT / "observability" / folder).glob(pattern) if "test" not in path.stem)


def with_lists(text: str) -> str:
    """The kustomization with every file of each folder."""
    for which in FOLDERS:
        files = "".join(f"\n      - {path}" for path in there(which)) or " []"
        text = re.sub(rf"(# {which}: begin\n)(.*?)(\n    # {which}: end)", lambda m, files=files: f"{m[1]}    files:{files}{m[3]}", text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python3 -m policy.lists --write")
    (ROOT / KUSTOMIZATION).write_text(with_lists(read(KUSTOMIZATION)), encoding="utf-8")
