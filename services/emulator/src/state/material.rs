//! Heavy arithmetic, away from the threads that answer.

use std::sync::LazyLock;

use tokio::sync::Semaphore;

use crate::error::ApiError;

/// Making keys and exporting certificates are all arithmetic: more at once than a small machine has cores only waits.
const AT_ONCE: usize = 4;

static PLACES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(AT_ONCE));

/// Runs `work` on a thread of its own.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let _place = PLACES.acquire().await.map_err(|_| ApiError::internal("the emulator stops"))?;
    tokio::task::spawn_blocking(work).await.map_err(|_| ApiError::internal("the arithmetic broke off"))?
}
