//! Listens, gives each connection a thread, and stops without cutting a request.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use crate::endpoints::{self, After, App};
use crate::http::Connection;
use crate::in_flight::{self, InFlight};
use crate::settings::Settings;
use crate::{GLANCE, say};

/// Serves until `stop` is raised, then finishes what is in flight.
pub fn run(settings: &Arc<Settings>, stop: &Arc<AtomicBool>, born: Instant) -> ExitCode {
    while born.elapsed() < settings.start_delay {
        if stop.load(Ordering::SeqCst) {
            return ExitCode::SUCCESS;
        }
        thread::sleep(GLANCE);
    }
    let listener = match TcpListener::bind((Ipv4Addr::UNSPECIFIED, settings.port)) {
        Ok(listener) => listener,
        Err(error) => {
            say(&format!("error: cannot listen on port {}: {error}", settings.port));
            return ExitCode::FAILURE;
        }
    };
    say(&format!("version {} listens on port {}", settings.version, settings.port));
    let app = App { settings: Arc::clone(settings), stop: Arc::clone(stop), born };
    thread::spawn(move || accept(&listener, &app));

    while !stop.load(Ordering::SeqCst) {
        thread::sleep(GLANCE);
    }
    // Wakes the accepting thread, which sits in a call that no signal ends.
    let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, settings.port));
    say(&format!("stopping with {} requests in flight", in_flight::count()));
    while in_flight::count() > 0 {
        thread::sleep(GLANCE);
    }
    say("stopped");
    ExitCode::SUCCESS
}

/// Accepts until the stop, then takes whoever is in the backlog already and closes the port.
fn accept(listener: &TcpListener, app: &App) {
    for stream in listener.incoming() {
        match stream {
            Ok(stream) => serve(stream, app),
            Err(_) if app.stopping() => return,
            Err(_) => continue,
        }
        if app.stopping() && listener.set_nonblocking(true).is_err() {
            return;
        }
    }
}

fn serve(stream: TcpStream, app: &App) {
    let app = app.clone();
    thread::spawn(move || {
        // The peer going away in mid-conversation is its own business.
        let _ = converse(stream, &app);
    });
}

/// Requests of one connection, one after the other.
fn converse(stream: TcpStream, app: &App) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut connection = Connection::new(stream)?;
    while let Some(request) = connection.next_request()? {
        let in_flight = InFlight::begin();
        let after = endpoints::answer(&mut connection, &request, app)?;
        connection.finish()?;
        drop(in_flight);
        if after == After::Close {
            break;
        }
    }
    Ok(())
}
