mod crash;
mod embedded;
mod files;
#[cfg(feature = "postgresql")]
mod postgresql;
#[cfg(feature = "postgresql")]
mod postgresql_failures;
#[cfg(feature = "postgresql")]
mod postgresql_stopped;
