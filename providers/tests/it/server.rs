//! A server that answers by script and misbehaves on order. It speaks just enough HTTP to see
//! what arrives, whole requests and half ones.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What to do about one request.
#[derive(Clone, Debug)]
pub enum Step {
    /// Answer and keep the connection.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// Answer and close without having said so.
    AnswerThenClose { status: u16, body: String },
    /// Read the whole request and close without a word.
    Close,
    /// Read the whole request and never answer.
    Silence,
    /// Send these bytes and close.
    Raw(Vec<u8>),
    /// Send these bytes and nothing more, but keep the connection.
    Stall(Vec<u8>),
}

impl Step {
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Step::Answer { status, headers: vec![], body: body.into() }
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which connection it came on, from 0.
    pub connection: usize,
    pub method: String,
    pub path: String,
    pub head: String,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn form(&self) -> Vec<(String, String)> {
        tandem_providers::twilio::callback::decode(self.body.as_bytes()).unwrap()
    }
}

#[derive(Default)]
struct State {
    script: VecDeque<Step>,
    seen: Vec<Seen>,
}

pub struct Server {
    state: Arc<Mutex<State>>,
    pub url: String,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts a server that does one step for each request that arrives, and answers 599 when it
    /// has none left.
    pub async fn start(script: impl IntoIterator<Item = Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { script: script.into_iter().collect(), seen: Vec::new() }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let mut tasks = tokio::task::JoinSet::new();
            for connection in 0.. {
                let Ok((socket, _)) = listener.accept().await else { return };
                tasks.spawn(serve(socket, connection, Arc::clone(&shared)));
            }
        });
        Server { state, url, task }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut socket: TcpStream, connection: usize, state: Arc<Mutex<State>>) {
    let mut buffer = Vec::new();
    while let Some(seen) = read_request(&mut socket, &mut buffer, connection).await {
        let step = {
            let mut state = state.lock().unwrap();
            state.seen.push(seen);
            state.script.pop_front().unwrap_or(Step::json(599, ""))
        };
        let (status, headers, body, close) = match step {
            Step::Answer { status, headers, body } => (status, headers, body, false),
            Step::AnswerThenClose { status, body } => (status, vec![], body, true),
            Step::Close => return,
            Step::Silence => std::future::pending().await,
            Step::Stall(bytes) => {
                let _ = socket.write_all(&bytes).await;
                std::future::pending().await
            }
            Step::Raw(bytes) => {
                let _ = socket.write_all(&bytes).await;
                return;
            }
        };
        let mut text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(&body);
        if socket.write_all(text.as_bytes()).await.is_err() || close {
            return;
        }
    }
}

async fn read_request(socket: &mut TcpStream, buffer: &mut Vec<u8>, connection: usize) -> Option<Seen> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
                })
                .unwrap_or(0usize);
            if buffer.len() >= end + 4 + length {
                let body = String::from_utf8_lossy(&buffer[end + 4..end + 4 + length]).into_owned();
                buffer.drain(..end + 4 + length);
                let mut words = head.split(' ');
                let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
                return Some(Seen { connection, method, path, head, body });
            }
        }
        if socket.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}
