//! Which geography a region belongs to, for vaults entered by hand: those whose subscription cannot be asked.
//!
//! From Azure's published list of regions. A region that is not here has no known geography, and no key is restored
//! into it. The US DoD regions are geographies of their own: a key does not travel between them.

const GEOGRAPHIES: [(&str, &[&str]); 42] = [
    ("Asia Pacific", &["eastasia", "southeastasia"]),
    ("Australia", &["australiacentral", "australiacentral2", "australiaeast", "australiasoutheast"]),
    ("Austria", &["austriaeast"]),
    ("Belgium", &["belgiumcentral"]),
    ("Brazil", &["brazilsouth", "brazilsoutheast"]),
    ("Canada", &["canadacentral", "canadaeast"]),
    ("Chile", &["chilecentral"]),
    ("Denmark", &["denmarkeast"]),
    ("Europe", &["northeurope", "westeurope"]),
    ("France", &["francecentral", "francesouth"]),
    ("Germany", &["germanynorth", "germanywestcentral"]),
    ("India", &["centralindia", "southindia", "westindia"]),
    ("Indonesia", &["indonesiacentral"]),
    ("Israel", &["israelcentral", "israelnorthwest"]),
    ("Italy", &["italynorth"]),
    ("Japan", &["japaneast", "japanwest"]),
    ("Korea", &["koreacentral", "koreasouth"]),
    ("Malaysia", &["malaysiawest", "malaysiasouth"]),
    ("Mexico", &["mexicocentral"]),
    ("New Zealand", &["newzealandnorth"]),
    ("Norway", &["norwayeast", "norwaywest"]),
    ("Poland", &["polandcentral"]),
    ("Qatar", &["qatarcentral"]),
    ("South Africa", &["southafricanorth", "southafricawest"]),
    ("Spain", &["spaincentral"]),
    ("Sweden", &["swedencentral", "swedensouth"]),
    ("Switzerland", &["switzerlandnorth", "switzerlandwest"]),
    ("Taiwan", &["taiwannorth", "taiwannorthwest"]),
    ("UAE", &["uaecentral", "uaenorth"]),
    ("United Kingdom", &["uksouth", "ukwest"]),
    (
        "United States",
        &[
            "centralus",
            "eastus",
            "eastus2",
            "northcentralus",
            "southcentralus",
            "westcentralus",
            "westus",
            "westus2",
            "westus3",
        ],
    ),
    ("China", &["chinaeast", "chinaeast2", "chinaeast3", "chinanorth", "chinanorth2", "chinanorth3"]),
    ("US Government", &["usgovarizona", "usgovtexas", "usgovvirginia", "usgoviowa"]),
    ("US DoD Central", &["usdodcentral"]),
    ("US DoD East", &["usdodeast"]),
    ("US Sec East", &["usseceast"]),
    ("US Sec West", &["ussecwest"]),
    ("US Sec West Central", &["ussecwestcentral"]),
    ("US Nat East", &["usnateast"]),
    ("US Nat West", &["usnatwest"]),
    ("Jio India", &["jioindiacentral", "jioindiawest"]),
    ("Saudi Arabia", &["saudiarabiaeast"]),
];

/// The geography of a region, by its short name.
pub(crate) fn geography(region: &str) -> Option<&'static str> {
    let region = region.to_ascii_lowercase();
    GEOGRAPHIES.iter().find(|(_, regions)| regions.contains(&region.as_str())).map(|(geography, _)| *geography)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_region_is_in_two_geographies() {
        let mut all: Vec<_> = GEOGRAPHIES.iter().flat_map(|(_, regions)| regions.iter()).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn dod_regions_are_worlds_of_their_own_and_unknown_ones_unknown() {
        assert_eq!(geography("WestEurope"), Some("Europe"));
        assert_ne!(geography("usdodcentral"), geography("usdodeast"));
        assert_eq!(geography("atlantis"), None);
    }
}
