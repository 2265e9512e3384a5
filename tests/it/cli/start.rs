//! A node that cannot start says why in one line and ends with 1; and one that runs does not mind what
//! becomes of its log.

use super::world::{ADMIN, CONFIG, PATIENCE, Ran, World, command};
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;
use tokio::time::timeout;

/// The files of a node.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        place.write("tandem.toml", CONFIG);
        place.write("admin.token", ADMIN);
        place
    }

    /// With data in it: a node has run here, and a company was made.
    async fn used() -> Place {
        let place = Place::new();
        let mut world = World::start_in(place.0.path()).await;
        world.company().await;
        // As by a power cut: nothing is tidied up.
        world.kill().await;
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), content).unwrap();
    }

    /// Starts a node that cannot start, and gives what it says.
    async fn refused(&self) -> String {
        self.refused_as(command(self.path()).args(["node", "--config", "tandem.toml"])).await
    }

    async fn refused_as(&self, command: &mut Command) -> String {
        let command = command.current_dir(self.path()).stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(PATIENCE, command.output()).await.expect("it ends by itself").unwrap();
        let (out, err) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        let ran = Ran { code: output.status.code().unwrap_or(-1), out, err }.ended(1);
        let last = ran.err.lines().last().unwrap_or_default().to_owned();
        assert!(last.starts_with("tandem: ") && !ran.err.contains("panic"), "{}", ran.err);
        last
    }
}

/// Its only file of this kind that is not empty, changed.
fn damage(directory: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort_by_key(|path| std::fs::metadata(path).unwrap().len());
    let largest = files.pop().unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    change(&mut bytes);
    std::fs::write(largest, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_data_are_told_and_left_as_they_are() {
    for part in ["the mark", "a piece", "bytes"] {
        let place = Place::used().await;
        let store = place.path().join("data/store");
        match part {
            "the mark" => place.write("data/store/STORE", "something else"),
            "a piece" => std::fs::remove_file(store.join("journal/1")).unwrap(),
            _ => damage(&store.join("journal"), |bytes| bytes[60..90].fill(0xa5)),
        }
        let told = place.refused().await;
        assert!(told.contains("cannot be read") && told.contains("data/store"), "{part}: {told}");
        assert_eq!(place.refused().await, told, "{part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_do_not_belong_to_the_configuration_are_told() {
    let place = Place::used().await;
    place.write("tandem.toml", CONFIG.replace("shards = 4", "shards = 8"));
    assert!(place.refused().await.contains("made for 4 shards and the configuration says 8"));
    place.write("tandem.toml", CONFIG);

    let key = std::fs::read(place.path().join("tandem.key")).unwrap();
    place.write("tandem.key", "5".repeat(64));
    assert!(place.refused().await.contains("tandem.key is not the one of this data"));
    place.write("tandem.key", "rubbish");
    assert!(place.refused().await.contains("does not hold 64 hex digits"));
    // A new key in its place would only hide that one is lost.
    std::fs::remove_file(place.path().join("tandem.key")).unwrap();
    assert!(place.refused().await.contains("no key file at"));
    place.write("tandem.key", key);
    let world = World::start_in(place.path()).await;

    let second = command(place.path()).args(["node", "--config", "tandem.toml"]).output();
    let second = timeout(PATIENCE, second).await.expect("it ends by itself").unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("in use by another process"));
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_at_the_first_start_leaves_nothing_half_made() {
    let place = Place::new();
    // No file may become longer than this: what a disk without room looks like to the one who writes.
    let line = format!("trap '' XFSZ; ulimit -f 8; exec {:?} node", env!("CARGO_BIN_EXE_tandem"));
    let told = place.refused_as(Command::new("sh").args(["-c", &line])).await;
    assert!(told.contains("no space is left for the data"), "{told}");
    // With room again it starts.
    let world = World::start_in(place.path()).await;
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_ends_nothing() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        // Other systems have no such device.
        return;
    };
    let place = Place::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let grpc = format!("[grpc]\nlisten = \"{address}\"");
    place.write("tandem.toml", CONFIG.replace("[grpc]\nlisten = \"127.0.0.1:0\"", &grpc));
    let mut node = command(place.path())
        .args(["node", "--config", "tandem.toml"])
        .stderr(Stdio::from(full))
        .spawn()
        .unwrap();
    let server = format!("http://{address}");
    let create = ["company", "create", "Acme", "--json", "--server", &server, "--key-file", "admin.token"];
    let asked = async {
        loop {
            assert_eq!(node.try_wait().unwrap(), None, "it has ended");
            let made = command(place.path()).args(create).output().await.unwrap();
            if made.status.success() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, asked).await.expect("it serves");
    let id = node.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    assert_eq!(timeout(PATIENCE, node.wait()).await.unwrap().unwrap().code(), Some(0));
}
