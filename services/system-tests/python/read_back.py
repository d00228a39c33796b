"""Compares two vaults item by item with Microsoft's own clients; prints one JSON object.

Usage: read_back.py PORT CA SOURCE TARGET [BLOCKED...]

Compared is every source item tagged `replicate=true` that can be replicated at all: enabled secrets, issued and
exportable certificates, keys; and the target must hold nothing else. Items of the names BLOCKED are left out, and the
target may have its own of them. Every version of a key signs in each vault what
the other then verifies: `signatures` counts those of one direction.
"""

import base64
import hashlib
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "emulator" / "conformance"))

from azure.core.exceptions import ResourceNotFoundError
from azure.keyvault.keys.crypto import SignatureAlgorithm
from azure_local import Azure
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

ALGORITHMS = {
    "RSA": (SignatureAlgorithm.rs256, hashlib.sha256),
    "P-256": (SignatureAlgorithm.es256, hashlib.sha256),
    "P-384": (SignatureAlgorithm.es384, hashlib.sha384),
}


def attributes(properties):
    return {
        "enabled": properties.enabled,
        "not_before": str(properties.not_before),
        "expires_on": str(properties.expires_on),
        "tags": properties.tags,
    }


def secret(client, name):
    read = client.get_secret(name)
    return {"value": read.value, "content_type": read.properties.content_type, **attributes(read.properties)}


def certificate(certificates, secrets, name):
    read = certificates.get_certificate(name)
    value = secrets.get_secret(name)
    if value.properties.content_type == "application/x-pem-file":
        key = serialization.load_pem_private_key(value.value.encode(), None)
        chain = x509.load_pem_x509_certificates(value.value.encode())
    else:
        key, leaf, above = pkcs12.load_key_and_certificates(base64.b64decode(value.value), None)
        chain = [leaf, *above]
    policy = read.policy
    return {
        "x5t": read.properties.x509_thumbprint.hex(),
        "content_type": value.properties.content_type,
        "key": key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        "chain": [item.public_bytes(serialization.Encoding.DER) for item in chain],
        "policy": {
            "key_type": str(policy.key_type),
            "key_size": policy.key_size,
            "key_curve_name": str(policy.key_curve_name),
            "reuse_key": policy.reuse_key,
            "exportable": policy.exportable,
            "content_type": str(policy.content_type),
        },
        **attributes(read.properties),
    }


def key_versions(client, name):
    versions = [client.get_key(name, item.version) for item in client.list_properties_of_key_versions(name)]
    return {version.properties.version: version for version in versions}


def key(client, name):
    policy = client.get_key_rotation_policy(name)
    return {
        "newest": client.get_key(name).properties.version,
        "rotation": [(str(action.action), action.time_after_create) for action in policy.lifetime_actions],
        "versions": {
            version: {"operations": sorted(read.key_operations), **attributes(read.properties)}
            for version, read in key_versions(client, name).items()
        },
    }


def is_same_key(azure, source, target):
    """Whether each vault verifies what the other has signed."""
    algorithm, digest = ALGORITHMS[source.key.crv or "RSA"]
    digest = digest(source.name.encode()).digest()
    crypto = [azure.crypto(side) for side in (source, target)]
    return all(
        verifier.verify(algorithm, digest, signer.sign(algorithm, digest).signature).is_valid
        for signer, verifier in (crypto, crypto[::-1])
    )


class Comparison:
    def __init__(self, azure, source, target, blocked):
        self.azure, self.sides, self.blocked = azure, (source, target), blocked
        self.secrets = [azure.secrets(side) for side in self.sides]
        self.certificates = [azure.certificates(side) for side in self.sides]
        self.keys = [azure.keys(side) for side in self.sides]
        self.differences, self.signatures = [], 0

    def compare(self, kind, name, read):
        """Whether both sides have the item; notes every field in which they differ."""
        try:
            source, target = read(0), read(1)
        except ResourceNotFoundError as error:
            self.differences.append(f"{kind} {name}: {error.reason}")
            return False
        # Which field, never what is in it.
        self.differences += [f"{kind} {name}: {field}" for field in source if source[field] != target[field]]
        return True

    def compare_secrets(self):
        names = self.wanted(self.secrets[0].list_properties_of_secrets(), lambda item: item.enabled and not item.managed)
        for name in names:
            self.compare("secrets", name, lambda side: secret(self.secrets[side], name))
        return names

    def compare_certificates(self):
        is_exportable = lambda item: self.certificates[0].get_certificate(item.name).policy.exportable
        names = self.wanted(self.certificates[0].list_properties_of_certificates(), is_exportable)
        for name in names:
            both = lambda side: certificate(self.certificates[side], self.secrets[side], name)
            if self.compare("certificates", name, both):
                if self.certificates[1].get_certificate(name).policy.issuer_name != "Unknown":
                    self.differences.append(f"certificates {name}: issuer")
        return names

    def compare_keys(self):
        names = self.wanted(self.keys[0].list_properties_of_keys(), lambda item: not item.managed)
        for name in names:
            if self.compare("keys", name, lambda side: key(self.keys[side], name)):
                source, target = (key_versions(client, name) for client in self.keys)
                self.signatures += len(source)
                if source.keys() != target.keys() or not all(is_same_key(self.azure, source[v], target[v]) for v in source):
                    self.differences.append(f"keys {name}: another key")
        return names

    def wanted(self, items, can_be_replicated):
        is_tagged = lambda item: (item.tags or {}).get("replicate") == "true"
        candidates = (item for item in items if is_tagged(item) and item.name not in self.blocked)
        return {item.name for item in candidates if can_be_replicated(item)}

    def nothing_else(self, secrets, certificates, keys):
        """The target holds these, what Key Vault keeps behind these certificates, and nothing more, alive or deleted."""
        clients = (self.secrets[1], self.certificates[1], self.keys[1])
        found = [
            ("secrets", secrets | certificates, clients[0].list_properties_of_secrets()),
            ("certificates", certificates, clients[1].list_properties_of_certificates(include_pending=True)),
            ("keys", keys | certificates, clients[2].list_properties_of_keys()),
            ("deleted secrets", set(), clients[0].list_deleted_secrets()),
            ("deleted certificates", set(), clients[1].list_deleted_certificates(include_pending=True)),
            ("deleted keys", set(), clients[2].list_deleted_keys()),
        ]
        for kind, expected, items in found:
            self.differences += [f"{kind} {name}: not expected" for name in {item.name for item in items} - expected - self.blocked]


def main(port, ca, source, target, *blocked):
    comparison = Comparison(Azure(int(port), ca), source, target, set(blocked))
    names = {
        "secrets": comparison.compare_secrets(),
        "certificates": comparison.compare_certificates(),
        "keys": comparison.compare_keys(),
    }
    comparison.nothing_else(**names)
    counts = {kind: len(found) for kind, found in names.items()}
    print(json.dumps({**counts, "signatures": comparison.signatures, "differences": comparison.differences}))


if __name__ == "__main__":
    main(*sys.argv[1:])
