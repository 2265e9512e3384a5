//! Instructions, fetches and lists.

use super::{ACCOUNT, CALL, error, impatient, twilio};
use crate::server::{Server, Step};
use serde_json::{Value, json};
use tandem_domain::carrier::{End, Instruction, InstructionOutcome, Progress};
use tandem_providers::carrier::{Carrier as _, CarrierError};

const TO: &str = "+15005550010";
const FROM: &str = "+15005550006";

fn call(digit: char, created: Option<&str>) -> Value {
    let sid = format!("CA{}", digit.to_string().repeat(32));
    json!({"sid": sid, "status": "queued", "to": TO, "from": FROM, "date_created": created})
}

fn page(calls: &[Value], next: Option<&str>) -> Step {
    Step::json(200, json!({"calls": calls, "next_page_uri": next, "page_size": 100}).to_string())
}

#[tokio::test]
async fn instructions_are_carried_out() {
    let done = || Step::json(200, json!({"sid": CALL, "status": "in-progress"}).to_string());
    let server = Server::start([done(), done()]).await;
    let twilio = twilio(&server);
    assert_eq!(twilio.instruct(CALL, &Instruction::Hangup).await, InstructionOutcome::Done);
    let say = Instruction::SayAndHangup { text: "a < b".into(), language: "en".into() };
    assert_eq!(twilio.instruct(CALL, &say).await, InstructionOutcome::Done);
    let seen = server.seen();
    assert_eq!(seen[0].path, format!("/2010-04-01/Accounts/{ACCOUNT}/Calls/{CALL}.json"));
    assert_eq!(seen[0].form(), [("Status".to_owned(), "completed".to_owned())]);
    assert!(seen[1].form()[0].1.contains("a &lt; b</Say><Hangup/>"));
}

#[tokio::test]
async fn instructions_that_are_not_carried_out_say_why() {
    for (step, expected) in [
        (Step::json(400, error(21_220, 400)), InstructionOutcome::AlreadyEnded),
        (Step::json(404, error(20_404, 404)), InstructionOutcome::AlreadyEnded),
        (Step::json(429, error(20_429, 429)), InstructionOutcome::Retry),
        (Step::json(429, ""), InstructionOutcome::Retry),
        (Step::json(500, error(20_500, 500)), InstructionOutcome::Retry),
        (Step::json(404, "<html>"), InstructionOutcome::Retry),
        (Step::Close, InstructionOutcome::Retry),
        (Step::Silence, InstructionOutcome::Retry),
        (Step::json(401, error(20_003, 401)), InstructionOutcome::Refused { code: 20_003 }),
        (Step::json(400, error(21_205, 400)), InstructionOutcome::Refused { code: 21_205 }),
    ] {
        let server = Server::start([step.clone()]).await;
        assert_eq!(impatient(&server).instruct(CALL, &Instruction::Hangup).await, expected, "{step:?}");
        assert_eq!(server.seen().len(), 1);
    }
    let server = Server::start([]).await;
    let outcome = twilio(&server).instruct("../Recordings", &Instruction::Hangup).await;
    assert_eq!(outcome, InstructionOutcome::AlreadyEnded);
    let long = Instruction::SayAndHangup { text: "x".repeat(5_000), language: "en".into() };
    assert_eq!(twilio(&server).instruct(CALL, &long).await, InstructionOutcome::Refused { code: 0 });
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_call_is_fetched() {
    let ended = json!({"sid": CALL, "status": "no-answer", "duration": "0"}).to_string();
    let server = Server::start([Step::json(200, ended), Step::json(404, error(20_404, 404))]).await;
    let twilio = twilio(&server);
    let report = twilio.fetch(CALL).await.unwrap().unwrap();
    assert_eq!((report.progress, report.sequence), (Progress::Ended(End::NoAnswer), None));
    assert_eq!(twilio.fetch(CALL).await, Ok(None));
    assert_eq!(twilio.fetch("CA1").await, Ok(None));
    assert_eq!(server.seen().len(), 2);
    assert_eq!(server.seen()[0].method, "GET");
}

#[tokio::test]
async fn a_fetch_without_a_clear_answer_is_an_error() {
    let other = json!({"sid": format!("CA{}", "0".repeat(32)), "status": "queued"}).to_string();
    for (step, expected) in [
        (Step::json(404, "<html>"), CarrierError::Malformed("an answer that is not the carrier's")),
        (Step::json(200, "{"), CarrierError::Malformed("no call in the answer")),
        (Step::json(200, other), CarrierError::Malformed("another call was answered")),
        (Step::json(200, "x".repeat(2 << 20)), CarrierError::Malformed("the answer is too large")),
        (Step::json(500, error(20_500, 500)), CarrierError::Server { status: 500 }),
        (Step::json(401, error(20_003, 401)), CarrierError::Account { code: 20_003 }),
        (Step::json(400, error(21_205, 400)), CarrierError::Refused { status: 400, code: 21_205 }),
        (
            Step::Answer { status: 429, headers: vec![("retry-after", "2".into())], body: String::new() },
            CarrierError::RateLimited { retry_after_ms: Some(2_000) },
        ),
        (Step::Silence, CarrierError::Timeout),
    ] {
        let server = Server::start([step.clone()]).await;
        assert_eq!(impatient(&server).fetch(CALL).await, Err(expected), "{step:?}");
    }
    let server = Server::start([Step::Close]).await;
    let error = twilio(&server).fetch(CALL).await.unwrap_err();
    assert!(matches!(error, CarrierError::Unreachable(_)) && error.is_retryable());
}

#[tokio::test]
async fn calls_since_a_time_are_found() {
    let other = json!({"sid": CALL, "status": "queued", "to": "+15005550011", "from": FROM});
    let server = Server::start([
        page(
            &[call('1', None), call('2', Some("Thu, 01 Jan 1970 00:01:40 +0000")), other],
            Some(&format!("/2010-04-01/Accounts/{ACCOUNT}/Calls.json?Page=1")),
        ),
        page(
            &[
                call('3', Some("Thu, 01 Jan 1970 00:00:50 +0000")),
                call('4', Some("Thu, 01 Jan 1970 00:00:49 +0000")),
            ],
            Some(&format!("/2010-04-01/Accounts/{ACCOUNT}/Calls.json?Page=2")),
        ),
    ])
    .await;
    let found = twilio(&server).find(TO, FROM, 50_900).await.unwrap();
    let got: Vec<(char, Option<i64>)> =
        found.iter().map(|found| (found.sid.chars().nth(2).unwrap(), found.created_at)).collect();
    assert_eq!(got, [('1', None), ('2', Some(100_000)), ('3', Some(50_000))]);
    let seen = server.seen();
    assert_eq!(seen.len(), 2, "nothing older is asked for");
    assert!(
        seen[0].path.ends_with("/Calls.json?To=%2B15005550010&From=%2B15005550006&PageSize=100"),
        "{}",
        seen[0].path
    );
    assert!(!format!("{found:?}").contains("5005550010"));
}

#[tokio::test]
async fn a_list_out_of_order_is_read_to_its_end() {
    let next = format!("/2010-04-01/Accounts/{ACCOUNT}/Calls.json?Page=1");
    let server = Server::start([
        page(
            &[
                call('1', Some("Thu, 01 Jan 1970 00:00:01 +0000")),
                call('2', Some("Thu, 01 Jan 1970 00:00:02 +0000")),
            ],
            Some(&next),
        ),
        page(&[call('3', Some("Thu, 01 Jan 1970 00:01:00 +0000"))], None),
    ])
    .await;
    assert_eq!(twilio(&server).find(TO, FROM, 30_000).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_list_is_whole_or_an_error() {
    let next = format!("/2010-04-01/Accounts/{ACCOUNT}/Calls.json?Page=1");
    let full = page(&[call('1', None)], Some(&next));
    let server = Server::start(std::iter::repeat_n(full.clone(), 20)).await;
    let error = twilio(&server).find(TO, FROM, 0).await.unwrap_err();
    assert_eq!(error, CarrierError::TooLong { pages_max: 10 });
    assert_eq!(server.seen().len(), 10);

    for (step, expected) in [
        (page(&[call('1', None)], Some("https://elsewhere.example.com/")), "the next page is elsewhere"),
        (page(&[json!({"to": TO, "from": FROM})], None), "a call without an id"),
        (Step::json(200, "[]"), "no list in the answer"),
    ] {
        let server = Server::start([step]).await;
        assert_eq!(twilio(&server).find(TO, FROM, 0).await, Err(CarrierError::Malformed(expected)));
    }
    let server = Server::start([full, Step::json(500, "")]).await;
    assert_eq!(twilio(&server).find(TO, FROM, 0).await, Err(CarrierError::Server { status: 500 }));
}
