//! What a code or status means. Needs no installation.

use clap::Args;
use proto_msgs::{RequestCode, api::Explanation, docs};

use crate::{failure::Failure, invocation::Invocation};

#[derive(Debug, Args)]
pub struct Explain {
    /// A code or a status.
    #[arg(value_name = "CODE")]
    word: String,
}

impl Explain {
    pub fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let word = self.word;
        let explanation = Explanation::of(&word).ok_or_else(|| {
            let known: Vec<_> = docs::pages().map(|page| page.word).collect();
            Failure::new(
                RequestCode::NotFound,
                format!("`{word}` is neither a code nor a status"),
                format!("there are: {}, and `blocked_` before a code that blocks", known.join(", ")),
            )
        })?;
        invocation.answer(&explanation, || {
            let class = explanation.recoverability.map(|class| format!(" ({})", class.as_str())).unwrap_or_default();
            format!("{}{class}\n\n{}", explanation.code, explanation.page.replace("**", ""))
        })
    }
}
