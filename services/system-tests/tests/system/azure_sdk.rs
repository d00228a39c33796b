//! The vault port over the official Rust SDK, against the emulator over TLS: the contract that the twin in memory keeps
//! as well, one test per claim; and who a worker can be.

mod identities;
mod stage;

use stage::AzureStage;

macro_rules! claims {
    ($($subject:ident { $($claim:ident,)+ })+) => {
        $(mod $subject {
            use anyhow::Result;

            use super::AzureStage;

            $(#[actix_rt::test]
            async fn $claim() -> Result<()> {
                let stage = AzureStage::start().await?;
                vault::contract::$subject::$claim(&stage).await?;
                stage.stop().await
            })+
        })+
    };
}
vault::for_each_claim!(claims);
