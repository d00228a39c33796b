"""Certificates, as Microsoft's client sees them, read again by an independent library."""

import base64
import datetime
import hashlib

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.keyvault.certificates import CertificateContentType, CertificatePolicy, WellKnownIssuerNames
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
YEAR = datetime.timedelta(days=365)


def issue(subject, issuer=None, end=NOW + YEAR):
    """A certificate, self-signed or under `issuer`, which is such a pair too."""
    key = ec.generate_private_key(ec.SECP256R1())
    named = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
    builder = x509.CertificateBuilder().subject_name(named(subject)).public_key(key.public_key())
    builder = builder.issuer_name(issuer[1].subject if issuer else named(subject)).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(end - 2 * YEAR).not_valid_after(end)
    builder = builder.add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    return key, builder.sign(issuer[0] if issuer else key, hashes.SHA256())


def pfx(key, certificate, chain=(), password=None):
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return pkcs12.serialize_key_and_certificates(b"", key, certificate, list(chain), encryption)


def pem(key, *certificates):
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private + b"".join(item.public_bytes(serialization.Encoding.PEM) for item in certificates)


def imported(content_type, exportable=True):
    # Without a key type, the client sends no key properties at all, and `exportable=False` is lost with them.
    return CertificatePolicy(
        WellKnownIssuerNames.unknown, exportable=exportable, key_type="EC", key_curve_name="P-256", content_type=content_type
    )


def thumbprint(certificate):
    return hashlib.sha1(certificate.public_bytes(serialization.Encoding.DER)).digest()


@pytest.mark.parametrize("content_type", list(CertificateContentType))
def test_a_self_signed_certificate_is_made(azure, name, content_type):
    policy = CertificatePolicy.get_default()
    policy._content_type = content_type
    made = azure.certificates("eu-kv").begin_create_certificate(name, policy, tags={"a": "b"}).result()
    certificate = x509.load_der_x509_certificate(bytes(made.cer))
    assert made.properties.x509_thumbprint == thumbprint(certificate) and made.properties.tags == {"a": "b"}
    assert made.policy.issuer_name == "Self"


@pytest.mark.parametrize("password", [None, b"pass"])
def test_a_pfx_with_chain_is_exported_again(azure, name, password):
    root = issue("root")
    key, leaf = issue("leaf", root)
    client = azure.certificates("eu-kv")
    options = {"password": password.decode()} if password else {}
    made = client.import_certificate(
        name, pfx(key, leaf, [root[1]], password), policy=imported(CertificateContentType.pkcs12), **options
    )
    assert made.properties.x509_thumbprint == thumbprint(leaf)
    secret = azure.secrets("eu-kv").get_secret(name)
    assert secret.properties.content_type == "application/x-pkcs12" and secret.properties.managed
    out_key, out_leaf, out_chain = pkcs12.load_key_and_certificates(base64.b64decode(secret.value), None)
    assert out_leaf == leaf and out_chain == [root[1]]
    assert out_key.private_numbers() == key.private_numbers()


def test_a_pem_with_chain_is_exported_again(azure, name):
    root = issue("root")
    key, leaf = issue("leaf", root)
    azure.certificates("eu-kv").import_certificate(name, pem(key, leaf, root[1]), policy=imported(CertificateContentType.pem))
    secret = azure.secrets("eu-kv").get_secret(name)
    assert secret.properties.content_type == "application/x-pem-file"
    assert x509.load_pem_x509_certificates(secret.value.encode()) == [leaf, root[1]]
    out = serialization.load_pem_private_key(secret.value.encode(), None)
    assert out.private_numbers() == key.private_numbers()


def test_a_key_that_may_not_leave_does_not(azure, name):
    key, leaf = issue("leaf")
    policy = imported(CertificateContentType.pem, exportable=False)
    azure.certificates("eu-kv").import_certificate(name, pem(key, leaf), policy=policy)
    assert "PRIVATE KEY" not in azure.secrets("eu-kv").get_secret(name).value


def test_what_cannot_be_imported_is_refused(azure, name):
    key, expired = issue("old", end=NOW - datetime.timedelta(days=1))
    client = azure.certificates("eu-kv")
    for content, content_type in [
        (pfx(key, expired), CertificateContentType.pkcs12),
        (expired.public_bytes(serialization.Encoding.PEM), CertificateContentType.pem),
        (b"nonsense", CertificateContentType.pkcs12),
    ]:
        with pytest.raises(HttpResponseError) as refused:
            client.import_certificate(name, content, policy=imported(content_type))
        assert refused.value.status_code == 400


def test_names_are_shared_with_secrets_and_keys(azure, name):
    azure.secrets("eu-kv").set_secret(name, "x")
    key, leaf = issue("leaf")
    with pytest.raises(HttpResponseError) as refused:
        azure.certificates("eu-kv").import_certificate(name, pfx(key, leaf), policy=imported(CertificateContentType.pkcs12))
    assert refused.value.status_code == 409
    other = name + "-c"
    azure.certificates("eu-kv").import_certificate(other, pfx(key, leaf), policy=imported(CertificateContentType.pkcs12))
    with pytest.raises(HttpResponseError) as refused:
        azure.secrets("eu-kv").set_secret(other, "y")
    assert refused.value.status_code == 403


def test_the_certificates_own_items_are_listed_as_managed(azure, name):
    key, leaf = issue("leaf")
    azure.certificates("eu-kv").import_certificate(name, pfx(key, leaf), policy=imported(CertificateContentType.pkcs12))
    secret = next(item for item in azure.secrets("eu-kv").list_properties_of_secrets() if item.name == name)
    own = next(item for item in azure.keys("eu-kv").list_properties_of_keys() if item.name == name)
    assert secret.managed and own.managed


def test_a_pending_certificate_is_listed_on_demand_only(azure, name):
    client = azure.certificates("eu-kv")
    policy = CertificatePolicy("Contoso", subject="CN=pending")
    client.begin_create_certificate(name, policy)
    listed = lambda **options: name in [item.name for item in client.list_properties_of_certificates(**options)]
    assert not listed() and listed(include_pending=True)
    assert client.get_certificate_operation(name).status == "inProgress"
    client.cancel_certificate_operation(name)
    client.delete_certificate_operation(name)
    assert not listed(include_pending=True)


def test_updates_deletes_and_recovery(azure, name):
    key, leaf = issue("leaf")
    client = azure.certificates("eu-kv")
    made = client.import_certificate(name, pfx(key, leaf), policy=imported(CertificateContentType.pkcs12))
    changed = client.update_certificate_properties(name, made.properties.version, enabled=False, tags={"x": "y"})
    assert not changed.properties.enabled and changed.properties.tags == {"x": "y"}
    client.begin_delete_certificate(name).wait()
    assert name not in [item.name for item in azure.secrets("eu-kv").list_deleted_secrets()]
    with pytest.raises(ResourceNotFoundError):
        azure.secrets("eu-kv").get_secret(name)
    client.begin_recover_deleted_certificate(name).wait()
    assert client.get_certificate(name).properties.x509_thumbprint == thumbprint(leaf)


def test_a_backup_is_restored_beside(azure, name):
    key, leaf = issue("leaf")
    client = azure.certificates("eu-kv")
    client.import_certificate(name, pfx(key, leaf), policy=imported(CertificateContentType.pkcs12))
    restored = azure.certificates("ne-kv").restore_certificate_backup(client.backup_certificate(name))
    assert restored.properties.x509_thumbprint == thumbprint(leaf)
