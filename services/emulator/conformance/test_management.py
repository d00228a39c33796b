"""The management plane: what there is, who may do what, and the resource graph."""

import pytest

SUBSCRIPTIONS = "/subscriptions?api-version=2022-12-01"
VAULTS = "/providers/Microsoft.KeyVault/vaults"


@pytest.fixture
def arm(azure):
    """Calls the management plane."""
    token = azure.token("management")

    def call(path, body=None):
        return azure.raw("GET" if body is None else "POST", path, body, token)

    return call


def get(arm, path):
    answer = arm(path)
    assert answer.status == 200, answer.body
    return answer.body


def every(arm, path, base):
    """All entries of a list, page by page."""
    entries, pages = [], 0
    while path:
        body = get(arm, path)
        entries, pages = entries + body["value"], pages + 1
        path = body.get("nextLink", "").removeprefix(base)
    return entries, pages


def test_it_describes_subscriptions_locations_and_vaults(arm):
    subscriptions = get(arm, SUBSCRIPTIONS)["value"]
    assert [item["displayName"] for item in subscriptions] == ["one", "two", "three"]
    first = subscriptions[0]["id"]
    assert get(arm, f"{first}?api-version=2022-12-01")["displayName"] == "one"
    places = get(arm, f"{first}/locations?api-version=2022-12-01")["value"]
    geography = {item["name"]: item["metadata"]["geography"] for item in places}
    assert geography["westeurope"] == geography["northeurope"] != geography["eastus"]
    vaults = {item["name"]: item for item in get(arm, f"{first}{VAULTS}?api-version=2026-02-01")["value"]}
    reader, legacy, premium = (vaults[name]["properties"] for name in ("reader-kv", "legacy-kv", "hsm-kv"))
    assert reader["enableRbacAuthorization"] is True and reader["softDeleteRetentionInDays"] == 90
    # Null where access policies decide.
    assert legacy["enableRbacAuthorization"] is None and legacy["accessPolicies"][0]["permissions"]["keys"] == ["list", "create"]
    assert premium["sku"]["name"] == "premium" and vaults["kept-kv"]["properties"]["enablePurgeProtection"] is True
    alone = get(arm, f"{vaults['shut-kv']['id']}?api-version=2026-02-01")
    assert alone["properties"]["networkAcls"]["defaultAction"] == "Deny"


def test_a_caller_is_told_its_permissions(arm):
    vault = f"/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg{VAULTS}/reader-kv"
    granted = get(arm, f"{vault}/providers/Microsoft.Authorization/permissions?api-version=2022-04-01")["value"]
    assert "Microsoft.KeyVault/vaults/secrets/readMetadata/action" in granted[0]["dataActions"]


def test_versions_are_checked_and_older_ones_tell_no_geography(arm):
    for path in ["/subscriptions", "/subscriptions?api-version=2099-01-01", "/subscriptions?api-version=2026-02-01"]:
        assert arm(path).status == 400
    locations = get(arm, "/subscriptions/00000000-0000-4000-8000-000000000001/locations?api-version=2022-09-01")["value"]
    assert not any("geography" in item["metadata"] for item in locations)


def test_long_lists_have_pages(azure, admin, arm):
    base = f"https://management.localhost:{azure.port}"
    vaults = f"/subscriptions/00000000-0000-4000-8000-000000000001{VAULTS}?api-version=2026-02-01"
    whole, pages = every(arm, vaults, base)
    assert pages == 1
    assert every(arm, f"{vaults}&$top=4", base) == (whole, -(-len(whole) // 4))
    admin.settings(arm_page_size=2)
    assert every(arm, vaults, base) == (whole, -(-len(whole) // 2))
    assert every(arm, SUBSCRIPTIONS, base)[1] == 2


def test_the_resource_graph_lists_vaults(admin, arm):
    path = "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01"
    query = {"query": "Resources | where type =~ 'Microsoft.KeyVault/vaults'"}
    everything = arm(path, query).body
    assert everything["count"] == everything["totalRecords"] == len(everything["data"]) and "$skipToken" not in everything
    two = arm(path, {**query, "subscriptions": ["00000000-0000-4000-8000-000000000002"]}).body
    assert [row["name"] for row in two["data"]] == ["other-kv"] and two["data"][0]["resourceGroup"] == "rg"
    admin.settings(arm_page_size=7)
    rows, options = [], {}
    while options is not None:
        page = arm(path, {**query, "options": options}).body
        rows += page["data"]
        options = {"$skipToken": page["$skipToken"]} if "$skipToken" in page else None
    assert rows == everything["data"]
    assert arm(path, {"query": "Resources | where type =~ 'Microsoft.Compute/disks'"}).status == 400


def test_an_identity_without_a_role_there_sees_nothing(azure):
    blind = azure.as_identity("dd", "blind")
    answer = blind.raw("GET", SUBSCRIPTIONS, token=blind.token("management"))
    assert answer.status == 403 and answer.body["error"]["code"] == "AuthorizationFailed"
    assert azure.raw("GET", SUBSCRIPTIONS, token=azure.token()).status == 401
