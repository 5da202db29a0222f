//! User names that nobody should have.

/// Names that are no file names, or play with whatever prints or expands them. `${USER}` and the like are other people's, and not here.
pub const NO_FILE_NAMES: &[&[u8]] = &[
    b"../x",
    b"../alice",
    b"alice/../alice",
    b"../../outside",
    b"/etc/passwd",
    b".",
    b"..",
    b"-rf",
    b"alice/",
    b"./alice",
    b"alice\n",
    b"alice\nrefused reason=none user=bob",
    b"alice\r",
    b"\x1b[2Jalice",
    b"alice\x7f",
    b"\xff\xfe\xfd",
    b"al\xc3",
    b"\xc0\xaf..\xc0\xafx",
    b" ",
    b"%s%s%n",
    b"${HOME}",
    b"alice ",
];
