//! Waiting for a state, with an end.

use std::{future::Future, time::Duration};

use anyhow::{Result, bail};

/// How often a state is looked at: often enough not to lengthen a test, seldom enough not to be its load.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks until `look` gives a value; fails after `limit`, naming what was waited for.
pub async fn until<T, F>(what: &str, limit: Duration, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let looking = async {
        let mut every = tokio::time::interval(LOOK_EVERY);
        loop {
            every.tick().await;
            if let Some(found) = look().await? {
                return Ok(found);
            }
        }
    };
    match tokio::time::timeout(limit, looking).await {
        Ok(result) => result,
        Err(_) => bail!("waited {limit:?} for {what}"),
    }
}

/// Runs a future; fails after `limit`, naming it.
pub async fn within<T>(what: &str, limit: Duration, future: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(limit, future).await {
        Ok(result) => result,
        Err(_) => bail!("{what} took longer than {limit:?}"),
    }
}
