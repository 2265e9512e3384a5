//! Single stories, told from start to end.

mod call;
mod campaign;
mod company;
