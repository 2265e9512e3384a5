//! What a command prints: tables for people, JSON for programs.

use super::exit::Exit;
use super::failure::Failure;
use super::json::{self, Named};
use super::table::{Table, printable};
use crate::stderr::{say, show};
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{self, IsTerminal as _, Write};

/// Where results go. Progress and failures go to the standard error.
pub struct Output {
    json: bool,
    /// A person is watching the standard error.
    live: bool,
    bold: bool,
    out: Box<dyn Write + Send>,
    /// A line of progress stands unfinished.
    progress: bool,
    /// Nobody reads the results any more, as with `| head`.
    closed: bool,
}

impl Output {
    pub fn new(json: bool) -> Output {
        let bold = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let out = Box::new(io::BufWriter::new(io::stdout()));
        Output { json, live: io::stderr().is_terminal(), bold, out, progress: false, closed: false }
    }

    #[cfg(test)]
    pub fn to(json: bool, out: Box<dyn Write + Send>) -> Output {
        Output { json, live: false, bold: false, out, progress: false, closed: false }
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person watches the progress.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// One answer: as JSON, or as lines made of it.
    pub fn answer<M: Named>(
        &mut self,
        message: &M,
        lines: impl FnOnce(&M) -> Vec<String>,
    ) -> Result<(), Failure> {
        if self.json { self.json_line(&json::of(message)) } else { self.lines(lines(message)) }
    }

    /// One item of a list or a stream, at once.
    ///
    /// # Errors
    /// Also where nobody reads any more, so that the list or the stream ends.
    pub fn item<M: Named>(&mut self, message: &M, line: impl FnOnce(&M) -> String) -> Result<(), Failure> {
        self.answer(message, |message| vec![printable(&line(message))])?;
        self.flush()?;
        if self.closed { Err(closed()) } else { Ok(()) }
    }

    /// A value that is no message.
    pub fn value(
        &mut self,
        value: &impl Serialize,
        lines: impl FnOnce() -> Vec<String>,
    ) -> Result<(), Failure> {
        if !self.json {
            return self.lines(lines());
        }
        let value = serde_json::to_value(value).map_err(|error| Failure::of(&error))?;
        self.json_line(&value)
    }

    pub fn table(&mut self, table: &Table) -> Result<(), Failure> {
        let mut lines = table.lines();
        if self.bold
            && let Some(heading) = lines.first_mut()
        {
            *heading = format!("\u{1b}[1m{heading}\u{1b}[0m");
        }
        self.lines(lines)
    }

    /// Text that is meant for people and files alike.
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.write(text)
    }

    pub fn lines(&mut self, lines: impl IntoIterator<Item = String>) -> Result<(), Failure> {
        lines.into_iter().try_for_each(|line| self.write(&format!("{line}\n")))
    }

    fn json_line(&mut self, value: &Value) -> Result<(), Failure> {
        self.write(&format!("{value}\n"))
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.end_progress();
        let written = if self.closed { Ok(()) } else { self.out.write_all(text.as_bytes()) };
        self.written(written)
    }

    pub fn flush(&mut self) -> Result<(), Failure> {
        let flushed = if self.closed { Ok(()) } else { self.out.flush() };
        self.written(flushed)
    }

    /// A reader that has seen enough is no failure: the command ends as it would have.
    fn written(&mut self, result: io::Result<()>) -> Result<(), Failure> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            result => result.map_err(|error| Failure::of(&error)),
        }
    }

    /// How far it is, on one line that is written anew; nothing where nobody watches.
    pub fn progress(&mut self, text: &str) {
        if self.live {
            show(format_args!("\r\u{1b}[K{}", printable(text)));
            self.progress = true;
        }
    }

    pub fn end_progress(&mut self) {
        if self.progress {
            say("");
            self.progress = false;
        }
    }

    /// A word to the person, besides the result.
    pub fn note(&mut self, text: &str) {
        self.end_progress();
        say(printable(text));
    }

    /// Tells why it failed.
    pub fn failure(&mut self, failure: &Failure) {
        self.end_progress();
        if self.json {
            say(json!({ "error": failure }));
        } else {
            failure.lines().iter().for_each(|line| say(printable(line)));
        }
    }
}

/// Ends a list or a stream of which nobody reads any more; [`is_closed`] tells it.
fn closed() -> Failure {
    let mut failure = Failure::new(Exit::Ok, "nobody reads the output any more");
    CLOSED.clone_into(&mut failure.reason);
    failure
}

const CLOSED: &str = "OUTPUT_CLOSED";

/// Nobody reads the output any more, as with `| head`.
pub fn is_closed(failure: &Failure) -> bool {
    failure.reason == CLOSED
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::Arc;
    use tandem_proto::v1;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn printed(json: bool) -> String {
        let kept = Kept::default();
        let mut output = Output::to(json, Box::new(kept.clone()));
        let turn = v1::Turn { number: 1, text: "a\u{1b}[2J\nb".into(), ..Default::default() };
        output.item(&turn, |turn| turn.text.clone()).unwrap();
        output.value(&json!({ "n": 1 }), || vec!["n is 1".into()]).unwrap();
        let bytes = kept.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn people_and_programs_are_told_the_same() {
        assert_eq!(printed(false), "a·[2J·b\nn is 1\n");
        let lines: Vec<Value> =
            printed(true).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((lines[0]["text"].as_str(), lines[1]["n"].as_u64()), (Some("a\u{1b}[2J\nb"), Some(1)));
    }

    #[test]
    fn a_reader_that_leaves_is_no_failure() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut output = Output::to(false, Box::new(Gone));
        output.text("an answer").unwrap();
        output.flush().unwrap();
        let failure = output.item(&v1::Turn::default(), |_| "one of many".into()).unwrap_err();
        assert!(is_closed(&failure) && !is_closed(&Failure::usage("x")));
    }
}
