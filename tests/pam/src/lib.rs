//! The tests are in `tests/`; the program they log in with is `pam-application`.
