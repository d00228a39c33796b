"""Who may do what, and how refusals look."""

import urllib.error

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity import CertificateCredential
from azure.keyvault.certificates import CertificatePolicy
from azure.keyvault.secrets import SecretClient
from azure_local import TENANT, refusal


def test_a_client_certificate_gets_a_token_and_another_one_does_not(azure, client_certificate, other_certificate):
    def listed(pem):
        credential = CertificateCredential(
            TENANT,
            azure.client_id,
            certificate_data=pem,
            authority=f"https://login.localhost:{azure.port}",
            disable_instance_discovery=True,
            connection_verify=azure.ca,
        )
        client = SecretClient(azure.url("reader-kv"), credential, connection_verify=azure.ca, retry_total=0)
        return [item.name for item in client.list_properties_of_secrets()]

    assert listed(client_certificate[1]) == ["seen"]
    with pytest.raises(ClientAuthenticationError) as refused:
        listed(other_certificate[1])
    assert "AADSTS700027" in str(refused.value)


def test_an_identity_without_a_role_is_told_which_action_it_lacks(stranger):
    with pytest.raises(HttpResponseError) as refused:
        stranger.secrets("eu-kv").get_secret("any")
    status, inner, message = refusal(refused)
    assert (status, inner) == (403, "ForbiddenByRbac")
    assert "Microsoft.KeyVault/vaults/secrets/getSecret/action" in message and "\r\n" in message


def test_a_reader_lists_and_reads_no_value(azure):
    client = azure.secrets("reader-kv")
    assert [item.name for item in client.list_properties_of_secrets()] == ["seen"]
    with pytest.raises(HttpResponseError) as refused:
        client.get_secret("seen")
    assert refusal(refused)[1] == "ForbiddenByRbac"


def test_a_custom_role_grants_its_wildcards_but_for_what_it_takes_out(stranger, name):
    secrets = stranger.secrets("custom-kv")
    secrets.set_secret(name, "x")
    assert secrets.get_secret(name).value == "x"
    assert list(stranger.keys("custom-kv").list_properties_of_keys()) == []
    for forbidden in [
        lambda: secrets.begin_delete_secret(name),
        lambda: stranger.keys("custom-kv").create_ec_key(name),
        lambda: stranger.certificates("custom-kv").backup_certificate(name),
    ]:
        with pytest.raises(HttpResponseError) as refused:
            forbidden()
        assert refusal(refused)[:2] == (403, "ForbiddenByRbac")


def test_access_policies_grant_by_name(azure, name):
    secrets, keys, certificates = azure.secrets("legacy-kv"), azure.keys("legacy-kv"), azure.certificates("legacy-kv")
    assert list(secrets.list_properties_of_secrets()) == []
    keys.create_ec_key(name)
    assert name in [item.name for item in keys.list_properties_of_keys()]
    certificates.begin_create_certificate(name + "-c", CertificatePolicy.get_default()).result()
    certificates.begin_delete_certificate(name + "-c").wait()
    for forbidden, kind, permission in [
        (lambda: secrets.set_secret(name, "x"), "secrets", "set"),
        (lambda: keys.get_key(name), "keys", "get"),
        (lambda: keys.backup_key(name), "keys", "backup"),
    ]:
        with pytest.raises(HttpResponseError) as refused:
            forbidden()
        status, inner, message = refusal(refused)
        assert (status, inner) == (403, "AccessDenied") and f"{kind} {permission} permission" in message


def test_a_firewall_shuts_everybody_out(azure):
    with pytest.raises(HttpResponseError) as refused:
        azure.secrets("shut-kv").get_secret("any")
    assert refusal(refused)[:2] == (403, "ForbiddenByFirewall")


def test_the_admin_listener_changes_roles_and_firewalls_at_once(azure, admin, stranger, name):
    keyferry = {"identity": "keyferry", "role": "Key Vault Administrator"}
    try:
        admin.call("PATCH", "/vaults/custom-kv", {"roles": [keyferry, {"identity": "STRANGER", "role": "key vault reader"}]})
        with pytest.raises(HttpResponseError) as refused:
            stranger.secrets("custom-kv").set_secret(name, "x")
        assert refusal(refused)[1] == "ForbiddenByRbac"
        admin.call("PATCH", "/vaults/custom-kv", {"firewall": "deny"})
        with pytest.raises(HttpResponseError) as refused:
            azure.secrets("custom-kv").get_secret(name)
        assert refusal(refused)[1] == "ForbiddenByFirewall"
        shown = next(vault for vault in admin.call("GET", "/vaults")["vaults"] if vault["name"] == "custom-kv")
        assert shown["firewall"] == "deny"
    finally:
        admin.call("PATCH", "/vaults/custom-kv", {"firewall": "open", "roles": [keyferry, {"identity": "stranger", "role": "keeper"}]})
    with pytest.raises(ResourceNotFoundError):
        azure.secrets("custom-kv").get_secret(name)


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("/vaults/custom-kv", {"roles": [{"identity": "nobody", "role": "Key Vault Reader"}]}, "nobody"),
        ("/vaults/custom-kv", {"roles": [{"identity": "stranger", "role": "King"}]}, "King"),
        ("/vaults/custom-kv", {"colour": "red"}, "colour"),
        ("/settings", {"latency_ms": 2**64 - 1}, "latency_ms"),
        ("/settings", {"phase_ms": 2**64 - 1}, "phase_ms"),
        ("/settings", {"clock_offset_ms": 2**63 - 1}, "clock_offset_ms"),
        ("/settings", {"clock_offset_ms": -(2**63)}, "clock_offset_ms"),
        ("/settings", {"token_lifetime_s": 2**63 - 1}, "token_lifetime_s"),
        ("/settings", {"token_lifetime_s": -1}, "token_lifetime_s"),
        ("/settings", {"arm_page_size": 0}, "arm_page_size"),
        ("/settings", {"latency_ms": 7, "phase_ms": -1}, "phase_ms"),
    ],
)
def test_the_admin_listener_refuses_what_cannot_be_meant(admin, path, body, word):
    before = admin.call("GET", "/settings")
    with pytest.raises(urllib.error.HTTPError) as refused:
        admin.call("PATCH", path, body)
    text = refused.value.read().decode()
    assert refused.value.code == 400 and (word in text or "invalid value" in text)
    assert admin.call("GET", "/settings") == before


def test_the_furthest_clock_and_phase_are_survived(azure, admin, name):
    client = azure.secrets("eu-kv")
    for offset in (50 * 365 * 86_400_000, -50 * 365 * 86_400_000):
        admin.settings(clock_offset_ms=offset, phase_ms=86_400_000)
        made = f"{name}-{offset}".replace("--", "-m")
        client.set_secret(made, "x")
        azure.certificates("eu-kv").begin_create_certificate(made + "-c", CertificatePolicy.get_default()).result()
        assert azure.call("DELETE", "eu-kv", f"/secrets/{made}").status == 200
        assert azure.call("PUT", "eu-kv", f"/secrets/{made}", {"value": "y"}).status == 409
