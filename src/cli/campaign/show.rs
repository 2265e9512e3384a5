//! Campaigns as people see them.

use crate::cli::call::{hold_lines, last4, times, whereabouts};
use crate::cli::table::{Card, Table};
use crate::cli::time::{shown, shown_span};
use crate::cli::words::Words as _;
use tandem_proto::v1;

pub fn table() -> Table {
    Table::new(&["CAMPAIGN", "NAME", "PHASE", "CREATED", "CONTACTS", "FINISHED", "ALIVE", "ATTEMPTS"])
        .right(&[4, 5, 6, 7])
}

pub fn row(campaign: &v1::Campaign) -> [String; 8] {
    let progress = campaign.progress.clone().unwrap_or_default();
    [
        campaign.campaign_id.clone(),
        campaign.name.clone(),
        phase_and_reason(campaign),
        shown(campaign.created_at.as_ref()),
        progress.contacts.to_string(),
        progress.finished.to_string(),
        progress.in_flight.to_string(),
        progress.attempts.to_string(),
    ]
}

fn phase_and_reason(campaign: &v1::Campaign) -> String {
    let phase = v1::CampaignPhase::word_of(campaign.phase);
    let reason = v1::CampaignReason::word_of(campaign.reason);
    match (reason.is_empty(), campaign.reason_code) {
        (true, _) => phase,
        (false, 0) => format!("{phase} ({reason})"),
        (false, code) => format!("{phase} ({reason}, code {code})"),
    }
}

pub fn created(answer: &v1::CreateCampaignResponse) -> Vec<String> {
    let mut card = Card::new();
    card.add("campaign", &answer.campaign_id);
    let mut lines = card.lines();
    lines.extend(phase(answer.phase, answer.replayed));
    lines
}

/// Where a campaign stands after a command.
pub fn phase(phase: i32, replayed: bool) -> Vec<String> {
    let mut card = Card::new();
    card.add("phase", v1::CampaignPhase::word_of(phase));
    if replayed {
        card.add("replayed", "done before with this idempotency key");
    }
    card.lines()
}

pub fn campaign(campaign: &v1::Campaign) -> Vec<String> {
    let mut card = Card::new();
    card.add("campaign", &campaign.campaign_id)
        .add("name", &campaign.name)
        .add("phase", phase_and_reason(campaign))
        .add("created", shown(campaign.created_at.as_ref()))
        .add("started", shown(campaign.started_at.as_ref()))
        .add("ended", shown(campaign.ended_at.as_ref()));
    if campaign.single_calls {
        card.add("holds", "the company's single calls");
    }
    if let Some(settings) = &campaign.settings {
        settings_card(&mut card, settings);
    }
    if let Some(share) = &campaign.share {
        card.add("share", share_line(share));
    }
    let mut lines = card.lines();
    if let Some(progress) = &campaign.progress {
        lines.push(String::new());
        lines.extend(progress_lines(progress));
    }
    lines
}

/// The settings that people ask for most; `--json` has all.
pub fn settings_card(card: &mut Card, settings: &v1::CampaignSettings) {
    let plan = settings.plan.clone().unwrap_or_default();
    let agent = plan.agent.clone().unwrap_or_default();
    let limits = settings.limits.unwrap_or_default();
    card.add("carrier", plan.carrier())
        .add("agent", agent.agent_id())
        .add("caller ids", settings.caller_ids.join(", "))
        .add(
            "attempts",
            plan.retry.and_then(|retry| retry.attempts_max).map(|n| n.to_string()).unwrap_or_default(),
        )
        .add("gap", shown_span(settings.gap.as_ref()))
        .add("limits", limits_line(&limits));
}

pub fn limits_line(limits: &v1::Limits) -> String {
    let mut parts = Vec::new();
    let mut part = |n: f64, what: &str| {
        if n > 0.0 {
            parts.push(format!("{n} {what}"));
        }
    };
    part(limits.concurrency().into(), "at once");
    part(limits.calls_per_second(), "a second");
    part(limits.attempts_per_day().into(), "a day");
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

fn share_line(share: &v1::CampaignShare) -> String {
    limits_line(&v1::Limits {
        concurrency: share.concurrency,
        calls_per_second: share.calls_per_second,
        attempts_per_day: share.attempts_today,
    })
}

pub fn progress_lines(progress: &v1::CampaignProgress) -> Vec<String> {
    let mut card = Card::new();
    let answered = progress.answered_by.unwrap_or_default();
    card.add("contacts", progress.contacts.to_string())
        .add("finished", progress.finished.to_string())
        .add("waiting", progress.ready.to_string())
        .add("alive", progress.in_flight.to_string())
        .add("duplicates", progress.duplicates.to_string())
        .add("attempts", format!("{} ({} today)", progress.attempts, progress.attempts_today))
        .add(
            "answered by",
            format!(
                "{} human, {} machine, {} fax, {} unknown",
                answered.human, answered.machine, answered.fax, answered.unknown
            ),
        )
        .add("talk time", shown_span(progress.talk_time.as_ref()))
        .add("next due", shown(progress.next_due.as_ref()));
    let mut lines = card.lines();
    if !progress.dispositions.is_empty() {
        let mut table = Table::new(&["DISPOSITION", "CONTACTS"]).right(&[1]);
        for count in &progress.dispositions {
            table.row([v1::Disposition::word_of(count.disposition), count.count.to_string()]);
        }
        lines.push(String::new());
        lines.extend(table.lines());
    }
    lines
}

/// How far a campaign is, in one line.
pub fn progress_line(phase: i32, progress: &v1::CampaignProgress) -> String {
    let dispositions: Vec<String> = progress
        .dispositions
        .iter()
        .map(|count| format!("{} {}", v1::Disposition::word_of(count.disposition), count.count))
        .collect();
    let dispositions =
        if dispositions.is_empty() { String::new() } else { format!(": {}", dispositions.join(", ")) };
    format!(
        "{}  {}/{} finished  {} alive  {} attempts{dispositions}",
        v1::CampaignPhase::word_of(phase),
        progress.finished,
        progress.contacts,
        progress.in_flight,
        progress.attempts,
    )
}

/// How many contacts each rule holds back.
pub fn held_lines(counts: &[v1::HoldCount]) -> Vec<String> {
    let mut table = Table::new(&["CONTACTS", "HELD BACK BY", "EARLIEST END", "WHY"]).right(&[0]);
    for count in counts {
        let until = match shown(count.earliest_clears_at.as_ref()) {
            at if at.is_empty() && count.r#final => "never".to_owned(),
            at => at,
        };
        table.row([count.count.to_string(), count.reason.clone(), until, count.description.clone()]);
    }
    if table.is_empty() { Vec::new() } else { table.lines() }
}

pub fn contact_table() -> Table {
    Table::new(&["CONTACT", "LINE", "PHONE", "WHERE", "DISPOSITION", "ATTEMPTS", "CALL"]).right(&[0, 1, 5])
}

pub fn contact_row(contact: &v1::Contact) -> [String; 7] {
    [
        contact.contact.to_string(),
        contact.line.to_string(),
        last4(&contact.phone_last4),
        whereabouts(contact.whereabouts.as_ref()),
        v1::Disposition::word_of(contact.disposition),
        contact.attempts.to_string(),
        contact.call_id.clone(),
    ]
}

pub fn explained_contact(answer: &v1::ExplainContactResponse) -> Vec<String> {
    let contact = answer.contact.clone().unwrap_or_default();
    let mut card = Card::new();
    card.add("contact", contact.contact.to_string())
        .add("name", &contact.name)
        .add("phone", last4(&contact.phone_last4))
        .add("customer", &contact.customer_id)
        .add("where", whereabouts(contact.whereabouts.as_ref()))
        .add("campaign", v1::CampaignPhase::word_of(answer.phase))
        .add("disposition", v1::Disposition::word_of(contact.disposition))
        .add("attempts", contact.attempts.to_string())
        .add("hours close", shown(answer.hours_close_at.as_ref()))
        .add("attempts before", times(&answer.recent_attempts));
    if let Some(call) = &answer.call {
        card.add("call", format!("{} ({})", call.call_id, v1::CallPhase::word_of(call.phase)));
    }
    let mut lines = card.lines();
    lines.push(String::new());
    if contact.disposition == 0 {
        lines.extend(hold_lines(&answer.blocked_by));
    } else {
        lines.push("it has its final disposition".to_owned());
    }
    lines
}

pub fn explained_campaign(answer: &v1::ExplainCampaignResponse) -> Vec<String> {
    let mut card = Card::new();
    card.add("phase", v1::CampaignPhase::word_of(answer.phase));
    if let Some(share) = &answer.share {
        card.add("share", share_line(share));
    }
    let mut lines = card.lines();
    lines.push(String::new());
    lines.extend(hold_lines(&answer.blocked_by));
    lines.push(String::new());
    let mut card = Card::new();
    card.add("contacts looked at", answer.sampled.to_string())
        .add("finished", answer.finished.to_string())
        .add("alive", answer.alive.to_string())
        .add("free to be called", answer.callable.to_string());
    lines.extend(card.lines());
    if !answer.held.is_empty() {
        lines.push(String::new());
        lines.extend(held_lines(&answer.held));
    }
    lines
}

/// The field of the settings that a hold is about, or its reason.
fn problem(hold: &v1::Hold) -> &str {
    hold.details.get("field").unwrap_or(&hold.reason)
}

pub fn preflight(answer: &v1::PreflightCampaignResponse) -> Vec<String> {
    let mut card = Card::new();
    let never: u64 = answer.barred.iter().filter(|count| count.r#final).map(|count| count.count).sum();
    let later: u64 = answer.barred.iter().filter(|count| !count.r#final).map(|count| count.count).sum();
    card.add("at", shown(answer.at.as_ref()))
        .add("contacts", answer.scanned.to_string())
        .add("callable", answer.callable.to_string())
        .add("callable later", later.to_string())
        .add("never called", never.to_string())
        .add("finished", answer.finished.to_string());
    let mut lines = Vec::new();
    if !answer.blocked_by.is_empty() {
        lines.push("the campaign cannot be started as it is:".to_owned());
        lines.extend(
            answer.blocked_by.iter().map(|hold| format!("  {}: {}", problem(hold), hold.description)),
        );
        lines.push(String::new());
    }
    lines.extend(card.lines());
    let held = held_lines(&answer.barred);
    if !held.is_empty() {
        lines.push(String::new());
        lines.extend(held);
    }
    if !answer.openings.is_empty() {
        let mut table = Table::new(&["HOURS OPEN", "FOR CONTACTS"]).right(&[1]);
        for opening in &answer.openings {
            table.row([shown(opening.at.as_ref()), opening.count.to_string()]);
        }
        lines.push(String::new());
        lines.extend(table.lines());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaign_is_shown_with_the_reason_it_stands_still() {
        let lines = campaign(&v1::Campaign {
            campaign_id: "k-1".into(),
            phase: v1::CampaignPhase::Paused.into(),
            reason: v1::CampaignReason::CarrierAccount.into(),
            reason_code: 20_005,
            settings: Some(v1::CampaignSettings::default()),
            progress: Some(v1::CampaignProgress {
                dispositions: vec![v1::DispositionCount {
                    disposition: v1::Disposition::Busy.into(),
                    count: 7,
                }],
                ..Default::default()
            }),
            ..Default::default()
        })
        .join("\n");
        assert!(lines.contains("paused (carrier_account, code 20005)"), "{lines}");
        assert!(lines.contains("busy                7"), "{lines}");
        assert!(lines.contains("limits    none"), "{lines}");
    }

    #[test]
    fn limits_are_told_in_a_line() {
        let limits =
            v1::Limits { concurrency: Some(10), calls_per_second: Some(0.5), attempts_per_day: Some(0) };
        assert_eq!(limits_line(&limits), "10 at once, 0.5 a second");
    }

    #[test]
    fn preflight_tells_never_from_later() {
        let count = |reason: &str, is_final, count| v1::HoldCount {
            reason: reason.into(),
            r#final: is_final,
            count,
            ..Default::default()
        };
        let lines = preflight(&v1::PreflightCampaignResponse {
            scanned: 10,
            callable: 4,
            barred: vec![count("OUTSIDE_HOURS", false, 5), count("DO_NOT_CALL", true, 1)],
            ..Default::default()
        })
        .join("\n");
        assert!(lines.contains("callable later  5") && lines.contains("never called    1"), "{lines}");
        assert!(lines.contains("DO_NOT_CALL    never"), "{lines}");
    }

    #[test]
    fn preflight_begins_with_what_has_to_be_put_right() {
        let hold = v1::Hold {
            reason: "NOT_CONFIGURED".into(),
            description: "no carrier named 'x' is configured".into(),
            details: [("field".to_owned(), "plan.carrier".to_owned())].into(),
            ..Default::default()
        };
        let lines = preflight(&v1::PreflightCampaignResponse {
            blocked_by: vec![hold],
            scanned: 3,
            ..Default::default()
        });
        assert_eq!(lines[0], "the campaign cannot be started as it is:");
        assert_eq!(lines[1], "  plan.carrier: no carrier named 'x' is configured");
        assert!(lines.iter().any(|line| line.starts_with("contacts")), "{lines:?}");
    }
}
