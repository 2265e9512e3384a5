mod crash;
mod embedded;
mod files;
#[cfg(feature = "postgresql")]
mod postgresql;
