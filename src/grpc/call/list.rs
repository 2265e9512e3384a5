//! Lists of calls, from the index that fits the request best.

use crate::grpc::convert::{call, choices, time};
use crate::grpc::page::{self, Mark};
use crate::grpc::room::{Named, Room, id, query_failed};
use tandem_actors::query::{self, CallList, CallRow};
use tandem_domain::id::{CampaignId, CompanyId, CustomerId};
use tandem_domain::retry::Disposition;
use tandem_domain::time::Millis;
use tandem_proto::v1;
use tandem_proto::v1::list_calls_request::Customer;
use tonic::Status;

/// Reads of the index for one page: filters that no index serves may leave a page short.
const READS_MAX: usize = 8;

struct Filter {
    campaign: Option<CampaignId>,
    customer: Option<CustomerId>,
    disposition: Option<Disposition>,
    since: Option<Millis>,
    until: Option<Millis>,
}

impl Filter {
    async fn read(room: &Room, company: CompanyId, message: &v1::ListCallsRequest) -> Result<Filter, Status> {
        let campaign = (!message.campaign_id.is_empty()).then(|| id("campaign_id", &message.campaign_id));
        let customer = match &message.customer {
            None => None,
            Some(Customer::CustomerId(text)) => {
                Some(room.someone(company, Some(Named::Id(text.as_str()))).await?.id)
            }
            Some(Customer::Phone(text)) => {
                Some(room.someone(company, Some(Named::Phone(text.as_str()))).await?.id)
            }
        };
        let at = |field, at: &Option<_>| at.as_ref().map(|at| time::millis_at(field, at)).transpose();
        Ok(Filter {
            campaign: campaign.transpose()?,
            customer,
            disposition: choices::disposition_of("disposition", message.disposition)?,
            since: at("since", &message.since)?,
            until: at("until", &message.until)?,
        })
    }

    /// The index with the fewest rows to leave out.
    fn index(&self) -> CallList {
        match (self.customer, self.campaign, self.disposition) {
            (Some(customer), ..) => CallList::Customer(customer),
            (None, Some(campaign), _) => CallList::Campaign(campaign),
            (None, None, Some(disposition)) => CallList::Disposition(disposition),
            (None, None, None) => CallList::All,
        }
    }

    fn takes(&self, row: &CallRow) -> bool {
        let s = &row.state;
        self.campaign.is_none_or(|campaign| s.campaign == Some(campaign))
            && self.customer.is_none_or(|customer| s.customer == Some(customer))
            && self.disposition.is_none_or(|d| s.ended.as_ref().is_some_and(|e| e.disposition == d))
    }

    fn mark(&self, company: CompanyId) -> Mark {
        let disposition = self.disposition.map_or("", Disposition::name);
        let time = |at: Option<Millis>| at.unwrap_or(-1).to_be_bytes();
        Mark::new(&[
            b"calls",
            company.0.as_bytes(),
            self.campaign.as_ref().map_or(&[], |c| c.0.as_bytes()),
            self.customer.as_ref().map_or(&[], |c| c.0.as_bytes()),
            disposition.as_bytes(),
            &time(self.since),
            &time(self.until),
        ])
    }
}

pub async fn list(
    room: &Room,
    company: CompanyId,
    message: &v1::ListCallsRequest,
) -> Result<v1::ListCallsResponse, Status> {
    let size = page::size(message.page_size)?;
    let filter = Filter::read(room, company, message).await?;
    let mark = filter.mark(company);
    let mut after = mark.cursor(&message.page_token)?;
    let mut calls = Vec::with_capacity(size);
    for _ in 0..READS_MAX {
        let window = (filter.since, filter.until);
        // Asked for no more than fit, so that the cursor is that of the last row that was looked at.
        let wanted = size - calls.len();
        let rows =
            query::calls(room.store(), company, filter.index(), window, after.as_deref(), wanted).await;
        let rows = rows.map_err(query_failed)?;
        calls.extend(
            rows.items.iter().filter(|row| filter.takes(row)).map(|row| call::call(row.id, &row.state)),
        );
        after = rows.next;
        if after.is_none() || calls.len() >= size {
            break;
        }
    }
    Ok(v1::ListCallsResponse { calls, next_page_token: mark.token(after) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_domain::call::{Ended, State};
    use tandem_domain::id::CallId;

    const CUSTOMER: CustomerId = CustomerId::from_bytes([1; 16]);
    const CAMPAIGN: CampaignId = CampaignId::from_bytes([2; 16]);

    fn filter(customer: bool, campaign: bool, disposition: bool) -> Filter {
        Filter {
            campaign: campaign.then_some(CAMPAIGN),
            customer: customer.then_some(CUSTOMER),
            disposition: disposition.then_some(Disposition::Busy),
            since: None,
            until: None,
        }
    }

    #[test]
    fn the_narrowest_index_is_taken() {
        assert_eq!(filter(true, true, true).index(), CallList::Customer(CUSTOMER));
        assert_eq!(filter(false, true, true).index(), CallList::Campaign(CAMPAIGN));
        assert_eq!(filter(false, false, true).index(), CallList::Disposition(Disposition::Busy));
        assert_eq!(filter(false, false, false).index(), CallList::All);
    }

    #[test]
    fn what_the_index_does_not_tell_is_looked_at() {
        let ended = Some(Ended { at: 1, disposition: Disposition::Busy });
        let state = State { campaign: Some(CAMPAIGN), customer: Some(CUSTOMER), ended, ..State::default() };
        let row = |state: &State| CallRow { id: CallId::from_bytes([3; 16]), state: state.clone() };
        assert!(filter(true, true, true).takes(&row(&state)));
        for other in [
            State { campaign: None, ..state.clone() },
            State { customer: None, ..state.clone() },
            State { ended: None, ..state.clone() },
        ] {
            assert!(!filter(true, true, true).takes(&row(&other)));
            assert!(filter(false, false, false).takes(&row(&other)));
        }
    }

    #[test]
    fn every_filter_has_a_mark_of_its_own() {
        let company = CompanyId::from_bytes([9; 16]);
        let token = filter(true, false, false).mark(company).token(Some(vec![1]));
        for other in [filter(false, true, false), filter(true, true, false), filter(true, false, true)] {
            assert!(other.mark(company).cursor(&token).is_err());
        }
        let later = Filter { since: Some(5), ..filter(true, false, false) };
        assert!(later.mark(company).cursor(&token).is_err());
    }
}
