//! Any bytes under an encryption that is right: whoever has a public key can write them.
#![no_main]

use std::io::Write;
use std::sync::LazyLock;

use intact_seal::{ExposeSecret, Keys, Opened, Recipient, generate};
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<(Keys, age::x25519::Recipient)> = LazyLock::new(|| {
    let (file, recipient): (_, Recipient) = generate();
    let keys = Keys::default().with_identities(file.expose_secret().as_bytes()).expect("a key");
    (keys, recipient.to_string().parse().expect("a public key"))
});

fuzz_target!(|envelope: &[u8]| {
    let (keys, recipient) = &*KEY;
    let encryptor = age::Encryptor::with_recipients(std::iter::once(recipient as &dyn age::Recipient));
    let mut sealed = Vec::new();
    let mut writer = encryptor.expect("a recipient").wrap_output(&mut sealed).expect("memory");
    writer.write_all(envelope).and_then(|()| writer.finish().map(drop)).expect("memory");
    if let Ok(opened) = Opened::read(sealed, keys, true) {
        let _ = opened.origin();
    }
});
