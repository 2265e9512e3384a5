//! How long a request may take.

use super::error;
use std::time::Duration;
use tokio::time::Instant;
use tonic::Status;
use tonic::metadata::MetadataMap;

/// An answer leaves so much before the client's deadline: the transport keeps one of its own, and tells less.
const MARGIN: Duration = Duration::from_millis(2);

fn asked(metadata: &MetadataMap) -> Option<Duration> {
    let asked = parse(metadata.get("grpc-timeout")?.as_encoded_bytes())?;
    Some(asked.saturating_sub(MARGIN))
}

/// When a request is to be given up.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// The client's deadline, at most `most` from now. A header that cannot be read counts as none.
    pub fn of(metadata: &MetadataMap, most: Duration) -> Deadline {
        Deadline(Some(Instant::now() + asked(metadata).map_or(most, |asked| asked.min(most))))
    }

    /// The client's deadline alone: for streams, which last as long as they are wanted.
    pub fn asked(metadata: &MetadataMap) -> Deadline {
        Deadline(asked(metadata).map(|asked| Instant::now() + asked))
    }

    /// Returns when it has passed; never where there is none.
    pub async fn passed(self) {
        match self.0 {
            None => std::future::pending().await,
            Some(at) => tokio::time::sleep_until(at).await,
        }
    }

    /// Runs `work` to its end or to the deadline.
    ///
    /// # Errors
    /// DEADLINE_EXCEEDED, or what `work` answers.
    pub async fn bound<T>(self, work: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        match self.0 {
            None => work.await,
            // Nothing is begun that nobody waits for any more.
            Some(at) if at <= Instant::now() => Err(error::deadline()),
            Some(at) => tokio::time::timeout_at(at, work).await.unwrap_or_else(|_| Err(error::deadline())),
        }
    }
}

/// A whole number of at most 8 digits and its unit, as the gRPC protocol has it.
fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0u64, |n, digit| n * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(number * 3_600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    #[test]
    fn timeouts_are_read_as_the_protocol_has_them() {
        assert_eq!(parse(b"100m"), Some(Duration::from_millis(100)));
        assert_eq!(parse(b"2S"), Some(Duration::from_secs(2)));
        assert_eq!(parse(b"1H"), Some(Duration::from_secs(3_600)));
        assert_eq!(parse(b"99999999u"), Some(Duration::from_micros(99_999_999)));
        for bad in [b"".as_slice(), b"m", b"5", b"123456789m", b"-5m", b"5x", b"5.0S", b"\xffS"] {
            assert_eq!(parse(bad), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_takes_too_long_is_given_up_and_other_work_is_not() {
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", "50m".parse().expect("ASCII"));
        let deadline = Deadline::of(&metadata, Duration::from_secs(30));
        let slow = deadline.bound(async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(())
        });
        assert_eq!(slow.await.expect_err("too slow").code(), Code::DeadlineExceeded);
        let deadline = Deadline::of(&metadata, Duration::from_secs(30));
        assert_eq!(deadline.bound(async { Ok(5) }).await.expect("quick"), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn work_whose_deadline_has_passed_is_not_begun() {
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", "1u".parse().expect("ASCII"));
        let deadline = Deadline::of(&metadata, Duration::from_secs(30));
        let told: Result<(), Status> = deadline.bound(async { panic!("begun") }).await;
        assert_eq!(told.expect_err("too late").code(), Code::DeadlineExceeded);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_word_of_the_client_the_longest_time_holds() {
        let forever = Deadline::of(&MetadataMap::new(), Duration::from_secs(30)).bound(async {
            std::future::pending::<()>().await;
            Ok(())
        });
        assert_eq!(forever.await.expect_err("too slow").code(), Code::DeadlineExceeded);
    }
}
