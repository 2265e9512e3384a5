//! `Debug` of messages that name a person, repeat what was said, or hold a secret. Logs get ids,
//! states and lengths of them, and at most the last four digits of a number.

use crate::v1;
use std::fmt;

/// `Debug` that shows these fields and nothing else.
macro_rules! redacted {
    ($($name:ident { $($field:ident),* })*) => {$(
        impl fmt::Debug for v1::$name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))$(.field(stringify!($field), &self.$field))*.finish_non_exhaustive()
            }
        }
    )*};
}

redacted! {
    AddNoteRequest { idempotency_key }
    AnnotateCallRequest { call_id, flagged, idempotency_key }
    Call { call_id, phase, campaign_id, contact, phone_last4, attempt, disposition }
    ClearDoNotCallRequest { idempotency_key }
    Contact { contact, phone_last4, call_id, disposition, attempts }
    CreateCompanyResponse { company, key, replayed }
    CreateKeyResponse { key, replayed }
    Customer { customer_id, status, total_calls, do_not_call }
    ExplainContactRequest { campaign_id, at }
    GetCustomerRequest { }
    GetHistoryRequest { page_size }
    ImportContactsRequest { }
    ImportDoNotCallRequest { }
    ListCallsRequest { campaign_id, disposition, since, until, page_size }
    LookupRequest { call_id, idempotency_key }
    NewContact { priority, time_zone }
    NoteAdded { }
    PhoneNumbers { }
    PlaceCallRequest { plan, not_before, priority, idempotency_key }
    RevokeConsentRequest { idempotency_key }
    SetConsentRequest { basis, idempotency_key }
    SetDoNotCallRequest { source, call_id, idempotency_key }
    Turn { number, at, speaker }
    UpdateCustomerRequest { status, idempotency_key }
    Variable { }
}

/// `Debug` that shows which one it is.
macro_rules! redacted_choice {
    ($($module:ident :: $name:ident { $($variant:ident),* })*) => {$(
        impl fmt::Debug for v1::$module::$name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant(_) => concat!(stringify!($variant), "(..)"),)*
                })
            }
        }
    )*};
}

redacted_choice! {
    add_note_request::Customer { CustomerId, Phone }
    clear_do_not_call_request::Customer { CustomerId, Phone }
    explain_contact_request::Who { Contact, Phone, CustomerId }
    get_customer_request::Customer { CustomerId, Phone }
    get_history_request::Customer { CustomerId, Phone }
    import_contacts_request::Content { Header, Csv, Contacts }
    import_do_not_call_request::Content { Header, Csv, Numbers }
    list_calls_request::Customer { CustomerId, Phone }
    revoke_consent_request::Customer { CustomerId, Phone }
    set_consent_request::Customer { CustomerId, Phone }
    set_do_not_call_request::Customer { CustomerId, Phone }
    update_customer_request::Customer { CustomerId, Phone }
    variable::Value { Text, Number, Boolean }
}
