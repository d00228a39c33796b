"""Tokens and who issues them, checked with tools that know nothing of the emulator."""

import base64
import json
import time

import jwt  # of azure-identity's own dependencies
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient
from azure_local import TENANT


def encoded(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_discovery_leads_to_the_keys_that_verify_a_token(azure):
    login = f"https://login.localhost:{azure.port}"
    found = azure.raw("GET", f"{login}/{TENANT}/v2.0/.well-known/openid-configuration").body
    assert found["token_endpoint"].startswith(f"{login}/{TENANT}/")
    keys = jwt.PyJWKSet.from_dict(azure.raw("GET", found["jwks_uri"]).body)
    token = azure.token()
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(
        token, key.key, algorithms=["RS256"], audience=f"https://vault.localhost:{azure.port}", issuer=found["issuer"]
    )
    assert claims["appid"] == azure.client_id and claims["tid"] == TENANT
    instance = azure.raw("GET", f"{login}/common/discovery/instance?authorization_endpoint={found['authorization_endpoint']}")
    assert instance.body["tenant_discovery_endpoint"].startswith(login)
    assert azure.raw("GET", f"{login}/common/discovery/instance?authorization_endpoint=https://evil.test/").status == 400


def test_a_vault_takes_no_token_but_its_own_authoritys(azure):
    header, payload, signature = azure.token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    altered = encoded({**claims, "appid": "00000000-0000-4000-8000-0000000000cc"})
    none = encoded({"alg": "none", "typ": "JWT"})
    for bad in [
        f"{header}.{altered}.{signature}",
        f"{none}.{payload}.",
        f"{header}.{payload}.",
        jwt.encode(claims, "a secret that is long enough for it", algorithm="HS256"),
        azure.token("management"),
        "nonsense",
    ]:
        answer = azure.raw("GET", f"{azure.url('eu-kv')}/secrets?api-version=2025-07-01", token=bad)
        assert answer.status == 401 and answer.body["error"]["code"] == "Unauthorized"
        assert "authorization=" in answer.headers["WWW-Authenticate"]


def test_a_token_ends(azure, admin):
    admin.settings(token_lifetime_s=1)
    token = azure.token()
    url = f"{azure.url('eu-kv')}/secrets?api-version=2025-07-01"
    assert azure.raw("GET", url, token=token).status == 200
    end = time.monotonic() + 30
    while azure.raw("GET", url, token=token).status == 200:
        assert time.monotonic() < end
    assert "TokenExpired" in azure.raw("GET", url, token=token).body["error"]["message"]


def test_a_wrong_client_secret_gets_no_token(azure):
    with pytest.raises(ClientAuthenticationError):
        azure.as_identity("aa", "wrong").secrets("eu-kv").get_secret("any")


def test_a_managed_identity_gets_a_token(azure, admin, monkeypatch):
    monkeypatch.setenv("IDENTITY_ENDPOINT", admin.base + "/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", azure.client_secret)
    client = SecretClient(azure.url("many-kv"), ManagedIdentityCredential(), connection_verify=azure.ca)
    assert client.get_secret("bulk-1").value
