//! Whether a connection still has the conversation. The call grants a newer one whenever the carrier brings it, on
//! whatever node; this one may not even have noticed yet that its own is dead.

use super::super::live::Told;
use std::time::Duration;
use tandem_actors::Handle;
use tandem_domain::call::{Call, State};
use tandem_domain::id::{Attempt, Entity};
use tokio::time::{sleep, timeout};

/// Looked at so often even where nothing is heard: what is watched may have moved to another node.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Events that come so close together are looked at once.
const TOGETHER: Duration = Duration::from_millis(200);

/// Returns once the connection of this generation does not have the conversation any more.
pub(super) async fn lost(handle: Handle, attempt: Attempt, generation: u32) -> Told {
    let entity = Entity::call(attempt.company, attempt.call);
    let mut news = handle.watch(entity);
    loop {
        match timeout(LOOK_EVERY, news.changed()).await {
            Ok(Ok(())) => sleep(TOGETHER).await,
            Ok(Err(_)) => {
                sleep(LOOK_EVERY).await;
                news = handle.watch(entity);
            }
            Err(_) => {}
        }
        news.mark_unchanged();
        // Where the call cannot be asked it has not granted another either; it is asked again.
        let Ok(view) = handle.read::<Call>(entity).await else { continue };
        if let Some(told) = verdict(view.as_ref().map(|view| &view.state), attempt.number, generation) {
            return told;
        }
    }
}

fn verdict(state: Option<&State>, attempt: u16, generation: u32) -> Option<Told> {
    let Some(state) = state.filter(|state| state.attempt == attempt) else { return Some(Told::CallOver) };
    match &state.live {
        None => Some(Told::CallOver),
        // The carrier has said that this one is closed, or has brought another.
        Some(live) if live.generation != generation || !live.media_open => Some(Told::Superseded),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_domain::call::Live;

    fn state(attempt: u16, live: Option<(u32, bool)>) -> State {
        let live =
            live.map(|(generation, media_open)| Box::new(Live { generation, media_open, ..Live::default() }));
        State { attempt, live, ..State::default() }
    }

    #[test]
    fn a_connection_stands_as_long_as_the_call_has_no_other() {
        for (state, expected) in [
            (Some(state(1, Some((2, true)))), None),
            (Some(state(1, Some((2, false)))), Some(Told::Superseded)),
            (Some(state(1, Some((3, true)))), Some(Told::Superseded)),
            (Some(state(1, None)), Some(Told::CallOver)),
            (Some(state(2, Some((2, true)))), Some(Told::CallOver)),
            (None, Some(Told::CallOver)),
        ] {
            assert_eq!(verdict(state.as_ref(), 1, 2), expected, "{state:?}");
        }
    }
}
