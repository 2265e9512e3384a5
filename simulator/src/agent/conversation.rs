//! One conversation socket: feeds the dialog and sends what comes of it.

use super::AgentServer;
use super::dialog::{Dialog, Out};
use super::history::Past;
use super::message::Incoming;
use crate::log::{AgentConversationEnd, Event};
use crate::scenario::AgentFault;
use futures_util::{SinkExt as _, StreamExt as _};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

const SEND_TIMEOUT: Duration = Duration::from_secs(5);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How a conversation ended.
struct End {
    by: &'static str,
    code: Option<u16>,
}

const IN_CONVERSATION: [AgentFault; 8] = [
    AgentFault::NeverAnswers,
    AgentFault::Close1002,
    AgentFault::Close1008,
    AgentFault::Close1011,
    AgentFault::Cut,
    AgentFault::Flood,
    AgentFault::Garbage,
    AgentFault::EndsAtOnce,
];

/// Frees the place of a conversation however it ends.
struct Place<'a>(&'a AgentServer);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) async fn run<S>(server: &AgentServer, mut socket: WebSocketStream<S>, agent: String)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    server.live.fetch_add(1, Ordering::Relaxed);
    let _place = Place(server);
    let n = server.conversations.fetch_add(1, Ordering::Relaxed);
    let chooser = server.chooser();
    let id = format!("conv_{}", chooser.rng(&format!("conversation/{}", server.run), &agent, n).hex32());
    let fault = server.fault(&IN_CONVERSATION, "conversation", n);
    let dialogue = chooser.scenario.agent.agents.get(&agent).cloned().unwrap_or_default();
    let mut settings = chooser.scenario.agent.clone();
    // Only the own dialogue is needed from here on.
    settings.agents.clear();
    let mut dialog = Dialog::new(id.clone(), settings, dialogue, fault, server.pace.clone());
    let began_ms = server.pace.now_ms();

    let mut seen = Seen::default();
    let end = exchange(server, &mut socket, &mut dialog, &mut seen, (&id, &agent, fault)).await;
    if !seen.announced {
        announce(server, &id, &agent, None, fault);
    }
    server.log.write(Event::AgentConversationClosed(AgentConversationEnd {
        conversation: id.clone(),
        by: end.by.to_owned(),
        code: end.code,
        user_turns: dialog.user_turns,
        agent_turns: dialog.agent_turns,
        interruptions: dialog.interruptions,
        tool_calls: dialog.tool_calls,
        contexts: dialog.contexts,
        frames_received: seen.frames,
        invalid: seen.invalid,
    }));
    let past = Past::of(dialog, &agent, seen.user, began_ms, end.code);
    server.history.lock().keep(id, past);
}

#[derive(Default)]
struct Seen {
    announced: bool,
    user: Option<String>,
    frames: u64,
    invalid: u64,
}

fn announce(server: &AgentServer, id: &str, agent: &str, user: Option<String>, fault: Option<AgentFault>) {
    server.log.write(Event::AgentConversationOpened {
        conversation: id.to_owned(),
        agent: agent.to_owned(),
        user,
        fault,
    });
}

async fn exchange<S>(
    server: &AgentServer,
    socket: &mut WebSocketStream<S>,
    dialog: &mut Dialog,
    seen: &mut Seen,
    (id, agent, fault): (&str, &str, Option<AgentFault>),
) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut last = Instant::now();
    let mut out = Vec::new();
    loop {
        for out in out.drain(..) {
            let message = match out {
                Out::Send(value) => Message::text(value.to_string()),
                Out::Garbage(text) => Message::text(text),
                Out::Cut => return End { by: "agent", code: None },
                Out::Close(code) => {
                    close(socket, code).await;
                    return End { by: "agent", code: Some(code) };
                }
            };
            match tokio::time::timeout(SEND_TIMEOUT, socket.send(message)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return End { by: "broken", code: None },
            }
        }
        let due = last + dialog.due();
        tokio::select! {
            biased;
            message = socket.next() => {
                dialog.pass(last.elapsed(), &mut out);
                last = Instant::now();
                match message {
                    Some(Ok(Message::Text(text))) => match Incoming::parse(text.as_str()) {
                        Ok(message) => {
                            match &message {
                                Incoming::Audio(_) => seen.frames += 1,
                                Incoming::Initiation(initiation) if !seen.announced => {
                                    seen.announced = true;
                                    seen.user.clone_from(&initiation.user);
                                    announce(server, id, agent, initiation.user.clone(), fault);
                                }
                                _ => {}
                            }
                            dialog.take(message, &mut out);
                        }
                        Err(_) => {
                            seen.invalid += 1;
                            dialog.refuse(&mut out);
                        }
                    },
                    Some(Ok(Message::Binary(_))) => {
                        seen.invalid += 1;
                        dialog.refuse(&mut out);
                    }
                    Some(Ok(Message::Close(frame))) => {
                        let _ = tokio::time::timeout(CLOSE_TIMEOUT, socket.next()).await;
                        return End { by: "peer", code: frame.map(|frame| u16::from(frame.code)) };
                    }
                    Some(Ok(_)) => {}
                    None | Some(Err(WsError::ConnectionClosed)) => return End { by: "peer", code: None },
                    Some(Err(_)) => return End { by: "broken", code: None },
                }
            }
            () = tokio::time::sleep_until(due) => {
                dialog.pass(last.elapsed(), &mut out);
                last = Instant::now();
            }
        }
    }
}

async fn close<S>(socket: &mut WebSocketStream<S>, code: u16)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let goodbye = async {
        let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
        let _ = socket.close(Some(frame)).await;
        while let Some(Ok(_)) = socket.next().await {}
    };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, goodbye).await;
}
