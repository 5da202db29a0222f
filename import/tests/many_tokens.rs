//! Large files: memory and time follow the number of tokens, and one bad line among many is found.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::fmt::Write as _;

use mfa_import::csv;
use mfa_import::pskc::{Container, Unlock};

const MANY: u32 = 100_000;

/// A seed that no other number has, and that looks like any other.
fn seed(number: u32) -> mfa_core::Secret {
    let mixed = u64::from(number).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mfa_core::Secret::new(mixed.to_be_bytes().repeat(3))
}

#[test]
fn a_hundred_thousand_lines_are_read() {
    let mut file = "upn,serial number,secret key,time interval,manufacturer,model\n".to_owned();
    for number in 0..MANY {
        writeln!(file, ",{number},{},30,Contoso,Key", *seed(number).to_base32())
            .expect("a String takes everything");
    }
    let tokens = csv::entra::read(file.as_bytes(), None).expect("a good file");
    assert_eq!(tokens.len(), 100_000);
    assert_eq!(tokens[77_777].seed, seed(77_777));

    file.push_str(",77777,GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ,30,Contoso,Key\n");
    let problems = csv::entra::read(file.as_bytes(), None).expect_err("a serial that is there twice");
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].to_string(), "line 100002: it has the serial number of line 77779");
}

#[test]
fn a_hundred_thousand_packages_are_read() {
    use base64ct::{Base64, Encoding as _};
    let mut file = "<KeyContainer Version='1.0' xmlns='urn:ietf:params:xml:ns:keyprov:pskc'>\n".to_owned();
    for number in 0..MANY {
        let secret = Base64::encode_string(seed(number).expose());
        writeln!(
            file,
            "<KeyPackage><DeviceInfo><Manufacturer>M</Manufacturer><SerialNo>{number}</SerialNo></DeviceInfo>\
             <Key Id='{number}' Algorithm='urn:ietf:params:xml:ns:keyprov:pskc:totp'><AlgorithmParameters>\
             <ResponseFormat Length='6' Encoding='DECIMAL'/></AlgorithmParameters><Data><Secret><PlainValue>{secret}\
             </PlainValue></Secret><TimeInterval><PlainValue>60</PlainValue></TimeInterval></Data></Key></KeyPackage>"
        )
        .expect("a String takes everything");
    }
    file.push_str("</KeyContainer>\n");
    let container = Container::open(file.as_bytes()).expect("a good file");
    let tokens = container.tokens(&Unlock::Nothing).expect("a good file");
    assert_eq!(tokens.len(), 100_000);
    assert_eq!(tokens[77_777].seed, seed(77_777));
    assert_eq!(tokens[99_999].place.to_string(), "key package 100000 (line 100001)");
}
