//! The REST interface itself.

use super::calls::one;
use super::world::{ACCOUNT, FROM, KEY, TOKEN, World, client};
use tandem_simulator::scenario::Network;
use tandem_simulator::{Person, Scenario};

const TO: &str = "+15550100001";

#[tokio::test]
async fn credentials_are_checked() {
    let world = World::new(Scenario::only(Person::Busy)).await;
    let url = world.rest("/Calls.json");
    for (user, password, expected) in
        [(KEY.0, KEY.1, 200), (ACCOUNT, TOKEN, 200), (KEY.0, TOKEN, 401), (ACCOUNT, "", 401), ("", "", 401)]
    {
        let answer = client().get(&url).basic_auth(user, Some(password)).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), expected, "{user}");
    }
    let answer = client().get(&url).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 401);
    let body: serde_json::Value =
        serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
    assert_eq!((body["code"].as_u64(), body["status"].as_u64()), (Some(20003), Some(401)));
    let other = url.replace(ACCOUNT, "AC00000000000000000000000000000000");
    let answer = client().get(&other).basic_auth(KEY.0, Some(KEY.1)).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 401, "another account");
}

#[tokio::test]
async fn bad_creates_are_refused_with_their_codes() {
    let mut mix = Scenario::only(Person::Busy);
    mix.network.from_numbers = vec![FROM.to_owned()];
    let world = World::new(mix).await;
    let url = "http://127.0.0.1:9/doc";
    for (form, code) in [
        (vec![("From", FROM), ("Url", url)], 21201),
        (vec![("To", TO), ("Url", url)], 21213),
        (vec![("To", TO), ("From", "nobody"), ("Url", url)], 21212),
        (vec![("To", TO), ("From", "+15550009999"), ("Url", url)], 21210),
        (vec![("To", TO), ("From", FROM)], 21205),
        (vec![("To", TO), ("From", FROM), ("Url", "ftp://x/y")], 21205),
        (vec![("To", TO), ("From", FROM), ("Url", url), ("StatusCallback", "http://a_b/c")], 21205),
        (vec![("To", TO), ("From", FROM), ("Url", url), ("Timeout", "0")], 21208),
        (vec![("To", TO), ("From", FROM), ("Url", url), ("Timeout", "601")], 21208),
    ] {
        let (status, body) = world.post("/Calls.json", &form).await.expect("an answer");
        assert_eq!((status, body["code"].as_u64()), (400, Some(code)), "{form:?}");
    }
    let summary = world.sim.log.summary();
    assert_eq!((summary.posts, summary.calls, summary.posts_without_attempt), (9, 0, 8));
    assert_eq!(summary.posts_by_answer["400"], 9);
    let (status, body) = world.post("/Nonsense.json", &[]).await.expect("an answer");
    assert_eq!((status, body["code"].as_u64()), (404, Some(20404)));
}

#[tokio::test]
async fn a_suspended_account_refuses_everything_until_it_is_lifted() {
    let world = World::new(Scenario::only(Person::Busy)).await;
    let account = format!("{}/_sim/account", world.sim.carrier_url);
    for (code, status) in [(20003, 401), (20005, 403)] {
        let body = format!("{{\"suspended\":true,\"code\":{code}}}");
        let answer = client().post(&account).body(body).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 200);
        let (got, body) = world.dial(TO, "a1", &[]).await.expect("an answer");
        assert_eq!((got, body["code"].as_u64()), (status, Some(code)));
        assert_eq!(world.get("/Calls.json").await.0, status);
        assert_eq!(world.get(".json").await.1["status"], "suspended");
    }
    client().post(&account).body("{\"suspended\":false}").send().await.expect("an answer");
    assert_eq!(world.get(".json").await.1["status"], "active");
    world.call(TO, "a2", &[]).await;
    world.ended(1).await;
}

#[tokio::test]
async fn the_list_filters_and_pages() {
    let world = World::new(Scenario::only(Person::Busy)).await;
    for n in 0..7 {
        world.call(&format!("+1555010000{}", n % 2), &format!("a{n}"), &[]).await;
    }
    world.ended(7).await;
    let (_, page) = world.get("/Calls.json?PageSize=3").await;
    assert_eq!(page["calls"].as_array().map(Vec::len), Some(3));
    // Calls made between two pages do not shift them.
    world.call("+15550100000", "late", &[]).await;
    let mut seen: Vec<String> = Vec::new();
    let mut next = Some(page);
    while let Some(page) = next {
        seen.extend(page["calls"].as_array().expect("calls").iter().map(|call| call["sid"].to_string()));
        next = match page["next_page_uri"].as_str() {
            None => None,
            Some(uri) => {
                let path = uri.split_once(ACCOUNT).expect("our account").1.to_owned();
                Some(world.get(&path).await.1)
            }
        };
    }
    assert_eq!(seen.len(), 7);
    let sorted: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!(sorted.len(), 7, "no call twice");

    world.ended(8).await;
    let count = async |query: &str| {
        world.get(&format!("/Calls.json?{query}")).await.1["calls"].as_array().map(Vec::len)
    };
    assert_eq!(count("To=%2B15550100001").await, Some(3));
    assert_eq!(count("To=%2B15550100001&Status=completed").await, Some(0));
    assert_eq!(count("To=%2B15550100001&Status=busy").await, Some(3));
    assert_eq!(count("From=%2B15550000001").await, Some(8));
    assert_eq!(count("From=%2B15550000002").await, Some(0));
    assert_eq!(count("To=%2B15550100001&StartTime%3E=2020-01-01").await, Some(3));
    assert_eq!(world.get("/Calls.json?StartTime=soon").await.0, 400);
}

#[tokio::test]
async fn a_started_call_is_found_by_its_time_and_can_be_forgotten() {
    let world = World::new(one(Person::Human, 1, true)).await;
    let sid = world.call(TO, "a1", &[]).await;
    world.ended(1).await;
    let count = async |query: &str| {
        world.get(&format!("/Calls.json?{query}")).await.1["calls"].as_array().map(Vec::len)
    };
    assert_eq!(count("To=%2B15550100001&StartTime>=2020-01-01").await, Some(1));
    assert_eq!(count("To=%2B15550100001&StartTime<=2020-01-01").await, Some(0));
    let delete = client().delete(world.rest(&format!("/Calls/{sid}.json"))).basic_auth(KEY.0, Some(KEY.1));
    assert_eq!(delete.send().await.expect("an answer").status().as_u16(), 204);
    assert_eq!(world.get(&format!("/Calls/{sid}.json")).await.0, 404);
    assert_eq!(count("To=%2B15550100001").await, Some(0));
}

#[tokio::test]
async fn the_gate_queues_and_refuses_beyond_its_bound() {
    let mut mix = Scenario::only(Person::Busy);
    mix.network = Network { calls_per_s: 0.001, queue_max: 1, ..Network::default() };
    let world = World::at(mix, 1.0).await;
    world.call(TO, "a1", &[]).await;
    let waiting = world.call("+15550100002", "a2", &[]).await;
    let (status, body) = world.dial("+15550100003", "a3", &[]).await.expect("an answer");
    assert_eq!((status, body["code"].as_u64()), (429, Some(22005)));
    assert_eq!(world.get(&format!("/Calls/{waiting}.json")).await.1["status"], "queued");
    // A call that waits has no start: a filter by start does not find it, a filter by number does.
    let count = async |query: &str| {
        world.get(&format!("/Calls.json?To=%2B15550100002{query}")).await.1["calls"].as_array().map(Vec::len)
    };
    assert_eq!((count("&StartTime%3E=2020-01-01").await, count("").await), (Some(0), Some(1)));
    let path = format!("/Calls/{waiting}.json");
    world.post(&path, &[("Status", "canceled")]).await.expect("an answer");
    world.until("the cancel", |world| !world.statuses("a2", "CallStatus").is_empty()).await;
    assert_eq!(world.statuses("a2", "CallStatus"), ["canceled"]);
}

#[tokio::test]
async fn more_calls_than_allowed_are_refused() {
    let mut mix = Scenario::only(Person::NoAnswer);
    mix.network.concurrent_max = 2;
    let world = World::at(mix, 1.0).await;
    world.call(TO, "a1", &[]).await;
    world.call("+15550100002", "a2", &[]).await;
    let (status, body) = world.dial("+15550100003", "a3", &[]).await.expect("an answer");
    assert_eq!((status, body["code"].as_u64()), (429, Some(10004)));
}

#[tokio::test]
async fn the_mix_can_be_changed_at_run_time() {
    let world = World::new(Scenario::only(Person::Busy)).await;
    let url = format!("{}/_sim/scenario", world.sim.carrier_url);
    let body = serde_json::to_string(&Scenario::only(Person::NotInService)).expect("plain data");
    let answer = client().post(&url).body(body).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    world.call(TO, "a1", &[]).await;
    let summary = world.ended(1).await;
    assert_eq!(summary.calls_by_end["failed"], 1);
    for bad in ["{}x", "{\"people\":{}}", "{\"people\":{\"ghost\":1}}", "{\"faults\":{\"throttled\":7}}"] {
        let answer = client().post(&url).body(bad).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 400, "{bad}");
    }
}
