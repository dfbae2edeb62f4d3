//! The user's keyring (Secret Service, Keychain, Credential Manager) as the place of API tokens, where there is one.
//!
//! A locked one may ask the user and a broken one may never answer: nothing waits for it longer than [`PATIENCE`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use keyring::{Entry, Error};

use crate::config::server::ServerName;
use crate::env;
use crate::secret::Secret;

/// Under which the entries are found in the keyring's own programs.
const SERVICE: &str = "haloy";
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the keyring keeps the token from now on. Where `HALOY_CONFIG_DIR` says where the configuration is, all of it
/// is there: the keyring belongs to the user's own.
pub fn keep(server: &ServerName, token: &Secret) -> bool {
    let token = token.clone();
    env::read(env::CONFIG_DIR).is_none() && ask(server, move |entry| entry.set_password(token.expose())).is_ok()
}

/// Why there is none is for people.
pub fn token(server: &ServerName) -> Result<Secret, String> {
    ask(server, |entry| entry.get_password()).map(Secret::new)
}

/// Whether the keyring has no token of the server any more.
pub fn forget(server: &ServerName) -> bool {
    ask(server, |entry| match entry.delete_credential() {
        Err(Error::NoEntry) => Ok(()),
        other => other,
    })
    .is_ok()
}

/// It did not answer once: nobody waits for it again.
static SILENT: AtomicBool = AtomicBool::new(false);

fn ask<T: Send + 'static>(server: &ServerName, ask: impl FnOnce(&Entry) -> keyring::Result<T> + Send + 'static) -> Result<T, String> {
    let silence = || format!("it did not answer within {} s", PATIENCE.as_secs());
    if SILENT.load(Ordering::Relaxed) {
        return Err(silence());
    }
    let (tell, told) = mpsc::channel();
    let server = server.to_string();
    // Left alone when it takes too long: it holds nothing that the end of the process does not give back.
    thread::Builder::new()
        .name("keyring".to_owned())
        .spawn(move || {
            let _ = tell.send(Entry::new(SERVICE, &server).and_then(|entry| ask(&entry)));
        })
        .map_err(|error| error.to_string())?;
    match told.recv_timeout(PATIENCE) {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => {
            SILENT.store(true, Ordering::Relaxed);
            Err(silence())
        }
    }
}
