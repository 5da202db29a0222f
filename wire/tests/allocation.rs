//! No message makes its reader allocate more than a message can be worth.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test that panics has failed")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use mfa_wire::frame::{MAX_BYTES, decode};
use mfa_wire::{Envelope, Reply};

/// The most that serde sets aside for a list before it has read the first item.
const MOST: usize = 1024 * 1024;

struct Watching;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is done by the system's allocator; only sizes are looked at.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// Messages that say they hold four thousand million of something, at every place where a list or a text may begin.
#[test]
fn a_length_that_lies_allocates_no_more_than_a_list_may_take() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
    for padding in [0, 100, MAX_BYTES - 64] {
        for begin in
            [&b""[..], b"\x0e\x05alice", b"\x01", b"\x00\x01", b"\x00\x02", b"\x00\x09", b"\x00\x01\x01"]
        {
            let mut bytes = vec![1];
            bytes.extend(begin);
            bytes.extend(huge);
            bytes.resize(bytes.len() + padding, 0x01);
            LARGEST.store(0, Ordering::Relaxed);
            let read = (decode::<Envelope>(&bytes).is_ok(), decode::<Reply>(&bytes).is_ok());
            let largest = LARGEST.load(Ordering::Relaxed);
            assert!(largest <= MOST, "{begin:x?} with {padding} more bytes: {largest} bytes at once");
            assert_eq!(read, (false, false));
        }
    }
}

/// The largest list that fits: its length is true to the last byte.
#[test]
fn a_list_of_many_small_things_allocates_no_more_than_a_list_may_take() {
    for begin in [&b"\x0e\x05alice"[..], b"\x00\x01", b"\x00\x02", b"\x00\x09"] {
        let mut bytes = vec![1];
        bytes.extend(begin);
        bytes.extend([0x80, 0x7f]);
        bytes.resize(MAX_BYTES, 0x01);
        LARGEST.store(0, Ordering::Relaxed);
        let _ = (decode::<Envelope>(&bytes), decode::<Reply>(&bytes));
        assert!(LARGEST.load(Ordering::Relaxed) <= MOST, "{begin:x?}");
    }
}
