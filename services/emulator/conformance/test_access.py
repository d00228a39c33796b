"""Who may do what, how refusals look, limits, and failures on demand."""

import dataclasses
import json
import ssl
import urllib.error
import urllib.request

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient


def refusal(error):
    body = json.loads(error.value.response.text())["error"]
    return error.value.status_code, body.get("innererror", {}).get("code"), body["message"]


def test_a_wrong_client_secret_gets_no_token(azure):
    wrong = dataclasses.replace(azure, client_secret="wrong")
    with pytest.raises(ClientAuthenticationError):
        wrong.secrets("eu-kv").get_secret("any")


def test_an_identity_without_a_role_is_told_which_action_it_lacks(azure):
    stranger = dataclasses.replace(azure, client_id="00000000-0000-4000-8000-0000000000cc", client_secret="strange")
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


def test_access_policies_grant_by_name(azure, name):
    client = azure.secrets("legacy-kv")
    assert list(client.list_properties_of_secrets()) == []
    with pytest.raises(HttpResponseError) as refused:
        client.set_secret(name, "x")
    assert refusal(refused)[:2] == (403, "AccessDenied")


def test_a_firewall_shuts_everybody_out(azure):
    with pytest.raises(HttpResponseError) as refused:
        azure.secrets("shut-kv").get_secret("any")
    assert refusal(refused)[:2] == (403, "ForbiddenByFirewall")


def test_a_managed_identity_gets_a_token(azure, admin, monkeypatch):
    monkeypatch.setenv("IDENTITY_ENDPOINT", admin.base + "/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", azure.client_secret)
    client = SecretClient(azure.url("many-kv"), ManagedIdentityCredential(), connection_verify=azure.ca)
    assert client.get_secret("bulk-1").value


def test_the_300th_creating_write_in_ten_seconds_is_the_last(azure, admin, name):
    admin.settings(limits="azure")
    client = azure.secrets("us-kv")
    with pytest.raises(HttpResponseError) as refused:
        for number in range(301):
            client.set_secret(name, str(number))
    assert refused.value.status_code == 429 and int(refused.value.response.headers["Retry-After"]) >= 1
    assert admin.count("us-kv", "secrets.set", "applied") >= 300


def test_a_fault_hits_before_or_after_the_effect(azure, admin, name):
    client = azure.secrets("eu-kv")
    client.set_secret(name, "old")
    fault = {"operation": "secrets.set", "item": name, "count": 1, "then": {"status": {"status": 500}}}
    for when, expected in [("before", "old"), ("after", "new")]:
        admin.faults({**fault, "when": when})
        with pytest.raises(HttpResponseError):
            client.set_secret(name, "new")
        assert client.get_secret(name).value == expected


def test_a_connection_can_be_reset(azure, admin, name):
    admin.faults({"operation": "secrets.get", "item": name, "then": "reset"})
    with pytest.raises((ServiceRequestError, ServiceResponseError)):
        azure.secrets("eu-kv").get_secret(name)


def test_counts_tell_calls_from_probes(azure, admin):
    azure.secrets("many-kv").get_secret("bulk-1")
    admin.call("DELETE", "/counts")
    azure.secrets("many-kv").get_secret("bulk-1")
    with pytest.raises(urllib.error.HTTPError) as probe:
        context = ssl.create_default_context(cafile=azure.ca)
        urllib.request.urlopen(f"{azure.url('many-kv')}/secrets/bulk-1?api-version=7.4", context=context, timeout=30)
    assert probe.value.status == 401 and "authorization=" in probe.value.headers["WWW-Authenticate"]
    assert admin.count("many-kv", "secrets.get") == 1
    assert admin.count("many-kv", "secrets.get", "challenged") == 1


def test_the_management_plane_describes_vaults_and_permissions(azure):
    context = ssl.create_default_context(cafile=azure.ca)
    base = f"https://management.localhost:{azure.port}"
    token = azure.credential().get_token(f"{base}/.default").token

    def get(path):
        request = urllib.request.Request(base + path, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            return json.loads(answer.read())["value"]

    subscriptions = get("/subscriptions?api-version=2022-12-01")
    assert [item["displayName"] for item in subscriptions] == ["one", "two"]
    first = subscriptions[0]["id"]
    locations = {item["name"]: item["metadata"] for item in get(f"{first}/locations?api-version=2022-12-01")}
    assert locations["westeurope"]["geography"] == locations["northeurope"]["geography"] != locations["eastus"]["geography"]
    vaults = get(f"{first}/providers/Microsoft.KeyVault/vaults?api-version=2026-02-01")
    reader = next(item for item in vaults if item["name"] == "reader-kv")
    assert reader["properties"]["enableRbacAuthorization"] and reader["properties"]["softDeleteRetentionInDays"] == 90
    granted = get(f"{reader['id']}/providers/Microsoft.Authorization/permissions?api-version=2022-04-01")
    assert "Microsoft.KeyVault/vaults/secrets/readMetadata/action" in granted[0]["dataActions"]
    with pytest.raises(urllib.error.HTTPError):
        get("/subscriptions")
