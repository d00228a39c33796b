//! What a code or status means. Needs no installation.

use proto_msgs::{ErrorCode, RequestCode, api::Explanation, docs};

use crate::{cli::Output, failure::Failure, output};

pub fn run(word: &str, output: Output) -> Result<(), Failure> {
    let page = docs::explain(word).ok_or_else(|| {
        let known: Vec<_> = docs::pages().map(|page| page.word).collect();
        Failure::new(
            RequestCode::NotFound,
            format!("`{word}` is neither a code nor a status"),
            format!("there are: {}", known.join(", ")),
        )
    })?;
    let recoverability = page.word.parse::<ErrorCode>().ok().map(ErrorCode::recoverability);
    let explanation = Explanation { code: page.word.to_owned(), recoverability, page: page.text.to_owned() };
    output::print(output, &explanation, || {
        let class = recoverability.map(|class| format!(" ({})", class.as_str())).unwrap_or_default();
        format!("{}{class}\n\n{}", page.word, page.text.replace("**", ""))
    })
}
