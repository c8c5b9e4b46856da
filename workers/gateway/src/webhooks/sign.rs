//! Signatures after Standard Webhooks 1.0: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use shanshui_pipeline::config::Secret;

/// What a derived secret is for: the same secret of the operator has other uses.
const PURPOSE: &[u8] = b"shanshui webhook 1\0";

/// The secret of one caller, derived from that of the gateways: no caller can sign in the name of another.
pub(super) struct Signer([u8; 32]);

impl Signer {
    pub(super) fn of(master: &Secret, caller: &str) -> Self {
        Self(mac(master.reveal().as_bytes(), &[PURPOSE, caller.as_bytes()]))
    }

    /// The secret in the form in which receivers' libraries take it.
    pub(super) fn secret(&self) -> String {
        format!("whsec_{}", BASE64_STANDARD.encode(self.0))
    }

    /// The header `webhook-signature`.
    pub(super) fn signature(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mac = mac(&self.0, &[format!("{id}.{timestamp}.").as_bytes(), body]);
        format!("v1,{}", BASE64_STANDARD.encode(mac))
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // The example of Standard Webhooks 1.0.0, and Python's hmac, agree.
        let key = BASE64_STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let mac = mac(&key, &[b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.", br#"{"test": 2432232314}"#]);
        assert_eq!(BASE64_STANDARD.encode(mac), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_caller_has_a_secret_of_its_own() {
        let master = Secret::from("a secret of the operator".to_owned());
        let [anna, ben] = ["anna", "ben"].map(|caller| Signer::of(&master, caller).secret());
        assert!(anna.starts_with("whsec_") && anna != ben);
        assert_eq!(Signer::of(&master, "anna").secret(), anna);
    }
}
