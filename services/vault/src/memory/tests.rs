//! The twin keeps the contract, and does what a simulation needs beyond it.

mod faults;
mod owners;

use super::stage::MemoryStage;

macro_rules! claims {
    ($($subject:ident { $($claim:ident,)+ })+) => {
        $(mod $subject {
            use super::MemoryStage;

            $(#[tokio::test(start_paused = true)]
            async fn $claim() {
                crate::contract::$subject::$claim(&MemoryStage::new()).await.unwrap();
            })+
        })+
    };
}
crate::for_each_claim!(claims);
