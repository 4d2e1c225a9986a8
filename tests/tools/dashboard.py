"""Reads a dashboard by Grafana's own types (grafana-foundation-sdk) and writes it again: what they do not know, or know as
something else, is missing or different then. Ends with 1 and says where."""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard


def differences(ours, theirs, at):
    """What `ours` has and `theirs` has not."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key in theirs:
                yield from differences(value, theirs[key], f"{at}.{key}")
            elif value is not None:
                yield f"{at}.{key}: no such field"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, value in enumerate(ours):
            yield from differences(value, theirs[index], f"{at}[{index}]")
    elif ours != theirs:
        yield f"{at}: {ours!r} is read as {theirs!r}"


register_default_plugins()
with open(sys.argv[1], encoding="utf-8") as file:
    dashboard = json.load(file)
read = Dashboard.from_json(dashboard)
again = json.loads(JSONEncoder(sort_keys=True).encode(read))
found = list(differences(dashboard, again, "dashboard"))
print("\n".join(found))
sys.exit(1 if found else 0)
