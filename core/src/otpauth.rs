//! `otpauth://` URIs, as authenticator apps read them from a QR code (the Key URI format of Google Authenticator's wiki).

use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::otp::{MovingFactor, Profile};
use crate::secret::Secret;
use crate::user_name::UserName;

/// Writes the URI for one device.
///
/// The issuer stands as label prefix and as parameter, every byte that is not unreserved in RFC 3986 is percent-encoded, the secret
/// is base32 without padding, and parameters that every app assumes anyway (SHA1, 6 digits, 30 seconds) are left out so that the QR
/// code stays small.
///
/// The label must hold no colon besides the one between issuer and account, so a colon in either becomes a full stop.
pub fn uri(issuer: &str, user: &UserName, profile: Profile, seed: &Secret) -> Zeroizing<String> {
    let kind = match profile.moving_factor {
        MovingFactor::Time(_) => "totp",
        MovingFactor::Counter(_) => "hotp",
    };
    let issuer = percent_encoded(&issuer.replace(':', "."));
    let account = percent_encoded(&user.as_str().replace(':', "."));
    let mut uri = Zeroizing::new(String::with_capacity(512));
    uri.push_str("otpauth://");
    uri.push_str(kind);
    uri.push('/');
    uri.push_str(&issuer);
    uri.push(':');
    uri.push_str(&account);
    uri.push_str("?secret=");
    uri.push_str(&seed.to_base32());
    uri.push_str("&issuer=");
    uri.push_str(&issuer);
    if profile.algorithm != Profile::PLAIN.algorithm {
        uri.push_str("&algorithm=");
        uri.push_str(profile.algorithm.name());
    }
    if profile.digits != Profile::PLAIN.digits {
        push_number(&mut uri, "&digits=", u64::from(profile.digits.count()));
    }
    match profile.moving_factor {
        MovingFactor::Time(_) if profile.moving_factor == Profile::PLAIN.moving_factor => {}
        MovingFactor::Time(period) => push_number(&mut uri, "&period=", period.seconds()),
        MovingFactor::Counter(_) => push_number(&mut uri, "&counter=", 0),
    }
    uri
}

fn push_number(uri: &mut String, key: &str, number: u64) {
    uri.push_str(key);
    uri.push_str(&number.to_string());
}

/// RFC 3986 2.3: everything but letters, digits and `-._~` is encoded, and `@`, which a path may hold (3.3), is kept for the eye.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => {
                encoded.push(char::from(byte));
            }
            _ => {
                // Writing to a String can't fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otp::{Algorithm, Digits, LookAhead, Period};

    fn seed() -> Secret {
        Secret::new(b"12345678901234567890".to_vec())
    }

    #[test]
    fn the_plain_profile_is_short_enough_for_a_version_5_qr_code() {
        let uri = uri("server42", &"alice".parse().unwrap(), Profile::PLAIN, &seed());
        assert_eq!(
            uri.as_str(),
            "otpauth://totp/server42:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=server42"
        );
        assert!(uri.len() <= 106);
    }

    #[test]
    fn reserved_bytes_can_not_eat_the_secret() {
        let user = "bob#1?a:b+c %d@host".parse().unwrap();
        let uri = uri("ACME: Co#1&x", &user, Profile::PLAIN, &seed());
        assert!(
            uri.starts_with("otpauth://totp/ACME.%20Co%231%26x:bob%231%3Fa.b%2Bc%20%25d@host?secret=GEZD"),
            "{}",
            *uri
        );
        assert!(uri.ends_with("&issuer=ACME.%20Co%231%26x"));
        assert_eq!(uri.matches(['#', '+', ' ']).count(), 0);
    }

    #[test]
    fn other_profiles_name_what_differs() {
        let profile = Profile {
            moving_factor: MovingFactor::Time(Period::try_from(60).unwrap()),
            algorithm: Algorithm::Sha256,
            digits: Digits::try_from(8).unwrap(),
        };
        assert!(
            uri("h", &"a".parse().unwrap(), profile, &seed())
                .ends_with("&algorithm=SHA256&digits=8&period=60")
        );
        let counter = Profile { moving_factor: MovingFactor::Counter(LookAhead::DEFAULT), ..Profile::PLAIN };
        let uri = uri("h", &"a".parse().unwrap(), counter, &seed());
        assert!(uri.starts_with("otpauth://hotp/") && uri.ends_with("&counter=0"));
    }
}
