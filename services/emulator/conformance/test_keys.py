"""Keys, as Microsoft's client sees them; that a key is the same is shown by its signatures."""

import hashlib

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.keyvault.keys import JsonWebKey, KeyRotationLifetimeAction, KeyRotationPolicy, KeyRotationPolicyAction
from azure.keyvault.keys.crypto import SignatureAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

DIGEST = hashlib.sha256(b"what is signed").digest()


def test_an_rsa_key_signs_and_its_public_half_verifies(azure, name):
    key = azure.keys("eu-kv").create_rsa_key(name, size=2048)
    assert key.key_type == "RSA" and len(key.key.n) == 256
    signature = azure.crypto(key).sign(SignatureAlgorithm.rs256, DIGEST).signature
    public = rsa.RSAPublicNumbers(int.from_bytes(key.key.e, "big"), int.from_bytes(key.key.n, "big")).public_key()
    public.verify(signature, DIGEST, padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))


@pytest.mark.parametrize(
    ("curve", "algorithm", "digest"),
    [
        ("P-256", SignatureAlgorithm.es256, hashlib.sha256),
        ("P-384", SignatureAlgorithm.es384, hashlib.sha384),
        ("P-521", SignatureAlgorithm.es512, hashlib.sha512),
        ("P-256K", SignatureAlgorithm.es256_k, hashlib.sha256),
    ],
)
def test_an_ec_key_signs_and_verifies_and_refuses_another_digest(azure, name, curve, algorithm, digest):
    key = azure.keys("eu-kv").create_ec_key(name, curve=curve)
    crypto = azure.crypto(key)
    right, wrong = digest(b"right").digest(), digest(b"wrong").digest()
    signature = crypto.sign(algorithm, right).signature
    assert crypto.verify(algorithm, right, signature).is_valid
    assert not crypto.verify(algorithm, wrong, signature).is_valid


def test_a_restored_key_is_the_same_key_with_all_versions(azure, name):
    source, target = azure.keys("eu-kv"), azure.keys("ne-kv")
    source.create_ec_key(name, tags={"a": "b"})
    policy = KeyRotationPolicy(
        lifetime_actions=[KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_after_create="P90D")], expires_in="P1Y"
    )
    source.update_key_rotation_policy(name, policy)
    newest = source.rotate_key(name)
    restored = target.restore_key_backup(source.backup_key(name))
    assert restored.properties.version == newest.properties.version and restored.properties.tags == {"a": "b"}
    listed = [sorted(item.version for item in client.list_properties_of_key_versions(name)) for client in (source, target)]
    assert listed[0] == listed[1] and len(listed[0]) == 2
    assert target.get_key_rotation_policy(name).expires_in == "P1Y"
    signature = azure.crypto(newest).sign(SignatureAlgorithm.es256, DIGEST).signature
    assert azure.crypto(restored).verify(SignatureAlgorithm.es256, DIGEST, signature).is_valid


def test_a_key_is_restored_only_in_its_geography_and_subscription_and_only_once(azure, name):
    blob = (azure.keys("eu-kv").create_ec_key(name), azure.keys("eu-kv").backup_key(name))[1]
    for elsewhere in ("us-kv", "other-kv"):
        with pytest.raises(HttpResponseError) as refused:
            azure.keys(elsewhere).restore_key_backup(blob)
        assert refused.value.status_code == 400
    azure.keys("ne-kv").restore_key_backup(blob)
    with pytest.raises(ResourceExistsError):
        azure.keys("ne-kv").restore_key_backup(blob)


def test_an_imported_key_is_the_one_that_was_sent(azure, name):
    private = ec.generate_private_key(ec.SECP256R1())
    numbers = private.private_numbers()
    size = lambda number: number.to_bytes(32, "big")
    public = numbers.public_numbers
    jwk = JsonWebKey(kty="EC", crv="P-256", x=size(public.x), y=size(public.y), d=size(numbers.private_value), key_ops=["sign", "verify"])
    key = azure.keys("eu-kv").import_key(name, jwk)
    signature = azure.crypto(key).sign(SignatureAlgorithm.es256, DIGEST).signature
    der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    private.public_key().verify(der, DIGEST, ec.ECDSA(utils.Prehashed(hashes.SHA256())))


def test_a_key_may_only_do_what_its_operations_say(azure, name):
    client = azure.keys("eu-kv")
    client.create_ec_key(name)
    key = client.update_key_properties(name, key_operations=["verify"])
    with pytest.raises(HttpResponseError):
        azure.crypto(key.id).sign(SignatureAlgorithm.es256, DIGEST)


def test_a_key_is_deleted_recovered_and_purged(azure, name):
    client = azure.keys("eu-kv")
    client.create_ec_key(name)
    client.begin_delete_key(name).wait()
    assert client.get_deleted_key(name).name == name
    with pytest.raises(ResourceExistsError):
        client.create_ec_key(name)
    client.begin_recover_deleted_key(name).wait()
    assert client.get_key(name).name == name
    client.begin_delete_key(name).wait()
    client.purge_deleted_key(name)
    assert name not in [item.name for item in client.list_deleted_keys()]


def test_hsm_keys_need_a_premium_vault(azure, name):
    with pytest.raises(HttpResponseError) as refused:
        azure.keys("eu-kv").create_rsa_key(name, hardware_protected=True)
    assert refused.value.status_code == 400


def test_the_public_half_is_readable_by_other_tools(azure, name):
    key = azure.keys("eu-kv").create_ec_key(name, curve="P-384").key
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(key.x, "big"), int.from_bytes(key.y, "big"), ec.SECP384R1())
    pem = numbers.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert pem.startswith(b"-----BEGIN PUBLIC KEY-----")
