//! Companies and keys as people see them.

use crate::cli::campaign::{limits_line, settings_card};
use crate::cli::table::{Card, Table};
use crate::cli::time::shown;
use crate::cli::words::scope_word;
use tandem_proto::v1;

pub fn table() -> Table {
    Table::new(&["COMPANY", "NAME", "CREATED", "MAY CALL", "RUNNING", "LIMITS"]).right(&[4])
}

pub fn row(company: &v1::Company) -> [String; 6] {
    [
        company.company_id.clone(),
        company.name.clone(),
        shown(company.created_at.as_ref()),
        may_call(company),
        company.running_campaigns.to_string(),
        limits_line(&company.limits.unwrap_or_default()),
    ]
}

fn may_call(company: &v1::Company) -> String {
    if company.open { "yes".to_owned() } else { format!("no: {}", company.closed_reason) }
}

pub fn company(company: &v1::Company) -> Vec<String> {
    let mut card = Card::new();
    card.add("company", &company.company_id)
        .add("name", &company.name)
        .add("created", shown(company.created_at.as_ref()))
        .add("may call", may_call(company))
        .add("limits", limits_line(&company.limits.unwrap_or_default()))
        .add("running campaigns", company.running_campaigns.to_string());
    for caller in &company.caller_ids {
        let limits = caller.limits.unwrap_or_default();
        let limits = match limits_line(&limits) {
            none if none == "none" => String::new(),
            limits => format!(" ({limits})"),
        };
        card.add("caller id", format!("{}{limits}", caller.number));
    }
    let mut lines = card.lines();
    if let Some(settings) = &company.single_calls {
        let mut card = Card::new();
        card.add("campaign", &company.single_calls_campaign_id);
        settings_card(&mut card, settings);
        lines.push(String::new());
        lines.push("single calls".to_owned());
        lines.extend(card.lines().into_iter().map(|line| format!("  {line}")));
    }
    lines
}

pub fn created(answer: &v1::CreateCompanyResponse, place: Option<&str>) -> Vec<String> {
    let mut lines = company(&answer.company.clone().unwrap_or_default());
    lines.push(String::new());
    lines.extend(new_key(&answer.key.clone().unwrap_or_default(), &answer.secret, place, answer.replayed));
    lines
}

/// A key that was just made.
pub fn new_key(key: &v1::ApiKey, secret: &str, place: Option<&str>, replayed: bool) -> Vec<String> {
    let mut card = Card::new();
    card.add("key", &key.key_id).add("key name", &key.name).add("scopes", scopes(key));
    if !secret.is_empty() {
        card.add("secret", secret);
    }
    let mut lines = card.lines();
    match place {
        Some(place) if secret.is_empty() => lines.push(format!("the secret is in {place}")),
        _ if replayed => {
            lines.push("made before with this idempotency key; the secret is not shown again".to_owned())
        }
        _ => lines.push("keep the secret: it is shown this once".to_owned()),
    }
    lines
}

fn scopes(key: &v1::ApiKey) -> String {
    let all = key.scopes.len() == <v1::Scope as crate::cli::words::Words>::all().len();
    if all {
        "all".to_owned()
    } else {
        key.scopes.iter().map(|scope| scope_word(*scope)).collect::<Vec<_>>().join(" ")
    }
}

pub fn key_table() -> Table {
    Table::new(&["KEY", "NAME", "CREATED", "REVOKED", "SCOPES"])
}

pub fn key_row(key: &v1::ApiKey) -> [String; 5] {
    [
        key.key_id.clone(),
        key.name.clone(),
        shown(key.created_at.as_ref()),
        shown(key.revoked_at.as_ref()),
        scopes(key),
    ]
}

pub fn done(what: &str, replayed: bool) -> Vec<String> {
    let replayed = if replayed { " (before, with this idempotency key)" } else { "" };
    vec![format!("{what}{replayed}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_shown_once() {
        let key = v1::ApiKey { key_id: "0011223344556677".into(), scopes: vec![1, 3], ..Default::default() };
        let lines = new_key(&key, "tdm_x", None, false).join("\n");
        assert!(lines.contains("secret  tdm_x") && lines.contains("calls:read campaigns:read"), "{lines}");
        let lines = new_key(&key, "", Some("acme.key"), false).join("\n");
        assert!(lines.ends_with("the secret is in acme.key"), "{lines}");
        assert!(new_key(&key, "", None, true).join("\n").contains("not shown again"));
    }

    #[test]
    fn a_closed_company_says_why() {
        let closed = v1::Company { closed_reason: "complaints".into(), ..Default::default() };
        assert!(company(&closed).iter().any(|line| line == "may call           no: complaints"));
        assert_eq!(row(&closed)[3], "no: complaints");
    }
}
