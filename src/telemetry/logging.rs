//! Logs, to the standard error.

use super::masking::Masked;
use crate::config::{Format, Log};
use std::io::{self, IsTerminal as _};
use tracing::Subscriber;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

/// A text that names no level.
#[derive(Debug, thiserror::Error)]
#[error("expected error, warn, info, debug or trace, or such a level by module: {0}")]
pub struct LevelError(#[from] ParseError);

/// Why there will be no logs.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    #[error(transparent)]
    Level(#[from] LevelError),
    #[error("logs are set up already")]
    Twice,
}

/// Checks a level such as `info` or `info,tandem_actors=debug`.
///
/// # Errors
/// What is wrong with it.
pub fn check_level(level: &str) -> Result<(), LevelError> {
    filter(level).map(drop)
}

fn filter(level: &str) -> Result<EnvFilter, LevelError> {
    // A bare word that is no level would be taken for a module, and everything else be silent.
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let bare = level.split(',').map(str::trim).filter(|part| !part.contains(['=', '[']));
    let unknown = bare.into_iter().find(|part| !LEVELS.contains(&part.to_ascii_lowercase().as_str()));
    // What the parser says of a word that is no level.
    let level = if unknown.is_some() { "=?" } else { level };
    Ok(EnvFilter::builder().parse(level)?)
}

/// Sets up the logs of this process, and sends panics there too.
///
/// # Errors
/// A level that cannot be read; logs that are set up already.
pub fn init(log: &Log) -> Result<(), LoggingError> {
    let colours =
        log.format == Format::Text && io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    subscriber(log, colours, io::stderr)?.try_init().map_err(|_| LoggingError::Twice)?;
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let message =
            text.or(payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message");
        tracing::error!(location, message, "panic");
    }));
    Ok(())
}

/// What turns records into masked lines.
fn subscriber<W>(log: &Log, colours: bool, writer: W) -> Result<Box<dyn Subscriber + Send + Sync>, LevelError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = fmt()
        .with_env_filter(filter(&log.level)?)
        .with_writer(Masked(writer))
        .with_ansi(colours)
        // Of a line that could not be written it would tell on the standard error, which is what could
        // not be written, and panic.
        .log_internal_errors(false);
    Ok(match log.format {
        Format::Text => Box::new(builder.finish()),
        Format::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::telemetry::mask;
    use parking_lot::Mutex;
    use std::sync::Arc;

    /// Keeps what is written.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Kept {
        type Writer = Kept;
        fn make_writer(&'a self) -> Kept {
            self.clone()
        }
    }

    /// Records as they occur, and as they must not: whoever wrote them forgot to mask.
    fn representative_records() {
        #[derive(Debug)]
        #[allow(dead_code)]
        struct Order {
            to: &'static str,
            from: String,
            token: Secret,
        }
        let order =
            Order { to: "+15550142671", from: "(555) 014-2671".into(), token: Secret::new("sk-5550142671") };
        tracing::info!(to = mask("+15550142671"), "dial accepted");
        tracing::info!(to = "+15550142671", from = %"+442079460123", "dial refused");
        tracing::warn!(?order, "order set aside");
        tracing::warn!(body = "To=%2B15550142671&From=%2B15550142672&CallSid=CA1", "callback refused");
        tracing::error!(error = "the number 5550142671 is not valid", "carrier: +1 555 014 2671 unreachable");
        let span = tracing::info_span!("call", to = "+15550142671");
        let _entered = span.enter();
        tracing::info!(number = 15_550_142_671_u64, "ringing");
    }

    #[test]
    fn no_record_shows_more_than_the_last_four_digits() {
        for format in [Format::Text, Format::Json] {
            let kept = Kept::default();
            let log = Log { format, level: "trace".into() };
            let subscriber = subscriber(&log, false, kept.clone()).unwrap();
            tracing::subscriber::with_default(subscriber, representative_records);
            let written = String::from_utf8(kept.0.lock().clone()).unwrap();
            assert_eq!(written.lines().count(), 6, "{written}");
            for number in ["15550142671", "15550142672", "442079460123"] {
                // Any five of its digits, one after the other, with whatever separators.
                let digits: String = written.chars().filter(|c| !" -().".contains(*c)).collect();
                for five in number.as_bytes().windows(5).map(|five| std::str::from_utf8(five).unwrap()) {
                    assert!(!digits.contains(five), "{five} in {written}");
                }
            }
            assert!(written.matches("2671").count() >= 6, "{written}");
            if format == Format::Json {
                for line in written.lines() {
                    serde_json::from_str::<serde_json::Value>(line).unwrap();
                }
            }
        }
    }

    #[test]
    fn levels_are_checked() {
        for level in ["info", "WARN", "info,tandem_actors=debug", "off", "tandem=trace,warn"] {
            assert!(check_level(level).is_ok(), "{level}");
        }
        for level in ["", "loud", "info,loud", "tandem=loud", "info,,", "a=b=c"] {
            assert!(check_level(level).is_err(), "{level}");
        }
    }
}
