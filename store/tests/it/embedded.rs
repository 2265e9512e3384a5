//! The embedded engine: the conformance suite, and its files.

use std::sync::Arc;
use tandem_store::clock::ManualClock;
use tandem_store::conformance::{Differences, Subject};
use tandem_store::embedded::Options;

async fn subject() -> Subject {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(ManualClock::default());
    let store = Options { clock: clock.clone(), ..Options::new(dir.path()) }.open().expect("opens");
    let age_ms: Option<Arc<dyn Fn(u64) + Send + Sync>> = Some(Arc::new(move |ms| clock.advance_ms(ms)));
    Subject { differences: Differences { age_ms, ..Differences::default() }, ..Subject::new(store, dir) }
}

tandem_store::conformance!(conformance, super::subject);
