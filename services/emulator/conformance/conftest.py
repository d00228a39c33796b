"""One emulator for the whole suite, under a small estate; each test uses names of its own."""

import json
import os
import pathlib
import subprocess
import urllib.request
import uuid

import pytest
from azure_local import CLIENT_ID, CLIENT_SECRET, TENANT, Azure

ROOT = pathlib.Path(__file__).resolve().parents[3]

ADMINISTRATOR = "roles: [{ identity: keyferry, role: Key Vault Administrator }]"
ESTATE = f"""
tenant: {TENANT}
identities:
  - {{ name: keyferry, client_id: {CLIENT_ID}, client_secret: {CLIENT_SECRET} }}
  - {{ name: stranger, client_id: 00000000-0000-4000-8000-0000000000cc, client_secret: strange }}
subscriptions:
  - id: 00000000-0000-4000-8000-000000000001
    name: one
    vaults:
      - {{ name: eu-kv, resource_group: rg, region: westeurope, {ADMINISTRATOR} }}
      - {{ name: ne-kv, resource_group: rg, region: northeurope, {ADMINISTRATOR} }}
      - {{ name: us-kv, resource_group: rg, region: eastus, {ADMINISTRATOR} }}
      - {{ name: kept-kv, resource_group: rg, region: westeurope, purge_protection: true, {ADMINISTRATOR} }}
      - name: many-kv
        resource_group: rg
        region: westeurope
        {ADMINISTRATOR}
        items: {{ secrets: [{{ name: "bulk-{{n}}", count: 60 }}] }}
      - name: legacy-kv
        resource_group: rg
        region: westeurope
        authorization: access_policies
        access_policies: [{{ identity: keyferry, secrets: [get, list] }}]
      - {{ name: shut-kv, resource_group: rg, region: westeurope, firewall: deny, {ADMINISTRATOR} }}
      - name: reader-kv
        resource_group: rg
        region: westeurope
        roles: [{{ identity: keyferry, role: Key Vault Reader }}]
        items: {{ secrets: [{{ name: seen, value: unseen }}] }}
  - id: 00000000-0000-4000-8000-000000000002
    name: two
    vaults:
      - {{ name: other-kv, resource_group: rg, region: westeurope, {ADMINISTRATOR} }}
"""


class Admin:
    """The emulator's admin listener."""

    def __init__(self, address):
        self.base = f"http://{address}"

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def settings(self, **changes):
        return self.call("PATCH", "/settings", changes)

    def faults(self, *faults):
        return self.call("PUT", "/faults", {"faults": list(faults)})

    def count(self, vault, operation, what="calls"):
        rows = self.call("GET", "/counts")["rows"]
        return sum(row[what] for row in rows if row["vault"] == vault and row["operation"] == operation)


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("emulator")
    (folder / "estate.yaml").write_text(ESTATE)
    program = os.environ.get("KEYFERRY_BIN", ROOT / "target" / "debug" / "keyferry")
    command = [program, "emulator", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--limits", "off"]
    command += ["--estate", folder / "estate.yaml", "--ca-out", folder / "ca.pem", "--exit-with-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        line = json.loads(process.stdout.readline())
        port = int(line["listening"].rsplit(":", 1)[1])
        yield Azure(port, str(folder / "ca.pem")), Admin(line["admin"])
        process.stdin.close()


@pytest.fixture
def azure(running):
    return running[0]


@pytest.fixture
def admin(running):
    yield running[1]
    running[1].faults()
    running[1].settings(latency_ms=0, phase_ms=200, limits="off", empty_first_pages=False, clock_offset_ms=0)


@pytest.fixture
def name():
    return f"n-{uuid.uuid4().hex[:12]}"
