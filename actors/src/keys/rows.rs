//! Keys of the rows that decisions read and write: one arm for each, with its fields in order.
//! Their values stand beside their names in `tandem_domain::row`.

use super::{Malformed, Reader, Space, Writer};
use tandem_domain::id::{CallId, CampaignId, CompanyId, CustomerId};
use tandem_domain::retry::Disposition;
use tandem_domain::row::{ContactNo, Priority, RowKey};
use tandem_domain::time::Millis;

fn disposition_code(d: Disposition) -> u64 {
    Disposition::ALL.iter().position(|x| *x == d).unwrap_or(0) as u64
}

fn at(space: Space, company: CompanyId) -> Writer {
    Writer::new(space).uuid(company.0)
}

/// The key of a row.
pub fn row(key: &RowKey) -> Vec<u8> {
    match *key {
        RowKey::Dnc { company, customer } => at(Space::Dnc, company).uuid(customer.0),
        RowKey::Consent { company, customer } => at(Space::Consent, company).uuid(customer.0),
        RowKey::Contacted { company, customer } => at(Space::Contacted, company).uuid(customer.0),
        RowKey::Policy { company, campaign } => match campaign {
            // A company's own policy sorts before those of its campaigns.
            None => at(Space::Policy, company),
            Some(campaign) => at(Space::Policy, company).uuid(campaign.0),
        },
        RowKey::Gate { company } => at(Space::Gate, company),
        RowKey::Permit { company, campaign, call } => {
            at(Space::Permit, company).uuid(campaign.0).uuid(call.0)
        }
        RowKey::Contact { company, campaign, no } => {
            at(Space::Contact, company).uuid(campaign.0).int(u64::from(no))
        }
        RowKey::ContactEnd { company, campaign, no } => {
            at(Space::ContactEnd, company).uuid(campaign.0).int(u64::from(no))
        }
        RowKey::ContactOf { company, campaign, customer } => {
            at(Space::ContactOf, company).uuid(campaign.0).uuid(customer.0)
        }
        RowKey::Ready { company, campaign, lane, due, no } => {
            at(Space::Ready, company).uuid(campaign.0).int(lane as u64).time(due).int(u64::from(no))
        }
        RowKey::InFlight { company, campaign, no } => {
            at(Space::InFlight, company).uuid(campaign.0).int(u64::from(no))
        }
        RowKey::Counted { company, customer, call } => {
            at(Space::Counted, company).uuid(customer.0).uuid(call.0)
        }
        RowKey::CustomerKey { company, customer } => at(Space::CustomerKey, company).uuid(customer.0),
        RowKey::CallByTime { company, at: time, call } => {
            at(Space::CallByTime, company).time(time).uuid(call.0)
        }
        RowKey::CallByCampaign { company, campaign, at: time, call } => {
            at(Space::CallByCampaign, company).uuid(campaign.0).time(time).uuid(call.0)
        }
        RowKey::CallByCustomer { company, customer, at: time, call } => {
            at(Space::CallByCustomer, company).uuid(customer.0).time(time).uuid(call.0)
        }
        RowKey::CallByDisposition { company, disposition, at: time, call } => {
            at(Space::CallByDisposition, company).int(disposition_code(disposition)).time(time).uuid(call.0)
        }
        RowKey::CampaignByTime { company, at: time, campaign } => {
            at(Space::CampaignByTime, company).time(time).uuid(campaign.0)
        }
        RowKey::Turn { company, call, no } => at(Space::Turn, company).uuid(call.0).int(u64::from(no)),
        RowKey::ApiKey { key_id } => Writer::new(Space::ApiKey).int(u64::from_be_bytes(key_id)),
        RowKey::Company { company } => at(Space::Company, company),
    }
    .done()
}

/// One lane of a campaign's ready queue, in order of due time.
pub fn ready_lane(company: CompanyId, campaign: CampaignId, lane: Priority) -> (Vec<u8>, Vec<u8>) {
    let prefix = at(Space::Ready, company).uuid(campaign.0).int(lane as u64).done();
    tandem_store::tuple::prefix_range(&prefix)
}

pub fn ready_parts(key: &[u8]) -> Result<(Millis, ContactNo), Malformed> {
    let mut r = Reader::new(key);
    let _space = r.int()?;
    let _company = r.uuid()?;
    let _campaign = r.uuid()?;
    let _lane = r.int()?;
    let due = r.time()?;
    let no = r.u32()?;
    r.end()?;
    Ok((due, no))
}

/// Lists that are read from index rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listed {
    Calls,
    CallsOfCampaign(CampaignId),
    CallsOfCustomer(CustomerId),
    CallsEnded(Disposition),
    Campaigns,
    Contacts(CampaignId),
    Turns(CallId),
    Permits(CampaignId),
    Companies,
}

/// What all keys of a list begin with.
pub fn list_prefix(company: CompanyId, list: Listed) -> Vec<u8> {
    match list {
        Listed::Calls => at(Space::CallByTime, company),
        Listed::CallsOfCampaign(campaign) => at(Space::CallByCampaign, company).uuid(campaign.0),
        Listed::CallsOfCustomer(customer) => at(Space::CallByCustomer, company).uuid(customer.0),
        Listed::CallsEnded(d) => at(Space::CallByDisposition, company).int(disposition_code(d)),
        Listed::Campaigns => at(Space::CampaignByTime, company),
        Listed::Contacts(campaign) => at(Space::Contact, company).uuid(campaign.0),
        Listed::Turns(call) => at(Space::Turn, company).uuid(call.0),
        Listed::Permits(campaign) => at(Space::Permit, company).uuid(campaign.0),
        Listed::Companies => Writer::new(Space::Company),
    }
    .done()
}

/// The time and the id at the end of a time index key, behind `prefix`.
pub fn parse_listed(prefix: &[u8], key: &[u8]) -> Result<(Millis, uuid::Uuid), Malformed> {
    let mut r = Reader::new(key.strip_prefix(prefix).ok_or(Malformed)?);
    let time = r.time()?;
    let id = r.uuid()?;
    r.end()?;
    Ok((time, id))
}
