//! `tandem simulate`: carrier and voice agent on their own.

use super::exit::Exit;
use super::failure::Failure;
use super::local::Simulate;
use super::output::Output;
use super::table::Card;
use serde_json::json;
use tandem_simulator::{Options, Scenario, Simulator};

impl Simulate {
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let mix = match &self.scenario {
            Some(path) => {
                let text =
                    crate::config::read_text(path).map_err(|error| Failure::usage(error.to_string()))?;
                Scenario::from_toml(&text)
                    .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?
            }
            None => Scenario::default(),
        };
        let options = Options {
            carrier_addr: self.carrier,
            agent_addr: self.agent,
            seed: self.seed,
            speed: self.speed,
            mix,
            log_path: self.log,
            ..Options::default()
        };
        // These are nobody's secrets: whoever simulates needs them.
        let credentials =
            (options.account_sid.clone(), options.auth_token.clone(), options.xi_api_key.clone());
        let running = Simulator::start(options).await.map_err(|error| Failure::of(&error))?;
        let (account_sid, auth_token, xi_api_key) = credentials;
        let (carrier, agent) = (running.carrier_url.clone(), running.agent_url.clone());
        let answer = json!({
            "carrier": carrier, "agent": agent, "account_sid": account_sid, "auth_token": auth_token,
            "xi_api_key": xi_api_key, "seed": self.seed, "speed": self.speed,
        });
        out.value(&answer, || {
            let mut card = Card::new();
            card.add("carrier", &carrier)
                .add("  account_sid", &account_sid)
                .add("  auth_token", &auth_token)
                .add("agent", &agent)
                .add("  api_key", &xi_api_key)
                .add("seed", self.seed.to_string())
                .add("speed", self.speed.to_string());
            card.lines()
        })?;
        out.flush()?;
        stop_asked().await;
        running.shutdown().await;
        Ok(Exit::Ok)
    }
}

/// Waits until somebody asks this process to stop.
async fn stop_asked() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // Without a handler the signal ends the process by itself.
        let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    #[cfg(not(unix))]
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
