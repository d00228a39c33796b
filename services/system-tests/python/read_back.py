"""Compares two vaults item by item with Microsoft's own clients; prints one JSON object.

Usage: read_back.py PORT CA SOURCE TARGET

Compared is every source item tagged `replicate=true` that can be replicated at all: enabled secrets, issued and
exportable certificates, keys. A key is compared by signing on one side and verifying on the other.
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


def is_wanted(properties):
    return (properties.tags or {}).get("replicate") == "true"


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


def certificate(azure, vault, name):
    read = azure.certificates(vault).get_certificate(name)
    value = azure.secrets(vault).get_secret(name)
    if value.properties.content_type == "application/x-pem-file":
        key = serialization.load_pem_private_key(value.value.encode(), None)
        chain = x509.load_pem_x509_certificates(value.value.encode())
    else:
        key, leaf, above = pkcs12.load_key_and_certificates(base64.b64decode(value.value), None)
        chain = [leaf, *above]
    return {
        "x5t": read.properties.x509_thumbprint.hex(),
        "content_type": value.properties.content_type,
        "key": key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        "chain": [item.public_bytes(serialization.Encoding.DER) for item in chain],
        **attributes(read.properties),
    }


def key(azure, vault, name):
    read = azure.keys(vault).get_key(name)
    policy = azure.keys(vault).get_key_rotation_policy(name)
    versions = sorted(item.version for item in azure.keys(vault).list_properties_of_key_versions(name))
    return read, {
        "version": read.properties.version,
        "versions": versions,
        "operations": sorted(read.key_operations),
        "rotation": [(str(action.action), action.time_after_create) for action in policy.lifetime_actions],
        **attributes(read.properties),
    }


def is_same_key(azure, source, target):
    algorithm, digest = ALGORITHMS[source.key.crv or "RSA"]
    digest = digest(source.name.encode()).digest()
    signature = azure.crypto(source).sign(algorithm, digest).signature
    return azure.crypto(target).verify(algorithm, digest, signature).is_valid


def main(port, ca, source, target):
    azure = Azure(int(port), ca)
    differences, counts = [], {"secrets": 0, "certificates": 0, "keys": 0}

    def compare(kind, name, read):
        counts[kind] += 1
        try:
            found = {side: read(side) for side in (source, target)}
        except ResourceNotFoundError as error:
            differences.append(f"{kind} {name}: {error.reason}")
            return
        for field in found[source]:
            if found[source][field] != found[target][field]:
                # Which field, never what is in it.
                differences.append(f"{kind} {name}: {field}")

    clients = {side: azure.secrets(side) for side in (source, target)}
    for item in clients[source].list_properties_of_secrets():
        if is_wanted(item) and item.enabled and not item.managed:
            compare("secrets", item.name, lambda side: secret(clients[side], item.name))
    for item in azure.certificates(source).list_properties_of_certificates():
        if is_wanted(item) and azure.certificates(source).get_certificate(item.name).policy.exportable:
            compare("certificates", item.name, lambda side: certificate(azure, side, item.name))
            if azure.certificates(target).get_certificate(item.name).policy.issuer_name != "Unknown":
                differences.append(f"certificates {item.name}: issuer")
    for item in azure.keys(source).list_properties_of_keys():
        if is_wanted(item) and not item.managed:
            compare("keys", item.name, lambda side: key(azure, side, item.name)[1])
            if not is_same_key(azure, key(azure, source, item.name)[0], key(azure, target, item.name)[0]):
                differences.append(f"keys {item.name}: another key")
    print(json.dumps({**counts, "differences": differences}))


if __name__ == "__main__":
    main(*sys.argv[1:])
