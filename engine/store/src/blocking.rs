//! Requests that are waited for.

use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::StoreError;

/// Carries requests out, and waits for them, wherever it is called from and dropped.
pub(crate) struct Blocking(Option<Runtime>);

impl Blocking {
    pub(crate) fn new() -> Result<Self, StoreError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        runtime.map(|runtime| Self(Some(runtime))).map_err(StoreError::Runtime)
    }

    /// Waits for a request. In a thread that runs asynchronous code, which must not be waited in, another thread does.
    pub(crate) fn wait<T: Send>(
        &self,
        request: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let Some(runtime) = &self.0 else {
            return Err(StoreError::Runtime(std::io::Error::other("it was shut down")));
        };
        if Handle::try_current().is_err() {
            return runtime.block_on(request);
        }
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| runtime.block_on(request));
            waiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

/// Asynchronous code must not wait for a runtime to end, which dropping one would do.
impl Drop for Blocking {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
