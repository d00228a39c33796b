"""Failures on demand, and what the counts tell of them."""

import time

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError, ServiceRequestError, ServiceResponseError


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


@pytest.mark.parametrize(("when", "is_there"), [("before", False), ("after", True)])
def test_a_call_that_is_never_answered_may_have_had_its_effect(azure, admin, name, when, is_there):
    client = azure.secrets("eu-kv")
    list(client.list_properties_of_secrets())
    admin.faults({"operation": "secrets.set", "item": name, "when": when, "then": "timeout"})
    with pytest.raises((ServiceRequestError, ServiceResponseError)):
        client.set_secret(name, "x", read_timeout=0.5)
    if is_there:
        assert client.get_secret(name).value == "x"
    else:
        with pytest.raises(ResourceNotFoundError):
            client.get_secret(name)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_delayed_call_is_answered_late_and_truly(azure, admin, name, when):
    client = azure.secrets("eu-kv")
    admin.faults({"operation": "secrets.set", "item": name, "when": when, "then": {"delay": {"ms": 300}}})
    begun = time.monotonic()
    assert client.set_secret(name, "x").value == "x"
    assert time.monotonic() - begun >= 0.3


def test_latency_is_what_every_call_takes_at_least(azure, admin):
    client = azure.secrets("many-kv")
    client.get_secret("bulk-1")
    admin.settings(latency_ms=200)
    begun = time.monotonic()
    client.get_secret("bulk-1")
    assert time.monotonic() - begun >= 0.2


def test_a_share_is_hit_and_the_same_seed_hits_the_same(azure, admin):
    client = azure.secrets("many-kv")

    def hits(seed):
        admin.faults({"operation": "secrets.get", "vault": "many-kv", "share": 0.3, "then": {"status": {"status": 503}}}, seed=seed)
        hit = []
        for number in range(60):
            try:
                client.get_secret(f"bulk-{number + 1}")
            except HttpResponseError as error:
                assert error.status_code == 503
                hit.append(number)
        return hit

    first = hits(7)
    assert 5 <= len(first) <= 35 and hits(7) == first and hits(8) != first


def test_counts_tell_calls_from_probes(azure, admin):
    azure.secrets("many-kv").get_secret("bulk-1")
    admin.call("DELETE", "/counts")
    azure.secrets("many-kv").get_secret("bulk-1")
    probe = azure.raw("GET", f"{azure.url('many-kv')}/secrets/bulk-1?api-version=7.4")
    assert probe.status == 401 and "authorization=" in probe.headers["WWW-Authenticate"]
    assert admin.count("many-kv", "secrets.get") == 1
    assert admin.count("many-kv", "secrets.get", "challenged") == 1
