//! Which api-versions the management plane answers, and what older ones leave out.
//!
//! Deliberately absent: every other difference between them.

use crate::{error::ApiError, operation::Operation, routes::Query};

const RESOURCES: &[&str] = &[
    "2016-06-01",
    "2018-05-01",
    "2019-06-01",
    "2019-11-01",
    "2020-01-01",
    "2020-06-01",
    "2021-01-01",
    "2021-04-01",
    "2022-01-01",
    "2022-09-01",
    "2022-12-01",
];
const VAULTS: &[&str] = &[
    "2016-10-01",
    "2018-02-14",
    "2019-09-01",
    "2021-10-01",
    "2022-07-01",
    "2022-11-01",
    "2023-02-01",
    "2023-07-01",
    "2024-11-01",
    "2025-05-01",
    "2026-02-01",
];
const PERMISSIONS: &[&str] = &["2015-07-01", "2018-07-01", "2022-04-01"];
const GRAPH: &[&str] = &["2019-04-01", "2021-03-01", "2022-10-01", "2024-04-01"];

/// The api-version of a request, if the operation has it.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other operations are not the management plane's")]
pub fn check(query: &Query, operation: Operation) -> Result<&str, ApiError> {
    let known = match operation {
        Operation::ArmVaults | Operation::ArmVault => VAULTS,
        Operation::ArmPermissions => PERMISSIONS,
        Operation::ArmResourceGraph => GRAPH,
        _ => RESOURCES,
    };
    let Some(version) = query.get("api-version") else {
        let message = "The api-version query parameter (?api-version=) is required for all requests.";
        return Err(ApiError::new(400, "MissingApiVersionParameter", message));
    };
    if !known.contains(&version) {
        let message =
            format!("The api-version '{version}' is invalid. The supported versions are '{}'.", known.join(", "));
        return Err(ApiError::new(400, "InvalidApiVersionParameter", message));
    }
    Ok(version)
}

/// Whether locations tell their geography.
pub fn has_geography(version: &str) -> bool {
    version >= "2022-12-01"
}
