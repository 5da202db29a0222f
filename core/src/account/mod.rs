//! What is done for each request, one file a concern. All of it goes through `Store::update`.

pub(crate) mod adoption;
pub(crate) mod bypass;
pub(crate) mod changes;
pub(crate) mod enrollment;
pub(crate) mod login;
pub(crate) mod marks;
pub(crate) mod proof;
pub(crate) mod repair;
pub(crate) mod resync;
pub(crate) mod status;
pub(crate) mod tries;
