"""One emulator for the whole suite, under a small estate; each test uses names of its own."""

import datetime
import json
import os
import pathlib
import subprocess
import urllib.request
import uuid

import pytest
from azure_local import CLIENT_ID, CLIENT_SECRET, TENANT, Azure
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

ROOT = pathlib.Path(__file__).resolve().parents[3]

ADMINISTRATOR = "roles: [{ identity: keyferry, role: Key Vault Administrator }]"


def vault(name, region="westeurope", more=""):
    return f"      - {{ name: {name}, resource_group: rg, region: {region}, {ADMINISTRATOR}{more} }}\n"


ONE = [
    vault("eu-kv"),
    vault("ne-kv", "northeurope"),
    vault("us-kv", "eastus"),
    vault("gov-kv", "usgovvirginia"),
    vault("dod-kv", "usdodcentral"),
    vault("dod2-kv", "usdodeast"),
    vault("kept-kv", more=", purge_protection: true"),
    vault("hsm-kv", more=", sku: premium"),
    vault("shut-kv", more=", firewall: deny"),
    vault("limit-kv"),
    vault("many-kv", more=', items: { secrets: [{ name: "bulk-{n}", count: 60 }] }'),
    vault("worn-kv", more=", items: { secrets: [{ name: worn, versions: 501 }], keys: [{ name: worn, type: EC, versions: 501 }] }"),
]
LIMITED = [vault(f"three{number}-kv") for number in range(6)]
ESTATE = f"""
tenant: {TENANT}
identities:
  - {{ name: keyferry, client_id: {CLIENT_ID}, client_secret: {CLIENT_SECRET}, client_certificate: CERTIFICATE }}
  - {{ name: stranger, client_id: 00000000-0000-4000-8000-0000000000cc, client_secret: strange }}
  - {{ name: blind, client_id: 00000000-0000-4000-8000-0000000000dd, client_secret: blind, arm: false }}
subscriptions:
  - id: 00000000-0000-4000-8000-000000000001
    name: one
    vaults:
{"".join(ONE)}
      - name: legacy-kv
        resource_group: rg
        region: westeurope
        authorization: access_policies
        access_policies: [{{ identity: keyferry, secrets: [get, list], keys: [list, create], certificates: [all] }}]
      - name: reader-kv
        resource_group: rg
        region: westeurope
        roles: [{{ identity: keyferry, role: Key Vault Reader }}]
        items: {{ secrets: [{{ name: seen, value: unseen }}] }}
      - name: custom-kv
        resource_group: rg
        region: westeurope
        roles: [{{ identity: keyferry, role: Key Vault Administrator }}, {{ identity: stranger, role: Keeper }}]
  - id: 00000000-0000-4000-8000-000000000002
    name: two
    vaults:
{vault("other-kv")}
  - id: 00000000-0000-4000-8000-000000000003
    name: three
    vaults:
{"".join(LIMITED)}
custom_roles:
  - name: keeper
    data_actions: ["Microsoft.KeyVault/vaults/secrets/*", "Microsoft.KeyVault/vaults/*/read"]
    not_data_actions: ["Microsoft.KeyVault/vaults/secrets/delete", "Microsoft.KeyVault/vaults/secrets/purge/action"]
"""


DEFAULTS = {
    "latency_ms": 0,
    "phase_ms": 200,
    "limits": "off",
    "empty_first_pages": False,
    "clock_offset_ms": 0,
    "token_lifetime_s": 3599,
    "arm_page_size": 100,
}


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

    def faults(self, *faults, seed=0):
        return self.call("PUT", "/faults", {"seed": seed, "faults": list(faults)})

    def count(self, vault, operation, what="calls"):
        rows = self.call("GET", "/counts")["rows"]
        return sum(row[what] for row in rows if row["vault"] == vault and row["operation"] == operation)


def _self_signed():
    """A certificate and the same with its key, in PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start.replace(year=2090))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate, private + certificate


@pytest.fixture(scope="session")
def client_certificate():
    return _self_signed()


@pytest.fixture(scope="session")
def other_certificate():
    return _self_signed()


@pytest.fixture(scope="session")
def running(tmp_path_factory, client_certificate):
    folder = tmp_path_factory.mktemp("emulator")
    (folder / "estate.yaml").write_text(ESTATE.replace("CERTIFICATE", json.dumps(client_certificate[0].decode())))
    program = os.environ.get("KEYFERRY_BIN", ROOT / "target" / "debug" / "keyferry")
    command = [program, "emulator", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--limits", "off"]
    command += ["--estate", folder / "estate.yaml", "--ca-out", folder / "ca.pem", "--exit-with-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            line = json.loads(process.stdout.readline())
            port = int(line["listening"].rsplit(":", 1)[1])
            yield Azure(port, str(folder / "ca.pem")), Admin(line["admin"])
            process.stdin.close()
            process.wait(timeout=30)
        finally:
            process.kill()


@pytest.fixture
def azure(running):
    return running[0]


@pytest.fixture
def admin(running):
    yield running[1]
    running[1].faults()
    running[1].settings(**DEFAULTS)


@pytest.fixture
def stranger(azure):
    """Somebody who has no role but a custom one, in one vault."""
    return azure.as_identity("cc", "strange")


@pytest.fixture
def name():
    return f"n-{uuid.uuid4().hex[:12]}"
