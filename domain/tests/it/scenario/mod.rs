//! Single stories, told from start to end.

mod call;
mod caller;
mod campaign;
mod company;
mod customer;
