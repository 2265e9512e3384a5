//! Where carriers reach this node: callbacks, documents and media sockets; and where the node reaches carriers.
//!
//! ```text
//!   dispatcher ── DialOrder ──▶ CarrierPerformer ── POST ──▶ carrier
//!   call ◀── Reported, Amd, Recorded ── callback ◀── signed form ──┤
//!   call ── Stream | Hangup ─────────▶ document ── TwiML ─────────▶┤
//!   call ◀── Attach, Said, MediaClosed ─────── bridge ◀══ media ══▶│
//!                                                ╚═══ agent ═══▶ voice agent
//! ```
//!
//! Nothing of a call is decided here: what is heard is told to the call, durably, and the call says what to do.
//!
//! - [`Urls`]: the addresses that carriers are given. [`CarrierPerformer`] gives them away, [`serve`] answers there.
//! - [`serve`] with [`EdgeOptions`] gives a [`Running`] edge.
//! - [`Live`]: the conversations held at present.

mod accounts;
mod bridge;
mod callback;
mod live;
mod media;
mod options;
mod performer;
mod request;
mod server;
mod tell;
mod tls;
mod urls;
mod warm;

pub use accounts::Account;
pub use live::Live;
pub use options::{Agent, Agents, Alone, EdgeOptions, Limits};
pub use performer::{CarrierPerformer, Carriers};
pub use server::{Running, ServeError, serve};
pub use tls::{TlsError, server_config};
pub use urls::{Urls, UrlsError};
