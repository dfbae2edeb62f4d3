//! What a container printed, line by line.
//!
//! The engine stores at most 16 KiB per record, so a long line arrives in pieces, each with a time of
//! its own in front; stdout and stderr interleave. Here the pieces become lines again.

use bollard::container::LogOutput;
use bollard::query_parameters::{LogsOptions, LogsOptionsBuilder};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::connection::{Docker, LOOK};
use super::error::DockerError;
use super::types::{ContainerId, LogQuery, OutputLine};

const READ: &str = "read the output of container";
/// A line longer than this is handed out in pieces: nothing a container prints may fill our memory.
const LONGEST: usize = 64 * 1024;
/// The longest time stamp the engine writes.
const STAMP: usize = 36;
/// How the engine marks a frame that holds its own error instead of output (`stdcopy.Systemerr`).
const ENGINE_ERROR: &[u8] = &[3, 0, 0, 0];
const FRAME_HEADER: usize = 8;

impl Docker {
    /// The container's output in the order in which the engine took it, running or not. Ends with the
    /// container when the query follows; the first error is the last item.
    pub fn logs(&self, id: &ContainerId, query: LogQuery) -> impl Stream<Item = Result<OutputLine, DockerError>> + Send + use<> {
        let (docker, id) = (self.clone(), id.clone());
        stream::once(docker.open_logs(id, query)).try_flatten()
    }

    async fn open_logs(
        self,
        id: ContainerId,
        query: LogQuery,
    ) -> Result<impl Stream<Item = Result<OutputLine, DockerError>> + Send, DockerError> {
        let client = self.streaming_client(LOOK).await?;
        let since = query.since;
        let output = client.logs(&id.0, Some(options(&query)));
        let failed = move |error| DockerError::from_client(self.host(), READ, id.short(), LOOK, error);
        Ok(lines(output.map_err(failed)).try_filter(move |line| {
            // The engine's own filter knows whole seconds only.
            let wanted = since.is_none_or(|since| line.at.is_none_or(|at| at >= since));
            std::future::ready(wanted)
        }))
    }
}

fn options(query: &LogQuery) -> LogsOptions {
    let tail = query.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
    let since = query.since.map_or(0, |since| i32::try_from(since.as_second()).unwrap_or(i32::MAX));
    LogsOptionsBuilder::new().follow(query.follow).stdout(true).stderr(true).timestamps(true).since(since).tail(&tail).build()
}

/// Frames to lines; what is left when the output ends is a line too.
fn lines(output: impl Stream<Item = Result<LogOutput, DockerError>> + Send) -> impl Stream<Item = Result<OutputLine, DockerError>> + Send {
    let mut unfinished = Unfinished::default();
    output.map(Some).chain(stream::iter([None])).flat_map(move |frame| {
        let mut found = Vec::new();
        match frame {
            Some(Ok(frame)) => unfinished.add(&frame, &mut found),
            Some(Err(error)) => found.push(Err(error)),
            None => unfinished.finish(&mut found),
        }
        stream::iter(found)
    })
}

type Found = Vec<Result<OutputLine, DockerError>>;

/// The beginnings of lines whose ends have not arrived.
#[derive(Default)]
struct Unfinished {
    stdout: Line,
    stderr: Line,
}

#[derive(Default)]
struct Line {
    at: Option<Timestamp>,
    bytes: Vec<u8>,
}

impl Unfinished {
    fn add(&mut self, frame: &LogOutput, found: &mut Found) {
        let bytes: &[u8] = frame.as_ref();
        if let Some(message) = engine_error(bytes) {
            found.push(Err(DockerError::Api { action: READ, subject: String::new(), status: 500, message }));
            return;
        }
        let stderr = matches!(frame, LogOutput::StdErr { .. });
        let line = if stderr { &mut self.stderr } else { &mut self.stdout };
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            line.add(piece, stderr, found);
        }
    }

    fn finish(&mut self, found: &mut Found) {
        self.stdout.end(false, found);
        self.stderr.end(true, found);
    }
}

impl Line {
    fn add(&mut self, piece: &[u8], stderr: bool, found: &mut Found) {
        let (at, text) = split_stamp(piece);
        if self.bytes.is_empty() {
            self.at = at;
        }
        let complete = text.last() == Some(&b'\n');
        self.bytes.extend_from_slice(text.strip_suffix(b"\n").unwrap_or(text));
        while self.bytes.len() > LONGEST {
            let rest = self.bytes.split_off(whole_characters(&self.bytes));
            let head = std::mem::replace(&mut self.bytes, rest);
            found.push(Ok(OutputLine { at: self.at, stderr, text: text_of(&head) }));
        }
        if complete {
            // A terminal ends its lines with CR LF.
            if self.bytes.last() == Some(&b'\r') {
                self.bytes.pop();
            }
            let line = std::mem::take(self);
            found.push(Ok(OutputLine { at: line.at, stderr, text: text_of(&line.bytes) }));
        }
    }

    fn end(&mut self, stderr: bool, found: &mut Found) {
        if !self.bytes.is_empty() {
            self.add(b"\n", stderr, found);
        }
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Where to cut at [`LONGEST`] without cutting a UTF-8 character in two.
fn whole_characters(bytes: &[u8]) -> usize {
    let is_inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    (LONGEST - 3..=LONGEST).rev().find(|at| !is_inside(*at)).unwrap_or(LONGEST)
}

/// The time in front of every record, and the rest.
fn split_stamp(piece: &[u8]) -> (Option<Timestamp>, &[u8]) {
    let Some(space) = piece.iter().take(STAMP).position(|byte| *byte == b' ') else { return (None, piece) };
    let stamp = std::str::from_utf8(&piece[..space]).ok().and_then(|stamp| stamp.parse().ok());
    match stamp {
        Some(at) => (Some(at), &piece[space + 1..]),
        None => (None, piece),
    }
}

fn engine_error(bytes: &[u8]) -> Option<String> {
    let message = bytes.strip_prefix(ENGINE_ERROR).and_then(|rest| rest.get(FRAME_HEADER - ENGINE_ERROR.len()..))?;
    Some(text_of(message).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stdout(text: &str) -> LogOutput {
        LogOutput::StdOut { message: text.to_owned().into() }
    }

    fn stderr(text: &str) -> LogOutput {
        LogOutput::StdErr { message: text.to_owned().into() }
    }

    /// Lines as `out: text` or `err: text`, without their times.
    async fn read(frames: Vec<LogOutput>) -> Vec<String> {
        let shown = |line: Result<OutputLine, DockerError>| match line {
            Ok(OutputLine { stderr, text, .. }) => format!("{}: {text}", if stderr { "err" } else { "out" }),
            Err(error) => format!("error: {error}"),
        };
        lines(stream::iter(frames.into_iter().map(Ok))).map(shown).collect().await
    }

    #[tokio::test]
    async fn pieces_of_two_streams_become_lines() {
        let frames = vec![
            stdout("2026-11-21T09:00:00.000000001Z a long "),
            stderr("2026-11-21T09:00:00.000000002Z oops\n"),
            stdout("2026-11-21T09:00:00.000000003Z line\n"),
            stdout("2026-11-21T09:00:00.000000004Z \n"),
            stdout("2026-11-21T09:00:00.000000005Z no end"),
        ];
        assert_eq!(read(frames).await, ["err: oops", "out: a long line", "out: ", "out: no end"]);
    }

    #[tokio::test]
    async fn a_line_has_the_time_of_its_first_piece() {
        let frames = vec![stdout("2026-11-21T09:00:00.5Z a"), stdout("2026-11-21T09:00:07Z b\n")];
        let found: Vec<_> = lines(stream::iter(frames.into_iter().map(Ok))).try_collect().await.unwrap();
        assert_eq!(found, [OutputLine { at: Some("2026-11-21T09:00:00.5Z".parse().unwrap()), stderr: false, text: "ab".to_owned() }]);
    }

    #[tokio::test]
    async fn terminals_and_strange_bytes() {
        let console = |bytes: &'static [u8]| LogOutput::Console { message: bytes.into() };
        let frames = vec![
            console(b"2026-11-21T09:00:00Z hello\r\n"),
            console(b"2026-11-21T09:00:00Z bad \xff byte\r\n"),
            console(b"no time\n"),
            console(b"\x03\0\0\0\0\0\0\x2aError grabbing logs: unexpected EOF\n"),
        ];
        assert_eq!(
            read(frames).await,
            [
                "out: hello",
                "out: bad \u{fffd} byte",
                "out: no time",
                "error: cannot read the output of container : Error grabbing logs: unexpected EOF"
            ]
        );
    }

    #[tokio::test]
    async fn a_line_without_end_is_handed_out_in_pieces() {
        let text = "ä".repeat(50_000);
        let mut frames: Vec<LogOutput> = Vec::new();
        // An odd size cuts characters in two, as the engine does.
        for piece in text.as_bytes().chunks(16_383) {
            frames.push(LogOutput::StdOut { message: [b"2026-11-21T09:00:00Z ", piece].concat().into() });
        }
        let found = read(frames).await;
        assert!(found.iter().all(|line| line.len() <= LONGEST + 5), "{:?}", found.iter().map(String::len).collect::<Vec<_>>());
        let whole: String = found.iter().filter_map(|line| line.strip_prefix("out: ")).collect();
        assert_eq!((found.len(), whole == text), (2, true));
    }

    #[test]
    fn the_query_as_the_engine_wants_it() {
        let query = LogQuery { tail: Some(20), since: Some("2026-11-21T09:00:00.9Z".parse().unwrap()), follow: true };
        let wanted = options(&query);
        assert_eq!((wanted.tail.as_str(), wanted.follow, wanted.timestamps), ("20", true, true));
        assert_eq!(i64::from(wanted.since), "2026-11-21T09:00:00Z".parse::<Timestamp>().unwrap().as_second());
        assert_eq!(options(&LogQuery::default()).tail, "all");
    }
}
