"""Keys, as Microsoft's client sees them; that a key is the same is shown by its signatures."""

import datetime
import hashlib

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.keyvault.keys import JsonWebKey, KeyRotationLifetimeAction, KeyRotationPolicy, KeyRotationPolicyAction
from azure.keyvault.keys.crypto import SignatureAlgorithm
from azure_local import refusal
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


@pytest.mark.parametrize(("elsewhere", "rule"), [("us-kv", "geography"), ("other-kv", "subscription")])
def test_a_key_is_not_restored_elsewhere_and_is_told_by_which_rule(azure, name, elsewhere, rule):
    client = azure.keys("eu-kv")
    client.create_ec_key(name)
    with pytest.raises(HttpResponseError) as refused:
        azure.keys(elsewhere).restore_key_backup(client.backup_key(name))
    status, _, message = refusal(refused)
    assert status == 400 and f"another {rule}" in message
    assert not {"geography", "subscription"} - {rule} & set(message.replace(".", "").split())


@pytest.mark.parametrize(("source", "target"), [("gov-kv", "dod-kv"), ("dod-kv", "dod2-kv"), ("dod-kv", "gov-kv"), ("eu-kv", "gov-kv")])
def test_regions_of_the_us_dod_are_worlds_of_their_own(azure, name, source, target):
    azure.keys(source).create_ec_key(name)
    with pytest.raises(HttpResponseError) as refused:
        azure.keys(target).restore_key_backup(azure.keys(source).backup_key(name))
    assert refused.value.status_code == 400 and "geography" in refusal(refused)[2]


def test_a_restore_is_a_create_and_never_an_update(azure, name):
    client = azure.keys("ne-kv")
    azure.keys("eu-kv").create_ec_key(name)
    blob = azure.keys("eu-kv").backup_key(name)
    client.restore_key_backup(blob)
    with pytest.raises(ResourceExistsError):
        client.restore_key_backup(blob)
    client.begin_delete_key(name).wait()
    with pytest.raises(ResourceExistsError) as refused:
        client.restore_key_backup(blob)
    assert refusal(refused)[:2] == (409, "ObjectIsDeletedButRecoverable")
    client.purge_deleted_key(name)
    assert client.restore_key_backup(blob).name == name


def test_a_blob_that_was_changed_is_no_backup(azure, name):
    azure.keys("eu-kv").create_ec_key(name)
    blob = bytearray(azure.keys("eu-kv").backup_key(name))
    blob[-1] ^= 1
    with pytest.raises(HttpResponseError) as refused:
        azure.keys("ne-kv").restore_key_backup(bytes(blob))
    assert refused.value.status_code == 400 and "not a valid backup" in refusal(refused)[2]


def test_a_key_with_more_than_500_versions_has_no_backup(azure):
    with pytest.raises(HttpResponseError) as refused:
        azure.keys("worn-kv").backup_key("worn")
    assert refused.value.status_code == 400 and "versions" in refusal(refused)[2]


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


def test_a_key_outside_its_times_verifies_but_does_not_sign(azure, name):
    now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
    client = azure.keys("eu-kv")
    key = client.create_ec_key(name)
    crypto = azure.crypto(key.id)
    signature = crypto.sign(SignatureAlgorithm.es256, DIGEST).signature
    for times, inner in [({"not_before": now + day}, "KeyNotYetValid"), ({"not_before": now - 2 * day, "expires_on": now - day}, "KeyExpired")]:
        client.update_key_properties(name, **times)
        assert azure.crypto(key.id).verify(SignatureAlgorithm.es256, DIGEST, signature).is_valid
        answer = azure.call("POST", "eu-kv", f"/keys/{name}/sign", {"alg": "ES256", "value": "A" * 43})
        assert (answer.status, answer.body["error"]["innererror"]["code"]) == (403, inner)
    client.update_key_properties(name, enabled=False)
    answer = azure.call("POST", "eu-kv", f"/keys/{name}/verify", {"alg": "ES256", "value": "A" * 86, "digest": "A" * 43})
    assert (answer.status, answer.body["error"]["innererror"]["code"]) == (403, "KeyDisabled")
    assert client.get_key(name).properties.enabled is False and client.backup_key(name)


def test_a_rotated_key_expires_as_its_policy_says(azure, name):
    client = azure.keys("eu-kv")
    client.create_ec_key(name)
    client.update_key_rotation_policy(name, KeyRotationPolicy(expires_in="P90D"))
    rotated = client.rotate_key(name).properties
    assert rotated.expires_on - rotated.created_on == datetime.timedelta(days=90)


@pytest.mark.parametrize("policy", [{"attributes": {"expiryTime": "P1D"}}, {"attributes": {"expiryTime": "soon"}}, {"lifetimeActions": [{"trigger": {}, "action": {"type": "Rotate"}}]}])
def test_a_rotation_policy_that_cannot_be_meant_is_refused(azure, name, policy):
    azure.keys("eu-kv").create_ec_key(name)
    assert azure.call("PUT", "eu-kv", f"/keys/{name}/rotationpolicy", policy).status == 400
    assert azure.keys("eu-kv").get_key_rotation_policy(name).expires_in is None


def test_keys_live_in_the_hsm_of_a_premium_vault(azure, name):
    client = azure.keys("hsm-kv")
    key = client.create_ec_key(name, hardware_protected=True)
    assert key.key_type == "EC-HSM" and key.properties.hsm_platform
    with pytest.raises(HttpResponseError) as refused:
        azure.keys("eu-kv").restore_key_backup(client.backup_key(name))
    assert refused.value.status_code == 400 and "premium" in refusal(refused)[2]


def test_an_rsa_key_of_a_size_that_key_vault_does_not_take_is_refused(azure, name):
    numbers = rsa.generate_private_key(public_exponent=65537, key_size=1024).private_numbers()
    size = lambda number: number.to_bytes((number.bit_length() + 7) // 8, "big")
    public = numbers.public_numbers
    jwk = JsonWebKey(kty="RSA", n=size(public.n), e=size(public.e), d=size(numbers.d), p=size(numbers.p), q=size(numbers.q))
    with pytest.raises(HttpResponseError) as refused:
        azure.keys("eu-kv").import_key(name, jwk)
    assert refused.value.status_code == 400 and "1024" in refusal(refused)[2]


def test_an_empty_first_page_of_versions_is_not_the_end(azure, admin, name):
    client = azure.keys("eu-kv")
    client.create_ec_key(name)
    admin.settings(empty_first_pages=True)
    pages = [list(page) for page in client.list_properties_of_key_versions(name).by_page()]
    assert pages[0] == [] and sum(map(len, pages)) == 1


@pytest.mark.parametrize("asked", [{"public_exponent": 3}, {"exportable": True}])
def test_a_key_that_would_be_another_than_was_asked_for_is_refused(azure, name, asked):
    with pytest.raises(HttpResponseError) as refused:
        azure.keys("eu-kv").create_rsa_key(name, size=2048, **asked)
    assert refusal(refused)[0] == 400 and next(iter(asked)) in refusal(refused)[2]


def test_the_usual_public_exponent_may_be_said(azure, name):
    assert azure.keys("eu-kv").create_rsa_key(name, size=2048, public_exponent=65537).key.e == b"\x01\x00\x01"
