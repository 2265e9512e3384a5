//! A contact file imported and run against a carrier that calls nobody.

use super::client::{CALLER_ID, Load, open_settings, phone};
use super::report::{Meter, Recorder, Report};
use super::server::Server;
use super::{BenchArgs, BenchError};
use serde_json::json;
use std::time::{Duration, Instant};
use tandem_proto::v1;

/// Lines of one piece of the file.
const LINES: u32 = 1_000;

pub async fn run(
    args: &BenchArgs,
    contacts: u32,
    concurrency: u32,
    import_only: bool,
) -> Result<Report, BenchError> {
    let server = Server::start(args).await?;
    let load = Load::connect(args, &server).await?;
    let mut client = load.campaigns();
    let failed = |what: &'static str| move |e: tonic::Status| BenchError::of(what, e);
    let settings = v1::CampaignSettings {
        limits: Some(v1::Limits {
            concurrency: Some(concurrency),
            calls_per_second: Some(0.0),
            attempts_per_day: Some(0),
        }),
        caller_ids: vec![CALLER_ID.into()],
        ..open_settings("null")
    };
    let create =
        v1::CreateCampaignRequest { name: "bench".into(), settings: Some(settings), ..Default::default() };
    let made = client.create_campaign(create).await.map_err(failed("creating"))?.into_inner();
    let id = made.campaign_id;

    let before = server.memory();
    let mut recorder = Recorder::default();
    let meter = Meter::start(server.pid());
    let started = Instant::now();
    let header = v1::ImportContactsRequest {
        content: Some(v1::import_contacts_request::Content::Header(v1::ImportContactsHeader {
            campaign_id: id.clone(),
            ..Default::default()
        })),
    };
    let pieces = (0..contacts.div_ceil(LINES)).map(move |piece| {
        let first = piece * LINES;
        let mut text = String::with_capacity(LINES as usize * 40);
        if piece == 0 {
            text.push_str("phone,name,timezone\n");
        }
        for n in first..(first + LINES).min(contacts) {
            text.push_str(&phone(u64::from(n)));
            text.push_str(",Person,America/New_York\n");
        }
        v1::ImportContactsRequest {
            content: Some(v1::import_contacts_request::Content::Csv(text.into_bytes().into())),
        }
    });
    let stream = futures_util::stream::iter(std::iter::once(header).chain(pieces));
    let imported = client.import_contacts(stream).await.map_err(failed("importing"))?.into_inner();
    let import_s = started.elapsed().as_secs_f64();
    recorder.ok = u64::from(contacts);
    let after = server.memory();

    let mut run_s = None;
    let mut finished = 0;
    if !import_only {
        let started = Instant::now();
        let start = v1::StartCampaignRequest { campaign_id: id.clone(), ..Default::default() };
        client.start_campaign(start).await.map_err(failed("starting"))?;
        loop {
            let get = v1::GetCampaignRequest { campaign_id: id.clone() };
            let got = client.get_campaign(get).await.map_err(failed("looking"))?.into_inner();
            let campaign = got.campaign.unwrap_or_default();
            finished = campaign.progress.clone().unwrap_or_default().finished;
            if campaign.phase() == v1::CampaignPhase::Completed {
                break;
            }
            if started.elapsed() > Duration::from_secs(1_800) {
                return Err(BenchError(format!("only {finished} of {contacts} after half an hour")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        run_s = Some(started.elapsed().as_secs_f64());
    }
    let mut report = meter.report("campaign", &recorder);
    report.set("contacts", json!(contacts));
    report.set("added", json!(imported.added));
    report.set("import_s", json!(import_s));
    report.set("import_per_s", json!((f64::from(contacts) / import_s).round()));
    report.set("import_rss_grown_mb", json!((after.peak_bytes.saturating_sub(before.rss_bytes)) >> 20));
    if let Some(run_s) = run_s {
        report.set("finished", json!(finished));
        report.set("run_s", json!(run_s));
        report.set("calls_per_s", json!((f64::from(contacts) / run_s).round()));
    }
    Ok(report)
}
