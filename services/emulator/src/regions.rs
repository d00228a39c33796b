//! Azure's regions, with the geography that backup blobs are bound to.
//!
//! As `GET /subscriptions/{id}/locations` lists them. A region that Azure opens later is missing here; an estate that
//! names it is refused. Geographies are compared by the `geography` field, never by the group.

/// One region.
#[derive(Debug, PartialEq, Eq)]
pub struct Region {
    pub name: &'static str,
    pub display: &'static str,
    pub geography: &'static str,
    pub group: &'static str,
    /// The paired region, empty where Azure has none.
    pub pair: &'static str,
}

impl Region {
    /// Finds a region by name, whatever the case and with or without spaces.
    pub fn find(name: &str) -> Option<&'static Self> {
        let wanted: String = name.chars().filter(|char| !char.is_whitespace()).flat_map(char::to_lowercase).collect();
        REGIONS.iter().find(|region| region.name == wanted)
    }
}

const fn region(
    name: &'static str,
    display: &'static str,
    geography: &'static str,
    group: &'static str,
    pair: &'static str,
) -> Region {
    Region { name, display, geography, group, pair }
}

/// All regions the emulator knows.
pub const REGIONS: &[Region] = &[
    region("eastus", "East US", "United States", "US", "westus"),
    region("eastus2", "East US 2", "United States", "US", "centralus"),
    region("centralus", "Central US", "United States", "US", "eastus2"),
    region("northcentralus", "North Central US", "United States", "US", "southcentralus"),
    region("southcentralus", "South Central US", "United States", "US", "northcentralus"),
    region("westcentralus", "West Central US", "United States", "US", "westus2"),
    region("westus", "West US", "United States", "US", "eastus"),
    region("westus2", "West US 2", "United States", "US", "westcentralus"),
    region("westus3", "West US 3", "United States", "US", "eastus"),
    region("canadacentral", "Canada Central", "Canada", "Canada", "canadaeast"),
    region("canadaeast", "Canada East", "Canada", "Canada", "canadacentral"),
    region("mexicocentral", "Mexico Central", "Mexico", "Mexico", ""),
    region("brazilsouth", "Brazil South", "Brazil", "South America", "southcentralus"),
    region("brazilsoutheast", "Brazil Southeast", "Brazil", "South America", "brazilsouth"),
    region("chilecentral", "Chile Central", "Chile", "South America", ""),
    region("northeurope", "North Europe", "Europe", "Europe", "westeurope"),
    region("westeurope", "West Europe", "Europe", "Europe", "northeurope"),
    region("uksouth", "UK South", "United Kingdom", "UK", "ukwest"),
    region("ukwest", "UK West", "United Kingdom", "UK", "uksouth"),
    region("francecentral", "France Central", "France", "Europe", "francesouth"),
    region("francesouth", "France South", "France", "Europe", "francecentral"),
    region("germanywestcentral", "Germany West Central", "Germany", "Europe", "germanynorth"),
    region("germanynorth", "Germany North", "Germany", "Europe", "germanywestcentral"),
    region("switzerlandnorth", "Switzerland North", "Switzerland", "Europe", "switzerlandwest"),
    region("switzerlandwest", "Switzerland West", "Switzerland", "Europe", "switzerlandnorth"),
    region("norwayeast", "Norway East", "Norway", "Europe", "norwaywest"),
    region("norwaywest", "Norway West", "Norway", "Europe", "norwayeast"),
    region("swedencentral", "Sweden Central", "Sweden", "Europe", "swedensouth"),
    region("swedensouth", "Sweden South", "Sweden", "Europe", "swedencentral"),
    region("polandcentral", "Poland Central", "Poland", "Europe", ""),
    region("italynorth", "Italy North", "Italy", "Europe", ""),
    region("spaincentral", "Spain Central", "Spain", "Europe", ""),
    region("austriaeast", "Austria East", "Austria", "Europe", ""),
    region("belgiumcentral", "Belgium Central", "Belgium", "Europe", ""),
    region("eastasia", "East Asia", "Asia Pacific", "Asia Pacific", "southeastasia"),
    region("southeastasia", "Southeast Asia", "Asia Pacific", "Asia Pacific", "eastasia"),
    region("chinaeast", "China East", "China", "China", "chinanorth"),
    region("chinaeast2", "China East 2", "China", "China", "chinanorth2"),
    region("chinaeast3", "China East 3", "China", "China", "chinanorth3"),
    region("chinanorth", "China North", "China", "China", "chinaeast"),
    region("chinanorth2", "China North 2", "China", "China", "chinaeast2"),
    region("chinanorth3", "China North 3", "China", "China", "chinaeast3"),
    region("australiaeast", "Australia East", "Australia", "Asia Pacific", "australiasoutheast"),
    region("australiasoutheast", "Australia Southeast", "Australia", "Asia Pacific", "australiaeast"),
    region("australiacentral", "Australia Central", "Australia", "Asia Pacific", "australiacentral2"),
    region("australiacentral2", "Australia Central 2", "Australia", "Asia Pacific", "australiacentral"),
    region("japaneast", "Japan East", "Japan", "Asia Pacific", "japanwest"),
    region("japanwest", "Japan West", "Japan", "Asia Pacific", "japaneast"),
    region("koreacentral", "Korea Central", "Korea", "Asia Pacific", "koreasouth"),
    region("koreasouth", "Korea South", "Korea", "Asia Pacific", "koreacentral"),
    region("centralindia", "Central India", "India", "Asia Pacific", "southindia"),
    region("southindia", "South India", "India", "Asia Pacific", "centralindia"),
    region("westindia", "West India", "India", "Asia Pacific", "southindia"),
    region("jioindiawest", "Jio India West", "India", "Asia Pacific", "jioindiacentral"),
    region("jioindiacentral", "Jio India Central", "India", "Asia Pacific", "jioindiawest"),
    region("indonesiacentral", "Indonesia Central", "Indonesia", "Asia Pacific", ""),
    region("malaysiawest", "Malaysia West", "Malaysia", "Asia Pacific", ""),
    region("newzealandnorth", "New Zealand North", "New Zealand", "Asia Pacific", ""),
    region("uaenorth", "UAE North", "UAE", "Middle East", "uaecentral"),
    region("uaecentral", "UAE Central", "UAE", "Middle East", "uaenorth"),
    region("qatarcentral", "Qatar Central", "Qatar", "Middle East", ""),
    region("israelcentral", "Israel Central", "Israel", "Middle East", ""),
    region("southafricanorth", "South Africa North", "South Africa", "Africa", "southafricawest"),
    region("southafricawest", "South Africa West", "South Africa", "Africa", "southafricanorth"),
    region("usgovvirginia", "USGov Virginia", "Azure Government", "US Government", "usgovtexas"),
    region("usgovtexas", "USGov Texas", "Azure Government", "US Government", "usgovvirginia"),
    region("usgovarizona", "USGov Arizona", "Azure Government", "US Government", "usgovtexas"),
    region("usdodcentral", "USDoD Central", "US DoD Central", "US Government", "usdodeast"),
    region("usdodeast", "USDoD East", "US DoD East", "US Government", "usdodcentral"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_is_a_region() {
        for region in REGIONS.iter().filter(|region| !region.pair.is_empty()) {
            assert!(Region::find(region.pair).is_some(), "{} is paired with {}", region.name, region.pair);
        }
    }

    #[test]
    fn a_region_is_found_by_its_display_name() {
        assert_eq!(Region::find("West Europe"), Region::find("westeurope"));
        assert_eq!(Region::find("westeurope").unwrap().geography, Region::find("northeurope").unwrap().geography);
        assert!(Region::find("middle-earth").is_none());
    }
}
