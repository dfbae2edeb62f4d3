//! From the local engine to the servers: ask who lacks what, read the image once, send each layer to whoever lacks it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::{mpsc, oneshot};

use super::archive::{self, Contents, Receiver};
use super::docker::{Docker, Local};
use super::error::ImageError;
use super::known_layers::KnownLayers;
use super::manifest::{self, Layer, Manifest, Packing};
use super::progress::{Progress, size};
use super::spool::Spool;
use super::transfer::Line;
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::output::Output;
use crate::files;
use crate::names::Digest;
use crate::paths;
use crate::wire::{Code, Room, RoomRequest, routes};

/// Layers that go to one server at once.
const WORKERS: usize = 4;
/// How long a server may think about its disk, and prune it.
const ROOM_PATIENCE: Duration = Duration::from_secs(120);

/// A server, and the repositories that get the image there.
pub struct Destination<'a> {
    pub api: &'a Api,
    /// Never empty.
    pub repositories: Vec<String>,
}

/// A server with what it has.
struct Holder<'a> {
    to: &'a Destination<'a>,
    /// The contents that it has, and their sizes in bytes.
    has: BTreeMap<Digest, u64>,
}

/// Sends an image of the local engine; the manifest by which the servers know it. Progress is shown where there is
/// somebody to see it.
pub async fn send(
    docker: &Docker,
    image: &Digest,
    destinations: &[Destination<'_>],
    output: Option<&Output>,
) -> Result<Digest, ClientError> {
    let began = Instant::now();
    let local = docker.inspect(image.as_str()).await?;
    let holders = try_join_all(destinations.iter().map(|to| Holder::ask(to, &local))).await?;
    let progress = Progress::default();
    let sending = async {
        if let Some(manifest) = known(&holders, &local) {
            return Ok((manifest, BTreeSet::new()));
        }
        try_join_all(holders.iter().map(|holder| holder.ask_for_room(&local))).await?;
        read_and_send(docker, &local, &holders, &progress).await
    };
    let (manifest, sent) = tokio::select! {
        sent = sending => sent?,
        never = progress.show("uploading", output) => match never {},
    };
    for holder in &holders {
        let mut line = Line::new(holder.to.api);
        for repository in &holder.to.repositories {
            line.manifest(repository, &manifest).await?;
        }
    }
    let there = local.layers.len().saturating_sub(sent.len());
    let saved = (local.size * holders.len() as u64).saturating_sub(progress.total());
    let Some(output) = output else { return Ok(manifest.digest) };
    output.words(&format!(
        "  uploaded {} in {:.1} s ({there} of {} layers were there, {} saved)",
        size(progress.total()),
        began.elapsed().as_secs_f64(),
        local.layers.len(),
        size(saved)
    ));
    Ok(manifest.digest)
}

/// The manifest of an image that every server has already, where no more than its id and layers is needed for it.
fn known(holders: &[Holder<'_>], local: &Local) -> Option<Manifest> {
    let whole = |holder: &Holder<'_>| std::iter::once(&local.id).chain(&local.layers).all(|digest| holder.has.contains_key(digest));
    let first = holders.first().filter(|_| holders.iter().all(whole))?;
    let layer = |digest: &Digest| Some(Layer { digest: digest.clone(), size: *first.has.get(digest)?, packing: Packing::Plain });
    let layers = local.layers.iter().map(layer).collect::<Option<Vec<_>>>()?;
    Some(manifest::write(&local.id, *first.has.get(&local.id)?, &layers))
}

impl<'a> Holder<'a> {
    async fn ask(to: &'a Destination<'a>, local: &Local) -> Result<Self, ClientError> {
        let mut holder = Self { to, has: BTreeMap::new() };
        let mut line = Line::new(to.api);
        for digest in std::iter::once(&local.id).chain(&local.layers) {
            holder.look(&mut line, digest).await?;
        }
        Ok(holder)
    }

    async fn look(&mut self, line: &mut Line<'_>, digest: &Digest) -> Result<(), ClientError> {
        if !self.has.contains_key(digest)
            && let Some(size) = line.size(self.repository(), digest).await?
        {
            self.has.insert(digest.clone(), size);
        }
        Ok(())
    }

    fn repository(&self) -> &str {
        &self.to.repositories[0]
    }

    /// A server that has no room says so before anything is sent. One that knows no such question is not asked.
    async fn ask_for_room(&self, local: &Local) -> Result<(), ClientError> {
        let layers: BTreeSet<&Digest> = local.layers.iter().collect();
        let has: u64 = layers.iter().filter_map(|digest| self.has.get(*digest)).sum();
        // Where layers are kept packed, nobody knows yet which of them the server has.
        let bytes = if local.is_named_by_manifest() { 0 } else { local.size.saturating_sub(has) };
        match self.to.api.post_patiently::<_, Room>(routes::ROOM, &RoomRequest { bytes }, ROOM_PATIENCE).await {
            Ok(_) | Err(ClientError::NoAnswer { .. }) => Ok(()),
            Err(ClientError::Refused { problem, .. }) if problem.code == Code::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// What the thread that reads asks and brings.
enum Message {
    Needs(Digest, oneshot::Sender<bool>),
    Layer(Arc<Spool>),
}

/// Asks through a channel, from a thread that may wait.
struct Channel(mpsc::Sender<Message>);

impl Receiver for Channel {
    fn needs(&mut self, digest: &Digest) -> bool {
        let (reply, answer) = oneshot::channel();
        self.0.blocking_send(Message::Needs(digest.clone(), reply)).is_ok() && answer.blocking_recv().unwrap_or(true)
    }

    fn take(&mut self, layer: Spool) -> bool {
        self.0.blocking_send(Message::Layer(Arc::new(layer))).is_ok()
    }
}

async fn read_and_send(
    docker: &Docker,
    local: &Local,
    holders: &[Holder<'_>],
    progress: &Progress,
) -> Result<(Manifest, BTreeSet<Digest>), ClientError> {
    let (say, mut said) = mpsc::channel(1);
    let (docker, image) = (docker.clone(), local.clone());
    let reading = tokio::task::spawn_blocking(move || read(&docker, &image, Channel(say)));
    let (senders, queues): (Vec<_>, Vec<_>) = holders.iter().map(|_| mpsc::unbounded_channel::<Arc<Spool>>()).unzip();
    let sending = try_join_all(holders.iter().zip(queues).map(|(holder, queue)| work(holder, queue, progress)));
    let handing_out = async {
        // Dropped with the last layer: then the workers know that there is no more.
        let senders = senders;
        let mut lines: Vec<_> = holders.iter().map(|holder| (holder, Line::new(holder.to.api), BTreeMap::new())).collect();
        let mut sent = BTreeSet::new();
        while let Some(message) = said.recv().await {
            match message {
                Message::Needs(digest, reply) => {
                    let lacks = join_all(lines.iter_mut().map(|(holder, line, asked)| lacks(holder, line, asked, &digest))).await;
                    let lacks = lacks.into_iter().collect::<Result<Vec<bool>, ClientError>>()?;
                    // Whoever asked has gone when the archive is broken.
                    let _ = reply.send(lacks.contains(&true));
                }
                Message::Layer(layer) => {
                    for (sender, (holder, line, asked)) in senders.iter().zip(&mut lines) {
                        if lacks(holder, line, asked, &layer.digest).await? {
                            // It will have it; a second layer of the same content is not sent again.
                            asked.insert(layer.digest.clone(), false);
                            let _ = sender.send(Arc::clone(&layer));
                        }
                    }
                    sent.insert(layer.digest.clone());
                }
            }
        }
        Ok::<_, ClientError>(sent)
    };
    let (sent, _) = tokio::try_join!(handing_out, sending)?;
    let contents = reading.await.map_err(|error| ImageError::Archive { reason: error.to_string() })??;
    let Contents { config, config_digest, layers } = contents;
    let manifest = manifest::write(&config_digest, config.len() as u64, &layers);
    let config = Bytes::from(config);
    for holder in holders.iter().filter(|holder| !holder.has.contains_key(&config_digest)) {
        Line::new(holder.to.api).small(holder.repository(), &config_digest, &config).await?;
    }
    Ok((manifest, sent))
}

/// Whether a server lacks a content; asked once.
async fn lacks(holder: &Holder<'_>, line: &mut Line<'_>, asked: &mut BTreeMap<Digest, bool>, digest: &Digest) -> Result<bool, ClientError> {
    if holder.has.contains_key(digest) {
        return Ok(false);
    }
    if let Some(answer) = asked.get(digest) {
        return Ok(*answer);
    }
    let lacks = line.size(holder.repository(), digest).await?.is_none();
    asked.insert(digest.clone(), lacks);
    Ok(lacks)
}

/// Sends what comes out of the queue to one server.
async fn work(holder: &Holder<'_>, mut queue: mpsc::UnboundedReceiver<Arc<Spool>>, progress: &Progress) -> Result<(), ClientError> {
    let mut busy = FuturesUnordered::new();
    let mut idle: Vec<Line<'_>> = (0..WORKERS).map(|_| Line::new(holder.to.api)).collect();
    loop {
        tokio::select! {
            layer = queue.recv(), if !idle.is_empty() => match (layer, idle.pop()) {
                (Some(layer), Some(line)) => busy.push(send_one(holder, line, layer, progress)),
                _ => break,
            },
            Some(done) = busy.next(), if !busy.is_empty() => idle.push(done?),
        }
    }
    busy.try_for_each(async |_| Ok(())).await
}

/// Sends a layer and gives the connection back.
async fn send_one<'a>(holder: &Holder<'_>, mut line: Line<'a>, layer: Arc<Spool>, progress: &Progress) -> Result<Line<'a>, ClientError> {
    line.layer(holder.repository(), &layer, progress).await.map(|()| line)
}

/// Layers wait there until they are sent, in files without a name: on a disk, where the system's temporary directory
/// may be memory.
fn spool_folder() -> PathBuf {
    let cache = paths::client_cache();
    if files::private_dir(&cache).is_ok() { cache } else { std::env::temp_dir() }
}

/// The thread that reads the archive.
fn read(docker: &Docker, image: &Local, mut receiver: Channel) -> Result<Contents, ImageError> {
    let run = |source| ImageError::Run { command: "image save".to_owned(), source };
    let mut child = docker.save(&image.id).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(run)?;
    let mut known = KnownLayers::load();
    let contents = match child.stdout.take() {
        Some(stdout) => archive::read(io::BufReader::with_capacity(1 << 20, stdout), image, &mut known, &spool_folder(), &mut receiver),
        None => Err(run(io::ErrorKind::BrokenPipe.into())),
    };
    if contents.is_err() {
        // It may be in the middle of something that nobody reads any more.
        let _ = child.kill();
    }
    let output = child.wait_with_output().map_err(run)?;
    if contents.is_err() && !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if !words.is_empty() {
            return Err(ImageError::Engine { command: "image save".to_owned(), words });
        }
    }
    known.save();
    contents
}
