//! Time comes in here and nowhere else.

use async_trait::async_trait;
use std::time::Duration;
use tandem_domain::time::Millis;

/// The clock of a node.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970. Never goes backwards within one process.
    fn now(&self) -> Millis;

    /// Returns when `now()` has reached `at`, or earlier: callers look again.
    async fn sleep_until(&self, at: Millis);

    /// How much time passes here in one second of a real clock. 1 outside of demonstrations.
    fn speed(&self) -> f64 {
        1.0
    }

    /// A stretch of this clock's time on a real clock.
    fn real(&self, ms: Millis) -> Duration {
        Duration::from_secs_f64((ms.max(0) as f64) / 1000.0 / self.speed().max(1e-9))
    }
}

/// The system's clock, kept from going backwards, optionally faster than it.
pub struct SystemClock {
    origin: Millis,
    real_origin: Millis,
    started: tokio::time::Instant,
    speed: f64,
    skipped: std::sync::atomic::AtomicI64,
    moved: tokio::sync::Notify,
}

impl SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the seam through which time comes in")]
    fn system_ms() -> Millis {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Millis::try_from(since.map(|d| d.as_millis()).unwrap_or(0)).unwrap_or(Millis::MAX)
    }

    pub fn new() -> Self {
        let now = Self::system_ms();
        Self::build(now, now, 1.0)
    }

    /// A clock that showed `origin` when the system's showed `real_origin` and has run `speed`
    /// times as fast since. Two processes with the same arguments show the same time.
    pub fn simulated(origin: Millis, real_origin: Millis, speed: f64) -> Self {
        Self::build(origin, real_origin, speed)
    }

    fn build(origin: Millis, real_origin: Millis, speed: f64) -> Self {
        let elapsed = (Self::system_ms() - real_origin).max(0) as f64;
        SystemClock {
            origin: origin + (elapsed * speed) as Millis,
            real_origin,
            started: tokio::time::Instant::now(),
            speed,
            skipped: std::sync::atomic::AtomicI64::new(0),
            moved: tokio::sync::Notify::new(),
        }
    }

    /// Jumps ahead: for demonstrations that would wait for morning.
    pub fn skip(&self, ms: Millis) {
        self.skipped.fetch_add(ms.max(0), std::sync::atomic::Ordering::SeqCst);
        self.moved.notify_waiters();
    }

    pub fn real_origin(&self) -> Millis {
        self.real_origin
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

/// Longest single sleep: a jump of the clock is noticed after it at the latest.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Millis {
        let elapsed = self.started.elapsed().as_secs_f64() * 1000.0 * self.speed;
        self.origin + elapsed as Millis + self.skipped.load(std::sync::atomic::Ordering::SeqCst)
    }

    async fn sleep_until(&self, at: Millis) {
        let moved = self.moved.notified();
        tokio::pin!(moved);
        moved.as_mut().enable();
        // The timer wheel has a grain of a millisecond; shorter sleeps would spin.
        let wait = self.real(at - self.now()).clamp(Duration::from_millis(1), SLEEP_MAX);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = moved => {}
        }
    }

    fn speed(&self) -> f64 {
        self.speed
    }
}
