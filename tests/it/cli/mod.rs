//! The command line, as a process, against a node.

mod files;
mod start;
mod world;

use world::World;

const CAMPAIGN: &str = r#"
name = "Reminders"
caller_ids = ["+12025550100"]
[agent]
id = "agent_1"
[hours]
week = "Mon-Sun 00:00-24:00"
federal = false
state = false
[people]
gap = "0"
attempts_per_day = 0
[limits]
concurrency = 16
calls_per_second = 0.0
"#;

const CONTACTS: &str = "phone,name,city\n+12125550101,Ada,New York\n12,Bad,Nowhere\n+12125550102,Bob,Boston\n\
                        +12125550101,Ada again,New York\n+13105550103,Cy,Los Angeles\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_from_a_file_to_its_end() {
    let world = World::start().await;
    world.company().await;
    let secret = std::fs::read_to_string(world.path("acme.key")).unwrap();
    assert!(secret.starts_with("tdm_"));
    world.write("campaign.toml", CAMPAIGN);
    world.write("contacts.csv", CONTACTS);

    let created =
        world.acme(&["campaign", "create", "--config", "campaign.toml", "--json"]).await.ok().json();
    let id = created["campaign_id"].as_str().unwrap().to_owned();
    assert_eq!(created["phase"], "CAMPAIGN_PHASE_DRAFT");

    let imported = world.acme(&["campaign", "import", &id, "contacts.csv", "--json"]).await.ended(3).json();
    assert_eq!((&imported["read"], &imported["added"]), (&5.into(), &3.into()), "{imported}");
    assert_eq!((&imported["duplicates"], &imported["invalid"]), (&1.into(), &1.into()), "{imported}");
    assert_eq!(imported["issues"][0]["line"], 3);
    let again = world.acme(&["campaign", "import", &id, "contacts.csv"]).await.ended(3);
    assert!(
        again.out.contains("duplicates  4") && again.out.contains("LINE  COLUMN  REASON"),
        "{}",
        again.out
    );

    let preflight = world.acme(&["campaign", "preflight", &id, "--json"]).await.ok().json();
    assert_eq!((&preflight["scanned"], &preflight["complete"]), (&3.into(), &true.into()), "{preflight}");

    world.acme(&["campaign", "start", &id]).await.ok();
    let watched = world.acme(&["campaign", "watch", &id, "--every", "100ms", "--json"]).await.ok();
    let last = watched.json_lines().pop().unwrap();
    assert_eq!(
        (&last["phase"], &last["progress"]["finished"]),
        (&"CAMPAIGN_PHASE_COMPLETED".into(), &3.into())
    );

    let shown = world.acme(&["campaign", "get", &id]).await.ok().out;
    assert!(shown.contains("phase       completed") && shown.contains("completed           3"), "{shown}");
    let contacts = world.acme(&["campaign", "contacts", &id, "--json"]).await.ok().json_lines();
    assert_eq!(contacts.len(), 3);
    assert!(contacts.iter().all(|contact| contact["disposition"] == "DISPOSITION_COMPLETED"));
    assert_eq!(world.acme(&["campaign", "list", "--json"]).await.ok().json_lines().len(), 1);
    world.acme(&["campaign", "explain", &id]).await.ok();
    let explained = world.acme(&["campaign", "explain", &id, "--phone", "+12125550102"]).await.ok().out;
    assert!(explained.contains("it has its final disposition"), "{explained}");

    let calls = world.acme(&["call", "list", "--campaign", &id, "--json"]).await.ok().json_lines();
    let call = calls[0]["call_id"].as_str().unwrap();
    assert_eq!(calls.len(), 3);
    let shown = world.acme(&["call", "get", call]).await.ok().out;
    assert!(shown.contains("disposition  completed") && shown.contains("ATTEMPT"), "{shown}");
    let events = world.acme(&["call", "watch", call, "--json"]).await.ok().json_lines();
    let numbers: Vec<u64> = events.iter().map(|event| event["event"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let after = world.acme(&["call", "watch", call, "--after", "2"]).await.ok().out;
    assert_eq!(after.lines().count(), numbers.len() - 2, "{after}");
    world.acme(&["call", "explain", call]).await.ok();
    world.acme(&["call", "transcript", call]).await.ok();

    // Nothing of it may be read in the log, at any level.
    let log = world.log();
    for number in ["2125550101", "2125550102", "3105550103", "2025550100", secret.trim()] {
        assert!(!log.contains(number), "{number} is in the log: {log}");
    }
    assert!(log.lines().count() > 5, "{log}");
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_known_and_left_alone() {
    let world = World::start().await;
    world.company().await;
    let who = "+12125550123";
    let first =
        world.acme(&["customer", "lookup", "(212) 555-0123", "--region", "US", "--json"]).await.ok().json();
    assert_eq!((&first["returning"], &first["counted"]), (&false.into(), &true.into()), "{first}");
    let id = first["customer"]["customer_id"].as_str().unwrap().to_owned();
    world
        .acme(&["customer", "update", who, "--name", "Ada", "--tag", "vip", "--var", "plan=gold"])
        .await
        .ok();
    world.acme(&["customer", "note", who, "prefers mornings"]).await.ok();
    world.acme(&["customer", "consent", "give", who, "--basis", "written"]).await.ok();
    world.acme(&["customer", "consent", "revoke", who]).await.ok();
    world.acme(&["customer", "dnc", "add", who]).await.ok();
    let shown = world.acme(&["customer", "get", &id]).await.ok().out;
    for line in ["name           Ada", "do not call    yes", "plan = gold", "on the do-not-call list since"] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    let history = world.acme(&["customer", "history", who]).await.ok().out;
    assert!(history.contains("note: prefers mornings") && history.contains("consent revoked"), "{history}");
    world.write("list.csv", "phone\n+12125550124\nnobody\n");
    let imported = world.acme(&["customer", "dnc", "import", "list.csv", "--json"]).await.ended(3).json();
    assert_eq!((&imported["entered"], &imported["invalid"]), (&1.into(), &1.into()), "{imported}");

    // A call to somebody who opted out is placed and held back.
    let placed = world.acme(&["call", "place", who, "--json"]).await.ok().json();
    let call = placed["call_id"].as_str().unwrap();
    let watched = world.acme(&["call", "watch", call]).await.ok().out;
    assert!(watched.contains("ended: do_not_call"), "{watched}");
    world.acme(&["customer", "dnc", "remove", who]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_have_their_codes() {
    let world = World::start().await;
    world.company().await;
    let absent = "01990c1e-8b1c-7cc0-9a51-0242ac120002";
    world.acme(&["call", "get", absent]).await.ended(4);
    world.acme(&["campaign", "get", absent]).await.ended(4);
    world.acme(&["call", "get", "not-an-id"]).await.ended(2);
    world.acme(&["call", "place", "12"]).await.ended(2);
    world.acme(&["campaign", "import", absent, "absent.csv"]).await.ended(2);
    world.nobody(&["call", "list"]).await.ended(6);
    world.acme(&["company", "list"]).await.ended(6);
    world.acme(&["company", "create", "Other"]).await.ended(6);
    world.nobody(&["call", "list", "--server", "http://127.0.0.1:1", "--timeout", "2s"]).await.ended(7);
    world.acme(&["frobnicate"]).await.ended(2);

    let create = ["campaign", "create", "Empty", "--caller-id", "+12025550100", "--agent", "a"];
    let once = [&create[..], &["--idempotency-key", "once", "--json"]].concat();
    let first = world.acme(&once).await.ok().json();
    let second = world.acme(&once).await.ok().json();
    assert_eq!((&first["campaign_id"], &second["replayed"]), (&second["campaign_id"], &true.into()));
    let other = ["campaign", "create", "Other", "--caller-id", "+12025550100", "--agent", "a"];
    let reused = world.acme(&[&other[..], &["--idempotency-key", "once"]].concat()).await;
    assert!(matches!(reused.code, 2 | 5) && reused.err.contains("IDEMPOTENCY_KEY_REUSED"), "{}", reused.err);

    let id = first["campaign_id"].as_str().unwrap();
    let refused = world.acme(&["campaign", "pause", id, "--json"]).await.ended(5);
    let error: serde_json::Value = serde_json::from_str(&refused.err).unwrap();
    assert_eq!(
        (&error["error"]["exit"], &error["error"]["reason"]),
        (&5.into(), &"ILLEGAL_TRANSITION".into())
    );
    assert!(refused.out.is_empty(), "{}", refused.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_are_taken_as_they_are() {
    let world = World::start().await;
    world.company().await;
    let example = world.nobody(&["campaign", "example"]).await.ok().out;
    world.write("campaign.toml", &example);
    let created = world.acme(&["campaign", "create", "--config", "campaign.toml"]).await.ok().out;
    assert!(created.contains("draft"), "{created}");
    let example = world.nobody(&["config", "example"]).await.ok().out;
    world.write("tandem.toml", &example);
    assert!(world.nobody(&["config", "check"]).await.ok().out.starts_with("tandem.toml: sound"));
    world.write("tandem.toml", "[grpc]\nlisetn = 1\n");
    let checked = world.nobody(&["config", "check", "--json"]).await.ended(2).json();
    assert_eq!(checked["problems"][0]["place"]["line"], 2, "{checked}");
    let refused = world.nobody(&["node"]).await.ended(2).err;
    assert!(refused.contains("did you mean grpc.listen?"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_have_scopes_and_ends() {
    let world = World::start().await;
    world.company().await;
    let line = ["company", "key", "create", "reports", "--scope", "calls:read", "--json"];
    let made = world.acme(&line).await.ok().json();
    let (secret, key_id) = (made["secret"].as_str().unwrap(), made["key"]["key_id"].as_str().unwrap());
    world.nobody(&["call", "list", "--key", secret]).await.ok();
    let refused = world.nobody(&["call", "place", "+12125550123", "--key", secret]).await.ended(6);
    assert!(!refused.err.contains(secret), "{}", refused.err);
    world.acme(&["company", "key", "revoke", key_id]).await.ok();
    let keys = world.acme(&["company", "key", "list"]).await.ok().out;
    assert!(keys.contains(key_id) && keys.contains("calls:read"), "{keys}");
    world.acme(&["company", "close", "--reason", "complaints"]).await.ok();
    assert!(world.acme(&["company", "get"]).await.ok().out.contains("no: complaints"));
    world.acme(&["company", "open"]).await.ok();
    world.acme(&["company", "update", "--concurrency", "7"]).await.ok();
    assert!(world.acme(&["company", "get"]).await.ok().out.contains("7 at once"));
    assert_eq!(world.admin(&["company", "list", "--json"]).await.ok().json_lines().len(), 1);
}
