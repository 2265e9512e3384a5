//! The views in use, from the oldest: what they see must be kept, and what was written since.

use super::view::View;
use crate::TRANSACTION_MS_MAX;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

/// Views that were replaced by newer ones, in order, as long as a transaction may hold one.
#[derive(Default)]
pub(super) struct Views {
    replaced: VecDeque<Replaced>,
}

struct Replaced {
    version: u64,
    at_ms: u64,
    view: Weak<View>,
}

impl Views {
    pub fn replaced(&mut self, view: &Arc<View>, now_ms: u64) {
        let (version, view) = (view.version(), Arc::downgrade(view));
        self.replaced.push_back(Replaced { version, at_ms: now_ms, view });
    }

    /// Version of the oldest view in use, which is `newest` if there is no other. A view that every
    /// transaction must be too old for is taken away from whoever still holds it.
    pub fn oldest(&mut self, newest: u64, now_ms: u64) -> u64 {
        while let Some(front) = self.replaced.front() {
            if front.view.strong_count() > 0 {
                if now_ms.saturating_sub(front.at_ms) <= TRANSACTION_MS_MAX {
                    return front.version;
                }
                if let Some(view) = front.view.upgrade() {
                    view.revoke();
                }
            }
            self.replaced.pop_front();
        }
        newest
    }

    /// Takes all of them away.
    pub fn revoke(&mut self) {
        for view in self.replaced.drain(..).filter_map(|replaced| replaced.view.upgrade()) {
            view.revoke();
        }
    }
}
