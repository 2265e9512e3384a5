//! Each thing that can be wrong with a configuration, and what is said of it.

use super::read::{Base, Place, Problem};
use super::*;

fn read(text: &str) -> Result<Config, Problems> {
    with(text, &[])
}

fn with(text: &str, variables: &[(&str, &str)]) -> Result<Config, Problems> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    parse(text, Base::default(), variables).map(|(config, _)| config)
}

/// The only problem of a text.
fn problem(text: &str) -> Problem {
    problem_with(text, &[])
}

fn problem_with(text: &str, variables: &[(&str, &str)]) -> Problem {
    let problems = with(text, variables).unwrap_err();
    assert_eq!(problems.0.len(), 1, "{problems}");
    problems.0.into_iter().next().unwrap()
}

const CARRIER: &str = r#"
http.public_url = "https://calls.example.com"
[carriers.twilio]
type = "twilio"
account_sid = "AC0123456789abcdef0123456789abcdef"
auth_token = "0123456789abcdef"
"#;

#[test]
fn nothing_is_needed() {
    let config = read("").unwrap();
    assert!(config.grpc.listen.ip().is_loopback() && config.http.listen.ip().is_loopback());
    assert!(config.metrics.listen.ip().is_loopback());
    assert_eq!((config.node.shards, config.clock.speed), (16, 1.0));
    assert!(!config.clock.is_simulated() && !config.http.dev && config.grpc.admin_token.is_none());
    let Keys::File { create, .. } = &config.keys;
    assert!(!create);
}

#[test]
fn the_example_is_sound_and_at_its_defaults() {
    let text = example();
    read(&text).unwrap();
    for key in Config::keys() {
        let (_, name) = key.path.rsplit_once('.').unwrap();
        assert!(text.contains(&format!("# {name} = ")), "{} is missing", key.path);
    }
    // Taking every # away gives a file that means the same.
    let bare: String = text
        .lines()
        .filter_map(|line| {
            let setting = line.strip_prefix("# ").unwrap_or(line);
            let is_setting = (setting.starts_with('[') && setting.ends_with(']'))
                || setting.split(' ').nth(1) == Some("=");
            let is_either = ["tls_", "url = "].iter().any(|either| setting.starts_with(either));
            (is_setting && !is_either && !setting.contains("_file = ")).then(|| format!("{setting}\n"))
        })
        .collect();
    let config = read(&bare.replace("\"...\"", "\"0123456789abcdef\"")).unwrap();
    assert!(config.carriers.contains_key("twilio") && config.agents.contains_key("elevenlabs"));
    assert_eq!(config.limits.mailbox_max, read("").unwrap().limits.mailbox_max);
}

#[test]
fn the_documentation_lists_every_key() {
    let written = include_str!("../../docs/operations.md");
    let begin = "<!-- keys: begin -->\n";
    let (_, rest) = written.split_once(begin).expect("docs/operations.md has a mark where the keys begin");
    let (tables, _) = rest.split_once("<!-- keys: end -->").expect("and one where they end");
    let expected = documentation();
    let (written, expected): (Vec<&str>, Vec<&str>) =
        (tables.trim().lines().collect(), expected.trim().lines().collect());
    for (written, expected) in written.iter().zip(&expected) {
        assert_eq!(written, expected, "put what `tandem config keys --markdown` prints between the marks");
    }
    assert_eq!(written.len(), expected.len());
}

#[test]
fn a_database_is_named_by_a_url_that_nobody_sees() {
    let url = "postgresql://tandem:topsecret@db:5433/calls?sslmode=verify-full";
    let text =
        format!("[store]\nengine = \"postgresql\"\nurl = {url:?}\nprefix = \"calls\"\nconnections_max = 8\n");
    let config = read(&text).unwrap();
    let Store::PostgreSql(given) = &config.store else { panic!("{:?}", config.store) };
    assert_eq!((&*given.prefix, given.connections_max, given.url.expose()), ("calls", 8, url));
    assert!(config.store.is_shared() && !config.warnings().iter().any(|warning| warning.key == "store.url"));
    assert!(!format!("{config:?}").contains("secret"));
    let variables = [("TANDEM_STORE__URL", "postgresql://u:topsecret@db/d")];
    let config = with("store.engine = \"postgresql\"", &variables).unwrap();
    assert!(config.warnings().iter().any(|warning| warning.key == "store.url"));

    for (text, key, message) in [
        ("engine = \"postgresql\"", "store.url", "is required"),
        ("url = \"postgresql://u:topsecret@db/d\"", "store.url", "engine is not"),
        ("engine = \"postgresql\"\nurl = \"postgresql://u:topsecret@db\"", "store.url", "names no database"),
        ("engine = \"postgresql\"\nurl = \"mysql://u:topsecret@db/d\"", "store.url", "postgresql://user"),
        ("engine = \"postgresql\"\nurl_file = \"nowhere\"", "store.url_file", "nowhere"),
        (
            "engine = \"postgresql\"\nurl = \"postgresql://u:topsecret@db/d\"\nprefix = \"A b\"",
            "store.prefix",
            "lower-case letters",
        ),
        ("connections_max = 1", "store.connections_max", "4 to 1000"),
    ] {
        let found = problem(&format!("[store]\n{text}\n"));
        assert_eq!(found.key, key, "{found:?}");
        assert!(found.message.contains(message) && !found.message.contains("secret"), "{found:?}");
    }
}

#[test]
fn unknown_keys_are_refused_and_the_meant_one_named() {
    let found = problem("[grpc]\n\nlisetn = \"127.0.0.1:1\"\n");
    assert_eq!((&*found.key, found.place), ("grpc.lisetn", Place::Line(3)));
    assert_eq!(found.message, "unknown key; did you mean grpc.listen?");
    assert_eq!(problem("[grcp]\n").message, "unknown key; did you mean grpc?");
    assert_eq!(
        problem("[store]\npublic_url = \"x\"\n").message,
        "unknown key; did you mean http.public_url?"
    );
    assert_eq!(problem("[log]\ncolour = true\n").message, "unknown key");
    assert_eq!(problem("listen = \"x\"\n").key, "listen");
    let text = format!("{CARRIER}auth_tokn = \"x\"\n");
    assert_eq!(problem(&text).message, "unknown key; did you mean carriers.twilio.auth_token?");
    assert_eq!(problem("[grpc.listener]\na = 1\n").key, "grpc.listener");
}

#[test]
fn everything_is_told_at_once() {
    let text = "[node]\nname = \"a b\"\nshards = 0\n[grpc]\nlisten = \"nowhere\"\nmax_message_kb = \"big\"\n\
                [http]\ndev = \"yes\"\nport = 3\n[carriers.x]\ntype = \"twilo\"\n[log]\nlevel = \"loud\"\n";
    let problems = with(text, &[("TANDEM_STORE__CACHE_MB", "1")]).unwrap_err();
    let keys: Vec<&str> = problems.0.iter().map(|problem| &*problem.key).collect();
    assert_eq!(
        keys,
        [
            "node.name",
            "node.shards",
            "grpc.listen",
            "grpc.max_message_kb",
            "http.dev",
            "http.port",
            "carriers.x.type",
            "log.level",
            "store.cache_mb",
            "http.public_url",
        ]
    );
    let places: Vec<&Place> = problems.0.iter().map(|problem| &problem.place).collect();
    assert_eq!(places[2], &Place::Line(5));
    assert_eq!(places[8], &Place::Variable("TANDEM_STORE__CACHE_MB".into()));
    assert_eq!(places[9], &Place::Absent);
    let shown = problems.to_string();
    assert!(shown.contains("line 3: node.shards: must be 1 to 4096, not 0"), "{shown}");
    assert!(shown.contains("did you mean \"twilio\"?"), "{shown}");
}

#[test]
fn types_are_told() {
    for (text, message) in [
        ("grpc = 1", "expected a table: [grpc], not an integer"),
        ("[grpc]\nlisten = 7350", "not 7350"),
        ("[grpc]\nlisten = \"localhost:7350\"", "expected an address and a port"),
        ("[node]\nshards = -1", "expected a whole number, not -1"),
        ("[node]\nshards = 99999999999", "expected a whole number"),
        ("[node]\nshards = 1.5", "expected a whole number, not a number"),
        ("[node]\nname = [1]", "expected text, not a list"),
        ("[node]\ndrain = 30", "a number without a unit"),
        ("[node]\ndata_dir = \"\"", "the path is empty"),
        ("[http]\ndev = 1", "expected true or false, not 1"),
        ("[http]\npublic_url = \"calls.example.com\"", "expected a URL"),
        ("[clock]\nspeed = nan", "expected a number"),
        ("[clock]\nspeed = 0", "must be 0.001 to 100000"),
        ("[clock]\nepoch = 2026-03-02", "expected a date with time and offset"),
        ("[log]\nformat = \"xml\"", "expected \"text\" or \"json\", not \"xml\""),
        ("[log]\nlevel = \"inof\"", "expected error, warn, info"),
        ("[store]\nengine = \"oracle\"", "expected \"embedded\""),
        ("carriers = \"twilio\"", "expected a table"),
        ("[carriers]\ntwilio = 1", "expected a table"),
    ] {
        let problems = read(text).unwrap_err();
        assert!(problems.0.iter().any(|problem| problem.message.contains(message)), "{text}: {problems}");
        assert!(problems.0.iter().all(|problem| problem.place != Place::Line(0)), "{text}");
    }
}

#[test]
fn what_is_not_toml_is_told_with_its_line() {
    let found = problem("[grpc]\nlisten = \"a\"\nlisten = \"b\"\n");
    assert_eq!(found.place, Place::Line(3));
    assert!(read("\u{0}").is_err() && read("[").is_err() && read("= 1").is_err());
}

#[test]
fn carriers_need_what_they_need() {
    assert!(read(CARRIER).is_ok());
    let keys = |text: &str| -> Vec<String> {
        read(text).unwrap_err().0.into_iter().map(|problem| problem.key).collect()
    };
    assert_eq!(
        keys(&CARRIER.replace("http.public_url = \"https://calls.example.com\"", "")),
        ["http.public_url"]
    );
    assert_eq!(keys(&CARRIER.replace("https://calls", "http://calls")), ["http.public_url"]);
    assert_eq!(keys(&CARRIER.replace("AC0123", "AC012")), ["carriers.twilio.account_sid"]);
    assert_eq!(
        keys(&CARRIER.replace("type = \"twilio\"", "")),
        ["carriers.twilio.account_sid", "carriers.twilio.auth_token", "carriers.twilio.type"]
    );
    assert_eq!(
        keys(&CARRIER.replace("auth_token = \"0123456789abcdef\"", "")),
        ["carriers.twilio.auth_token"]
    );
    assert_eq!(
        keys(&format!("{CARRIER}api_key = \"SK0123456789abcdef0123456789abcdef\"")),
        ["carriers.twilio.api_secret"]
    );
    assert_eq!(keys(&format!("{CARRIER}api_secret = \"x\"")), ["carriers.twilio.api_key"]);
    assert_eq!(
        keys(&format!("{CARRIER}base_url = \"http://api.example.com\"")),
        ["carriers.twilio.base_url"]
    );
    assert!(read(&format!("{CARRIER}base_url = \"http://127.0.0.1:9\"")).is_ok());
    assert!(read(&format!("{CARRIER}base_url = \"http://simulator:9\"\n[http]\n")).is_err());
    let dev = CARRIER
        .replace("https://calls", "http://calls")
        .replace("http.public", "http.dev = true\nhttp.public");
    assert!(read(&format!("{dev}base_url = \"http://simulator:9\"")).is_ok());
    assert_eq!(keys(&CARRIER.replace("[carriers.twilio]", "[carriers.external]")), ["carriers.external"]);
    assert_eq!(keys(&CARRIER.replace("[carriers.twilio]", "[carriers.Twilio]")), ["carriers.Twilio"]);
    let twins = "[agents.a_b]\ntype = \"elevenlabs\"\napi_key = \"k\"\n[agents.a-b]\ntype = \"elevenlabs\"\napi_key = \"k\"\n";
    assert!(problem(twins).message.contains("the same variable"));
}

#[test]
fn a_carrier_that_calls_nobody_needs_nothing() {
    let config = read("[carriers.nobody]\ntype = \"null\"\n").unwrap();
    assert!(matches!(config.carriers["nobody"], Carrier::Null));
    assert!(config.warnings().iter().any(|warning| warning.key == "carriers.nobody.type"));
    assert_eq!(
        problem("[carriers.nobody]\ntype = \"null\"\nauth_token = \"x\"\n").key,
        "carriers.nobody.auth_token"
    );
}

#[test]
fn an_api_key_is_used_where_given() {
    let login = |text: &str| {
        let config = read(text).unwrap();
        matches!(
            &config.carriers["twilio"],
            Carrier::Twilio(twilio) if matches!(twilio.login, TwilioLogin::ApiKey { .. })
        )
    };
    assert!(!login(CARRIER));
    assert!(login(&format!(
        "{CARRIER}api_key = \"SK0123456789abcdef0123456789abcdef\"\napi_secret = \"s\"\n"
    )));
}

#[test]
fn the_environment_wins() {
    let text = "[grpc]\nlisten = \"127.0.0.1:1\"\n";
    let config = with(
        text,
        &[
            ("TANDEM_GRPC__LISTEN", "0.0.0.0:9"),
            ("TANDEM_HTTP__DEV", "true"),
            ("TANDEM_NODE__DRAIN", "90s"),
            ("TANDEM_AGENTS__VOICE__TYPE", "elevenlabs"),
            ("TANDEM_AGENTS__VOICE__API_KEY", "xi-key"),
            ("TANDEM_CLOCK__EPOCH", "2026-03-02T15:00:00Z"),
            ("TANDEM_PORT", "tcp://10.0.0.7:7350"),
            ("TANDEM_KEY", "tdm_x"),
        ],
    )
    .unwrap();
    assert_eq!(config.grpc.listen.to_string(), "0.0.0.0:9");
    assert!(config.http.dev && config.agents.contains_key("voice") && config.clock.is_simulated());
    assert_eq!(config.node.drain.as_secs(), 90);
}

#[test]
fn misspelt_variables_are_refused() {
    let found = problem_with("", &[("TANDEM_GRPC__LISTN", "x")]);
    assert_eq!((&*found.key, &*found.message), ("grpc.listn", "unknown key; did you mean grpc.listen?"));
    assert_eq!(found.place, Place::Variable("TANDEM_GRPC__LISTN".into()));
    let found = problem_with("", &[("TANDEM_GRPC_LISTEN", "x")]);
    assert!(found.message.contains("did you mean TANDEM_GRPC__LISTEN?"), "{found}");
    assert_eq!(problem_with("", &[("TANDEM_NO__SUCH__THING", "x")]).key, "no");
}

#[test]
fn secrets_come_from_files_and_are_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "a-token-of-many-letters\n").unwrap();
    let text = format!("[grpc]\nadmin_token_file = {:?}\n", path);
    let config = read(&text).unwrap();
    assert_eq!(config.grpc.admin_token.as_ref().unwrap().expose(), "a-token-of-many-letters");
    assert!(!format!("{config:?}").contains("many-letters"));
    // Relative to the file of settings.
    let base = Base { directory: directory.path().to_owned() };
    assert!(parse("[grpc]\nadmin_token_file = \"token\"\n", base, Vec::new()).is_ok());
    // Both ways at once.
    let found = problem(&format!("{text}admin_token = \"another-long-token\"\n"));
    assert_eq!(found.message, "give either admin_token or admin_token_file, not both");
    // The environment stands instead of either.
    let config = with(&text, &[("TANDEM_GRPC__ADMIN_TOKEN", "from-the-environment")]).unwrap();
    assert_eq!(config.grpc.admin_token.unwrap().expose(), "from-the-environment");
}

#[test]
fn bad_secrets_are_refused_without_being_told() {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in
        [("empty", ""), ("blank", " \n"), ("lines", "one-secret\nanother-secret"), ("ünïcode", "sécret")]
    {
        std::fs::write(directory.path().join(name), content).unwrap();
        let found = problem(&format!("[grpc]\nadmin_token_file = {:?}\n", directory.path().join(name)));
        assert_eq!(found.key, "grpc.admin_token_file");
        assert!(
            found.message.contains("empty, or holds other") && !found.message.contains("secret\n"),
            "{found}"
        );
    }
    std::fs::write(directory.path().join("large"), vec![b'x'; 20_000]).unwrap();
    for name in ["large", "absent", "."] {
        let found = problem(&format!("[grpc]\nadmin_token_file = {:?}\n", directory.path().join(name)));
        assert!(found.message.contains(&directory.path().join(name).display().to_string()), "{found}");
    }
    assert!(problem("[grpc]\nadmin_token = \"short-one\"\n").message.contains("less than 16"));
    let found = problem("[grpc]\nadmin_token = 5550142671\n");
    assert!(!found.message.contains("5550142671"), "{found}");
}

#[test]
fn listeners_do_not_share_an_address() {
    let found = problem("[grpc]\nlisten = \"127.0.0.1:80\"\n[metrics]\nlisten = \"127.0.0.1:80\"\n");
    assert_eq!(found.key, "metrics.listen");
    let text = "[grpc]\nlisten = \"127.0.0.1:80\"\n[metrics]\nlisten = \"127.0.0.1:80\"\nenabled = false\n";
    assert!(read(text).is_ok());
    let text = "[grpc]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\n";
    assert!(read(text).is_ok());
}

#[test]
fn tls_needs_both_parts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cert");
    std::fs::write(&path, "pem").unwrap();
    assert_eq!(problem(&format!("[grpc]\ntls_cert = {path:?}\n")).key, "grpc.tls_key");
    assert_eq!(problem(&format!("[http]\ntls_key = {path:?}\n")).key, "http.tls_cert");
    let config = read(&format!("[grpc]\ntls_cert = {path:?}\ntls_key = {path:?}\n")).unwrap();
    assert_eq!(config.grpc.tls.unwrap().cert, path);
    let text = format!("[grpc]\ntls_cert = {path:?}\ntls_key = {:?}\n", directory.path().join("absent"));
    assert!(problem(&text).message.contains("cannot read"));
}

#[test]
fn the_key_is_not_kept_with_the_data() {
    let found = problem("[node]\ndata_dir = \"/d\"\n[keys]\npath = \"/d/tandem.key\"\n");
    assert_eq!((&*found.key, found.place), ("keys.path", Place::Line(4)));
}

#[test]
fn what_may_not_be_meant_is_told() {
    let keys = |text: &str| -> Vec<String> {
        read(text).unwrap().warnings().into_iter().map(|warning| warning.key).collect()
    };
    assert_eq!(keys(""), ["grpc.admin_token", "carriers"]);
    assert_eq!(keys(&format!("grpc.admin_token = \"0123456789abcdef\"\n{CARRIER}")), ["agents"]);
    let text =
        "[clock]\nspeed = 60.0\n[http]\ndev = true\n[grpc]\nlisten = \"0.0.0.0:1\"\n[keys]\ncreate = true\n";
    assert_eq!(
        keys(text),
        ["clock", "http.dev", "grpc.admin_token", "grpc.tls_cert", "carriers", "keys.create"]
    );
    assert!(read(text).unwrap().warnings()[0].message.contains("60 times"));
}

#[test]
fn files_that_cannot_be_read_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tandem.toml");
    assert!(matches!(load(Some(&path)), Err(LoadError::Unreadable { .. })));
    assert!(matches!(load(Some(directory.path())), Err(LoadError::Unreadable { .. })));
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(matches!(load(Some(&path)), Err(LoadError::NotText { .. })));
    std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert!(matches!(load(Some(&path)), Err(LoadError::NotText { .. })));
    std::fs::write(&path, "[node]\ndata_dir = \"here\"\n").unwrap();
    assert_eq!(load(Some(&path)).unwrap().config.node.data_dir, directory.path().join("here"));
    std::fs::write(&path, "[node]\nnme = \"x\"\n").unwrap();
    let error = load(Some(&path)).unwrap_err().to_string();
    assert!(error.contains(&path.display().to_string()) && error.contains("line 2: node.nme"), "{error}");
}

proptest::proptest! {
    /// Whatever a file holds, it is read or refused.
    #[test]
    fn garbage_never_panics(text in "[ -~\\n\u{e9}]{0,200}", name in "TANDEM_[A-Z_]{0,20}", value in ".{0,20}") {
        let _ = with(&text, &[(&name, &value)]);
    }
}
