"""Secrets, as Microsoft's client sees them."""

import datetime

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.keyvault.certificates import CertificatePolicy
from azure_local import refusal

DAY = datetime.timedelta(days=1)


def inner(error):
    return refusal(error)[1]


def test_a_secret_is_read_back_with_all_its_attributes(azure, name):
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    client = azure.secrets("eu-kv")
    made = client.set_secret(name, "v\u00e4lue", content_type="text/plain", tags={"a": "b"}, not_before=now, expires_on=now + DAY)
    read = client.get_secret(name)
    assert read.value == "v\u00e4lue" and read.properties.version == made.properties.version
    assert read.properties.content_type == "text/plain" and read.properties.tags == {"a": "b"}
    assert read.properties.not_before == now and read.properties.expires_on == now + DAY
    assert read.properties.enabled and read.properties.recovery_level == "Recoverable+Purgeable"
    assert client.get_secret(name, made.properties.version).id == read.id


def test_every_set_makes_a_version_and_the_newest_is_read(azure, name):
    client = azure.secrets("eu-kv")
    ids = [client.set_secret(name, str(number)).properties.version for number in range(30)]
    assert client.get_secret(name).value == "29"
    listed = [version.version for version in client.list_properties_of_secret_versions(name)]
    assert sorted(listed) == sorted(ids)


def test_an_update_changes_attributes_and_keeps_the_version(azure, name):
    client = azure.secrets("eu-kv")
    made = client.set_secret(name, "x", tags={"old": "1"})
    changed = client.update_secret_properties(name, enabled=False, tags={"new": "2"}, content_type="c")
    assert changed.version == made.properties.version and not changed.enabled and changed.tags == {"new": "2"}
    with pytest.raises(HttpResponseError) as refused:
        client.get_secret(name)
    assert refused.value.status_code == 403 and inner(refused) == "SecretDisabled"


def test_listings_have_pages_of_25_and_base_ids(azure):
    pages = list(azure.secrets("many-kv").list_properties_of_secrets().by_page())
    sizes = [len(list(page)) for page in pages]
    assert sum(sizes) == 60 and max(sizes) <= 25
    assert all(item.version is None for item in azure.secrets("many-kv").list_properties_of_secrets())


def test_an_empty_first_page_is_not_the_end(azure, admin):
    admin.settings(empty_first_pages=True)
    client = azure.secrets("many-kv")
    for listing, count in [(client.list_properties_of_secrets(), 60), (client.list_properties_of_secret_versions("bulk-1"), 1)]:
        pages = [list(page) for page in listing.by_page()]
        assert pages[0] == [] and sum(map(len, pages)) == count


def test_deleting_goes_through_its_phases(azure, admin, name):
    admin.settings(phase_ms=1500)
    client = azure.secrets("eu-kv")
    client.set_secret(name, "x")
    poller = client.begin_delete_secret(name)
    with pytest.raises(ResourceNotFoundError):
        client.get_secret(name)
    with pytest.raises(ResourceExistsError) as busy:
        client.set_secret(name, "y")
    assert inner(busy) == "ObjectIsBeingDeleted"
    poller.wait()
    deleted = client.get_deleted_secret(name)
    assert deleted.recovery_id and deleted.scheduled_purge_date - deleted.deleted_date == 90 * DAY
    assert name in [item.name for item in client.list_deleted_secrets()]
    with pytest.raises(ResourceExistsError) as taken:
        client.set_secret(name, "y")
    assert inner(taken) == "ObjectIsDeletedButRecoverable"
    client.begin_recover_deleted_secret(name).wait()
    assert client.get_secret(name).value == "x"


def test_a_purged_name_is_free_and_purge_protection_holds(azure, name):
    client = azure.secrets("eu-kv")
    client.set_secret(name, "x")
    client.begin_delete_secret(name).wait()
    client.purge_deleted_secret(name)
    assert client.set_secret(name, "z").value == "z"
    kept = azure.secrets("kept-kv")
    kept.set_secret(name, "x")
    kept.begin_delete_secret(name).wait()
    with pytest.raises(HttpResponseError) as refused:
        kept.purge_deleted_secret(name)
    assert refused.value.status_code == 403


def test_retention_ends_by_the_emulators_clock(azure, admin, name):
    client = azure.secrets("eu-kv")
    client.set_secret(name, "x")
    client.begin_delete_secret(name).wait()
    admin.settings(clock_offset_ms=91 * 86_400_000)
    with pytest.raises(ResourceNotFoundError):
        client.get_deleted_secret(name)
    assert client.set_secret(name, "fresh").value == "fresh"


def test_a_backup_is_restored_where_it_was_made_and_nowhere_else(azure, name):
    client = azure.secrets("eu-kv")
    client.set_secret(name, "one")
    client.set_secret(name, "two")
    blob = client.backup_secret(name)
    restored = azure.secrets("ne-kv").restore_secret_backup(blob)
    assert restored.name == name and azure.secrets("ne-kv").get_secret(name).value == "two"
    for elsewhere in ("us-kv", "other-kv"):
        with pytest.raises(HttpResponseError) as refused:
            azure.secrets(elsewhere).restore_secret_backup(blob)
        assert refused.value.status_code == 400


@pytest.mark.parametrize(
    ("value", "options"),
    [
        ("x" * 25_601, {}),
        ("x", {"content_type": "c" * 256}),
        ("x", {"tags": {str(number): "" for number in range(16)}}),
        ("x", {"tags": {"t" * 513: ""}}),
    ],
)
def test_what_azure_does_not_take_is_refused(azure, name, value, options):
    with pytest.raises(HttpResponseError) as refused:
        azure.secrets("eu-kv").set_secret(name, value, **options)
    assert refused.value.status_code == 400


def test_the_largest_value_is_taken(azure, name):
    assert len(azure.secrets("eu-kv").set_secret(name, "x" * 25_600).value) == 25_600


def test_a_restore_over_a_name_that_is_taken_is_refused(azure, name):
    client = azure.secrets("eu-kv")
    client.set_secret(name, "x")
    blob = client.backup_secret(name)
    with pytest.raises(ResourceExistsError):
        client.restore_secret_backup(blob)
    client.begin_delete_secret(name).wait()
    with pytest.raises(ResourceExistsError) as refused:
        client.restore_secret_backup(blob)
    assert inner(refused) == "ObjectIsDeletedButRecoverable"


def test_a_secret_with_more_than_500_versions_has_no_backup(azure):
    with pytest.raises(HttpResponseError) as refused:
        azure.secrets("worn-kv").backup_secret("worn")
    assert refused.value.status_code == 400 and "versions" in refusal(refused)[2]


def test_an_update_clears_neither_expiry_nor_not_before(azure, name):
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    client = azure.secrets("eu-kv")
    client.set_secret(name, "x", not_before=now, expires_on=now + DAY)
    client.update_secret_properties(name, not_before=None, expires_on=None, tags={"a": "b"})
    azure.call("PATCH", "eu-kv", f"/secrets/{name}", {"attributes": {"nbf": None, "exp": None}})
    kept = client.get_secret(name).properties
    assert (kept.not_before, kept.expires_on, kept.tags) == (now, now + DAY, {"a": "b"})


def test_a_secret_outside_its_times_stays_readable(azure, name):
    now = datetime.datetime.now(datetime.timezone.utc)
    client = azure.secrets("eu-kv")
    client.set_secret(name, "old", not_before=now - 2 * DAY, expires_on=now - DAY)
    assert client.get_secret(name).value == "old"
    client.set_secret(name, "early", not_before=now + DAY)
    assert client.get_secret(name).value == "early"


def test_a_certificates_own_secret_is_written_nowhere(azure, name):
    azure.certificates("eu-kv").begin_create_certificate(name, CertificatePolicy.get_default()).result()
    client = azure.secrets("eu-kv")
    for write in [
        lambda: client.set_secret(name, "x"),
        lambda: client.update_secret_properties(name, tags={"a": "b"}),
        lambda: client.begin_delete_secret(name),
        lambda: client.backup_secret(name),
    ]:
        with pytest.raises(HttpResponseError) as refused:
            write()
        assert refusal(refused)[:2] == (403, "SecretManagedByKeyVault")


VERSIONS = ["7.4", "7.5-preview.1", "7.5", "7.6-preview.1", "7.6-preview.2", "7.6", "2025-06-01-preview", "2025-07-01"]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_supported_api_version_answers_alike(azure, name, version):
    azure.secrets("eu-kv").set_secret(name, "x")
    azure.keys("eu-kv").create_ec_key(name)
    azure.certificates("ne-kv").begin_create_certificate(name, CertificatePolicy.get_default()).result()
    for vault, path in [("eu-kv", "secrets"), ("eu-kv", "keys"), ("ne-kv", "certificates")]:
        answer, newest = (azure.call("GET", vault, f"/{path}/{name}", version=asked) for asked in (version, "2025-07-01"))
        assert answer.status == 200 and answer.body == newest.body
        assert azure.call("GET", vault, f"/{path}/{name}", version="7.0").status == 400
