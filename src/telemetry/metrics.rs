//! Metrics, as Prometheus reads them.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;

/// Upper bounds in seconds of what histograms whose name ends in `_seconds` count: from a commit to a
/// conversation.
const SECONDS: [f64; 16] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0];

/// Where the metrics of this process are counted. A clone is another door to the same.
#[derive(Clone)]
pub struct Recorder(PrometheusHandle);

/// Why nothing is counted.
#[derive(Debug, thiserror::Error)]
#[error("metrics: {0}")]
pub struct InstallError(String);

impl Recorder {
    /// Sets up the metrics of this process; where that was done before, gives what was set up. Nodes
    /// of one process share them.
    ///
    /// # Errors
    /// Somebody else records metrics in this process.
    pub fn install() -> Result<Recorder, InstallError> {
        static INSTALLED: Mutex<Option<Recorder>> = Mutex::new(None);
        let mut installed = INSTALLED.lock();
        if let Some(recorder) = &*installed {
            return Ok(recorder.clone());
        }
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .map_err(|error| InstallError(error.to_string()))?;
        let handle = builder.install_recorder().map_err(|error| InstallError(error.to_string()))?;
        let recorder = Recorder(handle);
        *installed = Some(recorder.clone());
        metrics::gauge!("tandem_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(recorder)
    }

    /// Everything counted so far, in Prometheus' text format.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds what histograms have gathered, so that they do not grow between two readings. To be
    /// called every few seconds; [`super::Server`] does.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered() {
        let recorder = Recorder::install().unwrap();
        let again = Recorder::install().unwrap();
        metrics::counter!("test_metrics_dials_total", "carrier" => "x").increment(3);
        metrics::histogram!("test_metrics_commit_seconds").record(0.003);
        let rendered = again.render();
        assert!(rendered.contains("test_metrics_dials_total{carrier=\"x\"} 3"), "{rendered}");
        assert!(rendered.contains("test_metrics_commit_seconds_bucket{le=\"0.005\"} 1"), "{rendered}");
        assert!(rendered.contains("tandem_build_info"), "{rendered}");
        recorder.upkeep();
        assert_eq!(recorder.render(), rendered);
    }
}
