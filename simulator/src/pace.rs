//! Time of the simulation: how fast simulated things pass, and what the clock on the wall shows.
//!
//! Two rates keep a compressed run honest. What the simulator *plays* (a ring, a sentence, a pause) passes at
//! [`Pace::speed`]. What it *waits for* from the system under test (a document, the agent's next words)
//! passes at [`Pace::wait_speed`], which is five at most unless told otherwise: at 1,000 times real speed a reply that takes 20 ms
//! must not look like 20 seconds of silence to the person who waits for it. At speed 1 both are 1.

use std::sync::Arc;
use std::time::Duration;

/// What the wall clock shows. Dates on the wire and in the log come from here.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now_ms(&self) -> i64;
}

/// The machine's own clock.
#[derive(Clone, Copy, Default, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        jiff::Timestamp::now().as_millisecond()
    }
}

/// Length of one media frame at speed 1: 160 bytes of mu-law at 8 kHz.
pub(crate) const FRAME_MS: u64 = 20;
/// Bytes of one media frame, at every speed.
pub(crate) const FRAME_BYTES: usize = 160;
/// When time is compressed, frames of speech are not sent more often than this in real time,
const REAL_TICK_MS_MIN: f64 = 5.0;
/// and frames of silence not more often than this.
const REAL_SILENCE_MS_MIN: f64 = 20.0;
/// Bound of the speed of waiting where none is given: patience of 10 s is then 2 s of real time.
const WAIT_SPEED_MAX: f64 = 5.0;

/// Speeds of the simulation and its clock.
#[derive(Clone)]
pub struct Pace {
    speed: f64,
    wait_speed: f64,
    stride: u64,
    clock: Arc<dyn Clock>,
}

impl Pace {
    /// `speed`: simulated seconds per real second, clamped to 0.01..=100,000; anything that is not a number is 1.
    /// `stride`: how many samples one byte of audio stands for, `None` to derive it from the speed.
    /// `wait_speed`: bound of the speed of waiting, `None` for the default.
    pub fn new(speed: f64, wait_speed: Option<f64>, stride: Option<u32>, clock: Arc<dyn Clock>) -> Self {
        let tame = |speed: f64| if speed.is_finite() { speed.clamp(0.01, 100_000.0) } else { 1.0 };
        let speed = tame(speed);
        let wait_speed = speed.min(wait_speed.map_or(WAIT_SPEED_MAX, tame));
        let derived = (speed * REAL_TICK_MS_MIN / FRAME_MS as f64).ceil() as u64;
        let stride = stride.map_or(derived, u64::from).clamp(1, 100_000);
        Self { speed, wait_speed, stride, clock }
    }

    pub fn speed(&self) -> f64 {
        self.speed
    }

    /// Simulated seconds per real second while waiting for the system under test.
    pub fn wait_speed(&self) -> f64 {
        self.wait_speed
    }

    /// Samples that one byte of audio stands for. 1 at speed 1 (plain mu-law); more when time is compressed, so
    /// that a conversation of a minute costs a few frames.
    pub fn stride(&self) -> u64 {
        self.stride
    }

    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Real time that `simulated_ms` take.
    pub fn real(&self, simulated_ms: u64) -> Duration {
        Duration::from_secs_f64(simulated_ms as f64 / 1_000.0 / self.speed)
    }

    /// Real time after which a wait of `simulated_ms` for the other side is over.
    pub fn real_wait(&self, simulated_ms: u64) -> Duration {
        Duration::from_secs_f64(simulated_ms as f64 / 1_000.0 / self.wait_speed)
    }

    pub async fn sleep(&self, simulated_ms: u64) {
        tokio::time::sleep(self.real(simulated_ms)).await;
    }

    /// Simulated time that one media frame covers.
    pub(crate) fn frame_ms(&self) -> u64 {
        FRAME_MS * self.stride
    }

    /// Simulated time from one frame of silence to the next. The same as [`Self::frame_ms`] while audio is plain.
    pub(crate) fn silence_ms(&self) -> u64 {
        if self.stride == 1 {
            return FRAME_MS;
        }
        self.frame_ms().max((self.speed * REAL_SILENCE_MS_MIN) as u64)
    }

    /// Simulated length of `bytes` of audio.
    pub(crate) fn audio_ms(&self, bytes: usize) -> u64 {
        (bytes as u64).saturating_mul(self.stride).div_ceil(8)
    }

    /// Bytes of audio that cover `simulated_ms`, at least one.
    pub(crate) fn audio_bytes(&self, simulated_ms: u64) -> usize {
        usize::try_from((simulated_ms * 8 / self.stride).max(1)).unwrap_or(usize::MAX)
    }
}

/// A wait of so many real milliseconds, rounded up to a whole microsecond, so that what is waited for has come when it
/// is over; at most a day.
pub(crate) fn real_wait(ms: f64) -> Duration {
    if ms <= 0.0 {
        return Duration::ZERO;
    }
    Duration::from_micros((ms.clamp(0.0, 86_400_000.0) * 1_000.0).ceil() as u64 + 1)
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pace")
            .field("speed", &self.speed)
            .field("stride", &self.stride)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(speed: f64) -> Pace {
        Pace::new(speed, None, None, Arc::new(SystemClock))
    }

    #[test]
    fn at_speed_one_audio_is_plain() {
        let pace = pace(1.0);
        assert_eq!((pace.stride(), pace.frame_ms(), pace.audio_ms(FRAME_BYTES)), (1, 20, 20));
        assert_eq!(pace.silence_ms(), 20);
        assert_eq!(pace.audio_bytes(1_000), 8_000);
        assert_eq!(pace.real(1_500), Duration::from_millis(1_500));
        assert_eq!(pace.real_wait(1_500), Duration::from_millis(1_500));
    }

    #[test]
    fn compressed_time_thins_the_audio_and_keeps_its_length() {
        let pace = pace(1_000.0);
        assert_eq!(pace.stride(), 250);
        assert_eq!(pace.audio_ms(pace.audio_bytes(40_000)), 40_000);
        assert_eq!((pace.frame_ms(), pace.silence_ms()), (5_000, 20_000));
        assert_eq!(pace.real(1_000), Duration::from_millis(1));
        assert_eq!(pace.real_wait(1_000), Duration::from_millis(200));
    }

    #[test]
    fn nonsense_speeds_are_tamed() {
        for speed in [f64::NAN, f64::INFINITY, -3.0, 0.0, 1e300] {
            let pace = pace(speed);
            assert!(pace.real(60_000) < Duration::from_secs(6_001), "{speed}");
            assert!(pace.stride() >= 1);
        }
    }
}
