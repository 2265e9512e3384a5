//! Companies and their keys.

use super::choices::scope;
use super::{settings, time};
use crate::grpc::error::Violation;
use tandem_domain::campaign::{self, Config, Limits};
use tandem_domain::company::{ApiKey, Caller, Scope, State};
use tandem_domain::id::CompanyId;
use tandem_domain::phone::Number;
use tandem_proto::v1;

pub fn company(id: CompanyId, s: &State, event: u64) -> v1::Company {
    v1::Company {
        company_id: id.to_string(),
        name: s.name.clone(),
        created_at: s.created_at.map(time::timestamp),
        open: s.closed.is_none(),
        closed_reason: s.closed.clone().unwrap_or_default(),
        limits: Some(settings::limits(&s.limits)),
        caller_ids: s.callers.iter().map(caller_id).collect(),
        single_calls: Some(settings::settings(&s.single_calls)),
        single_calls_campaign_id: campaign::direct(id).to_string(),
        running_campaigns: u32::try_from(s.loans.len()).unwrap_or(u32::MAX),
        event,
    }
}

fn caller_id(caller: &Caller) -> v1::CallerId {
    v1::CallerId { number: caller.number.clone(), limits: Some(settings::limits(&caller.limits)) }
}

/// Caller ids of a company; limits that are left out mean none.
pub fn callers_of(messages: &[v1::CallerId]) -> Result<Vec<Caller>, Violation> {
    if messages.len() > Config::CALLERS_MAX {
        return Err(Violation::new("caller_ids", "at most 64"));
    }
    messages
        .iter()
        .map(|message| {
            let number = Number::parse(&message.number, None).map_err(|e| Violation {
                code: e.reason(),
                ..Violation::new("caller_ids.number", e.to_string())
            })?;
            let mut limits = Limits::default();
            if let Some(message) = &message.limits {
                settings::apply_limits(&mut limits, message).map_err(|v| v.within("caller_ids"))?;
            }
            Ok(Caller { number: number.as_e164().to_owned(), limits })
        })
        .collect()
}

/// The public part of a key as people see it.
pub fn key_id(id: [u8; 8]) -> String {
    format!("{:016x}", u64::from_be_bytes(id))
}

/// 16 hexadecimal digits.
pub fn key_id_of(field: &'static str, text: &str) -> Result<[u8; 8], Violation> {
    let refused = || Violation::new(field, "16 hexadecimal digits");
    let well_formed = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !well_formed {
        return Err(refused());
    }
    u64::from_str_radix(text, 16).map(u64::to_be_bytes).map_err(|_| refused())
}

pub fn api_key(key: &ApiKey) -> v1::ApiKey {
    v1::ApiKey {
        key_id: key_id(key.key_id),
        name: key.name.clone(),
        scopes: scopes(key.scopes),
        created_at: Some(time::timestamp(key.created_at)),
        revoked_at: key.revoked_at.map(time::timestamp),
    }
}

fn scopes(bits: u32) -> Vec<i32> {
    Scope::ALL.into_iter().filter(|s| bits & *s as u32 != 0).map(|s| scope(s).into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_ids_come_back_and_strangers_are_refused() {
        for id in [[0; 8], [0xff; 8], *b"\x00\x01abcdef"] {
            assert_eq!(key_id_of("key_id", &key_id(id)), Ok(id));
        }
        for text in ["", "123", "00000000000000zz", "+000000000000001", "000000000000000A"] {
            assert!(key_id_of("key_id", text).is_err(), "{text}");
        }
    }

    #[test]
    fn caller_ids_are_numbers_and_their_limits_are_limits() {
        let caller = |number: &str, cps| v1::CallerId {
            number: number.into(),
            limits: Some(v1::Limits { calls_per_second: cps, ..v1::Limits::default() }),
        };
        let good = callers_of(&[caller("+1 202 555 0143", Some(1.5))]).expect("good");
        assert_eq!((good[0].number.as_str(), good[0].limits.milli_cps), ("+12025550143", 1_500));
        assert!(callers_of(&[caller("nobody", None)]).is_err());
        assert!(callers_of(&[caller("+12025550143", Some(-1.0))]).is_err());
        assert!(callers_of(&vec![caller("+12025550143", None); 65]).is_err());
    }

    #[test]
    fn every_scope_is_shown() {
        assert_eq!(scopes(Scope::all_bits()).len(), Scope::ALL.len());
        assert_eq!(scopes(0), Vec::<i32>::new());
    }
}
