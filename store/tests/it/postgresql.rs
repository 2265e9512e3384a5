//! The engine on PostgreSQL: the conformance suite.

use std::sync::Arc;
use tandem_store::clock::ManualClock;
use tandem_store::conformance::{Differences, Subject};
use tandem_store::postgresql::Options;
use tandem_testing::Postgres;

async fn subject() -> Option<Subject> {
    let server = Postgres::shared().await?;
    let clock = Arc::new(ManualClock::default());
    let options =
        Options { prefix: server.unique_prefix(), clock: clock.clone(), ..Options::new(server.url()) };
    let store = options.open().await.expect("opens");
    let age_ms: Option<Arc<dyn Fn(u64) + Send + Sync>> = Some(Arc::new(move |ms| clock.advance_ms(ms)));
    let differences = Differences { age_ms, absent_again_passes: true, ..Differences::default() };
    Some(Subject { differences, ..Subject::new(store, ()) })
}

tandem_store::conformance!(conformance, super::subject);
