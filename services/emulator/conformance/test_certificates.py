"""Certificates, as Microsoft's client sees them, read again by an independent library."""

import base64
import datetime
import hashlib

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.keyvault.certificates import CertificateContentType, CertificatePolicy, WellKnownIssuerNames
from azure_local import refusal
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
YEAR = datetime.timedelta(days=365)


def issue(subject, issuer=None, end=NOW + YEAR, is_ca=None, key=None, extensions=()):
    """A certificate, self-signed or under `issuer`, which is such a pair too."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    is_ca = issuer is None if is_ca is None else is_ca
    named = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
    builder = x509.CertificateBuilder().subject_name(named(subject)).public_key(key.public_key())
    builder = builder.issuer_name(issuer[1].subject if issuer else named(subject)).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(end - 2 * YEAR).not_valid_after(end)
    builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return key, builder.sign(issuer[0] if issuer else key, hashes.SHA256())


def pfx(key, certificate, chain=(), password=None):
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return pkcs12.serialize_key_and_certificates(b"", key, certificate, list(chain), encryption)


def pem(key, *certificates, form=serialization.PrivateFormat.PKCS8):
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
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


def test_a_self_signed_certificate_is_for_what_its_policy_says(azure, name):
    policy = CertificatePolicy(
        WellKnownIssuerNames.self,
        subject='CN=leaf.test,O="Example, Inc."',
        san_dns_names=["leaf.test"],
        san_emails=["a@leaf.test"],
        san_user_principal_names=["b@leaf.test"],
        key_usage=["digitalSignature", "keyAgreement"],
        enhanced_key_usage=["1.3.6.1.5.5.7.3.3"],
        validity_in_months=3,
    )
    made = azure.certificates("eu-kv").begin_create_certificate(name, policy).result()
    certificate = x509.load_der_x509_certificate(bytes(made.cer))
    assert certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "Example, Inc."
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["leaf.test"]
    assert names.get_values_for_type(x509.RFC822Name) == ["a@leaf.test"]
    assert [other.value[2:] for other in names.get_values_for_type(x509.OtherName)] == [b"b@leaf.test"]
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and usage.key_agreement and not usage.key_encipherment
    extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.CODE_SIGNING]
    assert 85 < (certificate.not_valid_after_utc - NOW).days < 95


def test_a_policy_that_says_no_usage_has_the_default_ones(azure, name):
    policy = CertificatePolicy(WellKnownIssuerNames.self, subject="CN=leaf.test")
    made = azure.certificates("eu-kv").begin_create_certificate(name, policy).result()
    assert sorted(made.policy.key_usage) == ["digitalSignature", "keyEncipherment"]
    certificate = x509.load_der_x509_certificate(bytes(made.cer))
    extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(extended) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


@pytest.mark.parametrize("subject", ["CN=a,CN=b", "X=1", 'CN="a'])
def test_a_subject_that_cannot_be_kept_is_refused(azure, name, subject):
    policy = CertificatePolicy(WellKnownIssuerNames.self, subject=subject)
    with pytest.raises(HttpResponseError) as error:
        azure.certificates("eu-kv").begin_create_certificate(name, policy)
    assert refusal(error)[0] == 400 and "subject" in refusal(error)[2]


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
    key, leaf = issue("leaf")
    for begin in [
        lambda: client.begin_create_certificate(name, policy),
        lambda: client.import_certificate(name, pfx(key, leaf), policy=imported(CertificateContentType.pkcs12)),
    ]:
        with pytest.raises(HttpResponseError) as refused:
            begin()
        assert refused.value.status_code == 409
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


def test_a_restore_over_a_name_that_is_taken_is_refused(azure, name):
    key, leaf = issue("leaf")
    client = azure.certificates("eu-kv")
    client.import_certificate(name, pfx(key, leaf), policy=imported(CertificateContentType.pkcs12))
    blob = client.backup_certificate(name)
    with pytest.raises(ResourceExistsError):
        client.restore_certificate_backup(blob)
    for elsewhere, rule in [("us-kv", "geography"), ("other-kv", "subscription")]:
        with pytest.raises(HttpResponseError) as refused:
            azure.certificates(elsewhere).restore_certificate_backup(blob)
        assert rule in refusal(refused)[2]


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)])
def test_a_pem_with_a_key_that_is_not_pkcs8_is_refused(azure, name, key):
    key, leaf = issue("leaf", key=key)
    content = pem(key, leaf, form=serialization.PrivateFormat.TraditionalOpenSSL)
    with pytest.raises(HttpResponseError) as refused:
        azure.certificates("eu-kv").import_certificate(name, content, policy=imported(CertificateContentType.pem))
    assert refused.value.status_code == 400 and "PKCS#8" in refusal(refused)[2]


def test_the_content_type_is_never_guessed(azure, name):
    key, leaf = issue("leaf")
    client = azure.certificates("eu-kv")
    for content, policy in [(pem(key, leaf), None), (pem(key, leaf), imported(None)), (pfx(key, leaf), imported(CertificateContentType.pem))]:
        with pytest.raises(HttpResponseError) as refused:
            client.import_certificate(name, content, policy=policy)
        assert refused.value.status_code == 400
    # Without a policy a PFX is what Azure expects.
    assert client.import_certificate(name, pfx(key, leaf)).policy.content_type == CertificateContentType.pkcs12


def test_an_imported_certificates_policy_says_what_the_certificate_says(azure, name):
    usage = {word: word in ("digital_signature", "key_agreement") for word in (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )}
    key, leaf = issue("true.test", extensions=[
        x509.SubjectAlternativeName([x509.DNSName("true.test"), x509.RFC822Name("a@true.test")]),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
        x509.KeyUsage(**usage),
    ])
    policy = CertificatePolicy(
        "Unknown", subject="CN=false.test", san_dns_names=["false.test"], key_type="RSA", key_size=4096, validity_in_months=99,
        enhanced_key_usage=["1.2.3"], key_usage=["cRLSign"], content_type=CertificateContentType.pkcs12,
    )
    made = azure.certificates("eu-kv").import_certificate(name, pfx(key, leaf), policy=policy).policy
    assert made.subject == "CN=true.test" and made.san_dns_names == ["true.test"] and made.san_emails == ["a@true.test"]
    assert made.enhanced_key_usage == ["1.3.6.1.5.5.7.3.1"] and sorted(made.key_usage) == ["digitalSignature", "keyAgreement"]
    assert (made.key_type, made.key_curve_name, made.key_size) == ("EC", "P-256", None)
    assert made.validity_in_months == 24


def chain_of(azure, name):
    return x509.load_pem_x509_certificates(azure.secrets("eu-kv").get_secret(name).value.encode())


def test_the_order_of_a_chain_is_kept_on_demand_and_mended_otherwise(azure, name):
    root = issue("root")
    between = issue("between", root, is_ca=True)
    key, leaf = issue("leaf", between)
    shuffled = [root[1], leaf, between[1]]
    policy = imported(CertificateContentType.pem)
    for preserve, expected in [(True, shuffled), (False, [leaf, between[1], root[1]]), (None, [leaf, between[1], root[1]])]:
        made = azure.certificates("eu-kv").import_certificate(name, pem(key, *shuffled), policy=policy, preserve_order=preserve)
        assert made.properties.x509_thumbprint == thumbprint(leaf)
        assert chain_of(azure, name) == expected


def test_versions_are_listed_and_read_one_by_one(azure, name):
    client = azure.certificates("eu-kv")
    leaves = [issue(f"leaf-{number}") for number in range(3)]
    made = [client.import_certificate(name, pfx(*leaf), policy=imported(CertificateContentType.pkcs12)) for leaf in leaves]
    listed = list(client.list_properties_of_certificate_versions(name))
    assert {item.version for item in listed} == {item.properties.version for item in made}
    for (_, leaf), item in zip(leaves, made):
        assert client.get_certificate_version(name, item.properties.version).properties.x509_thumbprint == thumbprint(leaf)
    assert client.get_certificate(name).properties.version == made[-1].properties.version
    assert len(list(azure.keys("eu-kv").list_properties_of_key_versions(name))) == 3


def test_a_policy_is_read_and_changed(azure, name):
    client = azure.certificates("eu-kv")
    client.begin_create_certificate(name, CertificatePolicy.get_default()).result()
    policy = client.get_certificate_policy(name)
    assert policy.issuer_name == "Self" and policy.key_type == "RSA" and policy.content_type == CertificateContentType.pkcs12
    policy._content_type, policy._validity_in_months = CertificateContentType.pem, 7
    changed = client.update_certificate_policy(name, policy)
    assert (changed.content_type, changed.validity_in_months) == (CertificateContentType.pem, 7)
    assert client.get_certificate_policy(name).validity_in_months == 7
    # What there is stays as it was made.
    assert azure.secrets("eu-kv").get_secret(name).properties.content_type == "application/x-pkcs12"
    policy._validity_in_months = 0
    with pytest.raises(HttpResponseError):
        client.update_certificate_policy(name, policy)


def test_a_deleted_certificate_is_listed_and_purged(azure, name):
    key, leaf = issue("leaf")
    client = azure.certificates("eu-kv")
    client.import_certificate(name, pfx(key, leaf), policy=imported(CertificateContentType.pkcs12))
    client.begin_delete_certificate(name).wait()
    deleted = next(item for item in client.list_deleted_certificates() if item.name == name)
    assert deleted.recovery_id and deleted.properties.x509_thumbprint == thumbprint(leaf)
    with pytest.raises(ResourceExistsError) as refused:
        client.import_certificate(name, pfx(key, leaf), policy=imported(CertificateContentType.pkcs12))
    assert refusal(refused)[1] == "ObjectIsDeletedButRecoverable"
    client.purge_deleted_certificate(name)
    assert name not in [item.name for item in client.list_deleted_certificates()]
    assert azure.secrets("eu-kv").set_secret(name, "free").value == "free"


def test_a_key_in_an_hsm_does_not_leave_with_its_certificate(azure, name):
    key, leaf = issue("leaf")
    policy = CertificatePolicy("Unknown", key_type="EC-HSM", key_curve_name="P-256", content_type=CertificateContentType.pem)
    made = azure.certificates("hsm-kv").import_certificate(name, pem(key, leaf), policy=policy)
    assert made.policy.key_type == "EC-HSM" and azure.keys("hsm-kv").get_key(name).key_type == "EC-HSM"
    value = azure.secrets("hsm-kv").get_secret(name).value
    assert "PRIVATE KEY" not in value and x509.load_pem_x509_certificates(value.encode()) == [leaf]
    with pytest.raises(HttpResponseError):
        azure.certificates("eu-kv").import_certificate(name, pem(key, leaf), policy=policy)
    with pytest.raises(HttpResponseError):
        azure.certificates("eu-kv").begin_create_certificate(name, CertificatePolicy("Self", subject="CN=a", key_type="EC-HSM"))


def test_an_update_does_not_move_the_times_of_a_certificate(azure, name):
    key, leaf = issue("leaf")
    client = azure.certificates("eu-kv")
    made = client.import_certificate(name, pfx(key, leaf), policy=imported(CertificateContentType.pkcs12)).properties
    azure.call("PATCH", "eu-kv", f"/certificates/{name}", {"attributes": {"nbf": 1, "exp": 2, "enabled": False}})
    after = client.get_certificate(name).properties
    assert (after.not_before, after.expires_on, after.enabled) == (made.not_before, made.expires_on, False)


@pytest.mark.parametrize("reuse", [True, False])
def test_a_renewed_certificate_has_its_old_key_on_demand(azure, name, reuse):
    client = azure.certificates("eu-kv")
    policy = CertificatePolicy("Self", subject="CN=renewed", key_type="EC", key_curve_name="P-256", reuse_key=reuse)
    public = []
    for _ in range(2):
        made = client.begin_create_certificate(name, policy).result()
        public.append(x509.load_der_x509_certificate(bytes(made.cer)).public_key())
        request = x509.load_der_x509_csr(bytes(client.get_certificate_operation(name).csr))
        assert request.public_key() == public[-1]
    assert (public[0] == public[1]) == reuse


def test_what_was_never_issued_is_disabled(azure, name):
    client = azure.certificates("eu-kv")
    client.begin_create_certificate(name, CertificatePolicy("Contoso", subject="CN=pending"))
    pending = next(item for item in client.list_properties_of_certificates(include_pending=True) if item.name == name)
    assert pending.enabled is False and pending.x509_thumbprint is None
