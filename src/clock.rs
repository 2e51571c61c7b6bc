//! Time since a moment. A browser's bare wasm has no clock, and asking for one panics: there every duration is zero.

use std::time::Duration;

/// Measures from its start.
#[derive(Clone, Copy)]
pub(crate) struct Stopwatch {
    #[cfg(not(target_arch = "wasm32"))]
    since: std::time::Instant,
}

impl Stopwatch {
    pub fn start() -> Stopwatch {
        Stopwatch {
            #[cfg(not(target_arch = "wasm32"))]
            since: std::time::Instant::now(),
        }
    }

    pub fn elapsed(&self) -> Duration {
        #[cfg(not(target_arch = "wasm32"))]
        return self.since.elapsed();
        #[cfg(target_arch = "wasm32")]
        Duration::ZERO
    }
}
