//! The command line.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::relay::{Impairment, TcpWay};

pub const USAGE: &str = "\
usage: loadgen watch --url URL [--url URL ...] | --urls FILE  [--viewers 1] [--rate 0] [--steady 0]
               [--settle-ms 3000] [--measure-ms 10000] [--kernel-times] [--send-log FILE]
               [--pid PID] [--patience-ms 30000] [--token-file FILE] [--abandon] [--rows]
       loadgen limit [--viewers 200] [--packets 17] [--seconds 5] [--payload-bytes 1160] [--rate 0]
               [--cipher AEAD_AES_256_GCM] [--sender-core 0] [--receiver-core 1]
       loadgen limit-ingest --farm HOST:PORT [--cameras 500] [--profile sub] [--seconds 5] [--core 0]
       loadgen relay --to HOST:PORT [--listen 127.0.0.1:0] [--loss 0.05] [--delay-ms 0]
               [--jitter-ms 0] [--seed 1] [--seconds 60]
       loadgen relay --tcp --to HOST:PORT [--bytes-per-s 0] [--stall-ms 0 --stall-every-ms 0]
               [--cut-after-ms 0] and, but for --loss, as above
A line of --urls is URL, or URL and the farm's camera number behind it, for a log of several cameras.
The Bearer token comes from STREAMHUB_LOAD_TOKEN or --token-file. Prints one JSON object.";

/// Read from the environment so that it shows in no process list.
const TOKEN_VARIABLE: &str = "STREAMHUB_LOAD_TOKEN";

pub enum Command {
    Help,
    Watch(WatchArgs),
    Limit(LimitArgs),
    LimitIngest(LimitIngestArgs),
    Relay(RelayArgs),
}

/// Where viewers go, and which camera of the farm it shows where the send log has several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    pub url: String,
    pub camera: Option<u32>,
}

/// What `watch` was asked for. Has no `Debug`, since it holds the token.
pub struct WatchArgs {
    /// Viewer i watches url i modulo their number.
    pub urls: Vec<Watched>,
    pub token: Option<String>,
    /// Viewers who join before the others and are no part of the join figures.
    pub steady: usize,
    pub viewers: usize,
    /// Joins a second; 0 is all at once.
    pub rate: f64,
    pub settle: Duration,
    pub measure: Duration,
    pub patience: Duration,
    pub kernel_times: bool,
    /// The farm's log of what it sent when (docs/farm.md).
    pub send_log: Option<PathBuf>,
    /// Whose CPU time is read.
    pub pid: Option<u32>,
    /// Leave without saying so: the server is about to be stopped.
    pub abandon: bool,
    /// Also tell each viewer's course.
    pub rows: bool,
}

pub struct LimitArgs {
    pub viewers: usize,
    pub packets: usize,
    pub payload_bytes: usize,
    pub seconds: Duration,
    pub cipher: String,
    /// Access units a second to each viewer; 0 is as fast as they are taken.
    pub rate: f64,
    pub sender_core: Option<usize>,
    pub receiver_core: Option<usize>,
}

pub struct RelayArgs {
    pub listen: SocketAddr,
    pub to: SocketAddr,
    pub impairment: Impairment,
    /// For connections instead of datagrams; delay and jitter are the impairment's.
    pub tcp: Option<TcpWay>,
    pub seed: u64,
    /// At most; the end of the input ends it earlier.
    pub seconds: Duration,
}

impl RelayArgs {
    /// All that a connection's bytes meet.
    pub fn tcp_way(&self) -> TcpWay {
        TcpWay {
            delay: self.impairment.delay,
            jitter: self.impairment.jitter,
            ..self.tcp.unwrap_or_default()
        }
    }
}

pub struct LimitIngestArgs {
    pub farm: String,
    pub cameras: u32,
    pub profile: String,
    pub seconds: Duration,
    pub core: Option<usize>,
}

/// # Errors
/// Sentences for the user.
pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Command, String> {
    let name = words.next().unwrap_or_default();
    match name.as_str() {
        "-h" | "--help" | "help" => Ok(Command::Help),
        "watch" => watch(words).map(Command::Watch),
        "limit" => limit(words).map(Command::Limit),
        "limit-ingest" => limit_ingest(words).map(Command::LimitIngest),
        "relay" => relay(words).map(Command::Relay),
        "" => Err("a command is missing.".to_owned()),
        _ => Err(format!("there is no command {name}.")),
    }
}

fn watch(mut words: impl Iterator<Item = String>) -> Result<WatchArgs, String> {
    let mut args = WatchArgs {
        urls: Vec::new(),
        token: std::env::var(TOKEN_VARIABLE).ok().filter(|t| !t.is_empty()),
        steady: 0,
        viewers: 1,
        rate: 0.0,
        settle: Duration::from_secs(3),
        measure: Duration::from_secs(10),
        patience: Duration::from_secs(30),
        kernel_times: false,
        send_log: None,
        pid: None,
        abandon: false,
        rows: false,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value."));
        match word.as_str() {
            "--url" => args.urls.extend(watched(&value()?)?),
            "--urls" => {
                for line in read_file(&value()?)?.lines() {
                    args.urls.extend(watched(line)?);
                }
            }
            "--token-file" => args.token = Some(read_file(&value()?)?.trim().to_owned()),
            "--steady" => args.steady = number(&word, &value()?)?,
            "--viewers" => args.viewers = number(&word, &value()?)?,
            "--rate" => args.rate = number(&word, &value()?)?,
            "--settle-ms" => args.settle = milliseconds(&word, &value()?)?,
            "--measure-ms" => args.measure = milliseconds(&word, &value()?)?,
            "--patience-ms" => args.patience = milliseconds(&word, &value()?)?,
            "--kernel-times" => args.kernel_times = true,
            "--send-log" => args.send_log = Some(PathBuf::from(value()?)),
            "--pid" => args.pid = Some(number(&word, &value()?)?),
            "--abandon" => args.abandon = true,
            "--rows" => args.rows = true,
            _ => return Err(format!("unknown option {word}.")),
        }
    }
    if args.urls.is_empty() {
        return Err("--url is missing.".to_owned());
    }
    // A delay is told from kernel times.
    args.kernel_times |= args.send_log.is_some();
    Ok(args)
}

/// None for an empty line.
fn watched(line: &str) -> Result<Option<Watched>, String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let (url, camera) = match words[..] {
        [] => return Ok(None),
        [url] => (url, None),
        [url, camera] => (url, Some(number("a line of URLs", camera)?)),
        _ => return Err("a line of URLs has more than a URL and a camera number.".to_owned()),
    };
    let url = url.to_owned();
    Ok(Some(Watched { url, camera }))
}

fn limit(mut words: impl Iterator<Item = String>) -> Result<LimitArgs, String> {
    let mut args = LimitArgs {
        viewers: 200,
        packets: 17,
        payload_bytes: 1_160,
        seconds: Duration::from_secs(5),
        cipher: "AEAD_AES_256_GCM".to_owned(),
        rate: 0.0,
        sender_core: None,
        receiver_core: None,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value."));
        match word.as_str() {
            "--viewers" => args.viewers = number(&word, &value()?)?,
            "--packets" => args.packets = number(&word, &value()?)?,
            "--payload-bytes" => args.payload_bytes = number(&word, &value()?)?,
            "--seconds" => args.seconds = Duration::from_secs(number(&word, &value()?)?),
            "--cipher" => args.cipher = value()?,
            "--rate" => args.rate = number(&word, &value()?)?,
            "--sender-core" => args.sender_core = Some(number(&word, &value()?)?),
            "--receiver-core" => args.receiver_core = Some(number(&word, &value()?)?),
            _ => return Err(format!("unknown option {word}.")),
        }
    }
    if args.viewers == 0 || args.packets == 0 || args.packets > 54 || args.payload_bytes > 1_160 {
        return Err("limit takes 1 to 54 packets of at most 1,160 bytes.".to_owned());
    }
    Ok(args)
}

fn limit_ingest(mut words: impl Iterator<Item = String>) -> Result<LimitIngestArgs, String> {
    let mut args = LimitIngestArgs {
        farm: String::new(),
        cameras: 500,
        profile: "sub".to_owned(),
        seconds: Duration::from_secs(5),
        core: None,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value."));
        match word.as_str() {
            "--farm" => args.farm = value()?,
            "--cameras" => args.cameras = number(&word, &value()?)?,
            "--profile" => args.profile = value()?,
            "--seconds" => args.seconds = Duration::from_secs(number(&word, &value()?)?),
            "--core" => args.core = Some(number(&word, &value()?)?),
            _ => return Err(format!("unknown option {word}.")),
        }
    }
    if args.farm.is_empty() {
        return Err("--farm is missing.".to_owned());
    }
    Ok(args)
}

fn relay(mut words: impl Iterator<Item = String>) -> Result<RelayArgs, String> {
    let (mut to, mut by_tcp, mut way) = (None, false, TcpWay::default());
    let mut args = RelayArgs {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        to: (Ipv4Addr::LOCALHOST, 0).into(),
        impairment: Impairment::default(),
        tcp: None,
        seed: 1,
        seconds: Duration::from_secs(60),
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value."));
        match word.as_str() {
            "--listen" => args.listen = number(&word, &value()?)?,
            "--to" => to = Some(number(&word, &value()?)?),
            "--loss" => args.impairment.loss = number(&word, &value()?)?,
            "--delay-ms" => args.impairment.delay = milliseconds(&word, &value()?)?,
            "--jitter-ms" => args.impairment.jitter = milliseconds(&word, &value()?)?,
            "--tcp" => by_tcp = true,
            "--bytes-per-s" => way.bytes_per_s = number(&word, &value()?)?,
            "--stall-ms" => way.stall = milliseconds(&word, &value()?)?,
            "--stall-every-ms" => way.stall_every = milliseconds(&word, &value()?)?,
            "--cut-after-ms" => way.cut_after = milliseconds(&word, &value()?)?,
            "--seed" => args.seed = number(&word, &value()?)?,
            "--seconds" => args.seconds = Duration::from_secs(number(&word, &value()?)?),
            _ => return Err(format!("unknown option {word}.")),
        }
    }
    args.to = to.ok_or("--to is missing.")?;
    if !(0.0..=1.0).contains(&args.impairment.loss) {
        return Err("--loss is a share, 0 to 1.".to_owned());
    }
    if by_tcp && args.impairment.loss > 0.0 {
        return Err("TCP shows no loss: with --tcp take --delay-ms or --stall-ms.".to_owned());
    }
    if !by_tcp && way != TcpWay::default() {
        return Err("caps, stalls and cuts are of connections: add --tcp.".to_owned());
    }
    if way.stall.is_zero() != way.stall_every.is_zero() {
        return Err("--stall-ms and --stall-every-ms go together.".to_owned());
    }
    args.tcp = by_tcp.then_some(way);
    Ok(args)
}

fn milliseconds(option: &str, value: &str) -> Result<Duration, String> {
    number(option, value).map(Duration::from_millis)
}

fn number<T: FromStr>(option: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("{option} does not take {value}."))
}

fn read_file(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{path} can't be read ({error})."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(line: &str) -> String {
        parse(line.split_whitespace().map(str::to_owned))
            .err()
            .unwrap_or_default()
    }

    #[test]
    fn a_line_of_urls_may_name_the_camera() {
        let of = |line| watched(line).unwrap().map(|w| (w.url, w.camera));
        assert_eq!(of(""), None);
        assert_eq!(of("http://h/a"), Some(("http://h/a".to_owned(), None)));
        assert_eq!(of("http://h/a 7"), Some(("http://h/a".to_owned(), Some(7))));
        assert!(watched("http://h/a b").is_err() && watched("u 1 2").is_err());
    }

    #[test]
    fn mistakes_are_named() {
        assert!(sentence("").contains("missing"));
        assert!(sentence("stare").contains("stare"));
        assert!(sentence("watch").contains("--url"));
        assert!(sentence("watch --url").contains("needs a value"));
        assert!(sentence("watch --viewers many").contains("many"));
        assert!(sentence("limit --packets 60").contains("54"));
        assert!(sentence("relay --loss 0.1").contains("--to"));
        assert!(sentence("relay --to 127.0.0.1:9 --loss 5").contains("0 to 1"));
        assert!(sentence("relay --to 127.0.0.1:9 --tcp --loss 0.1").contains("no loss"));
        assert!(sentence("relay --to 127.0.0.1:9 --cut-after-ms 9").contains("--tcp"));
        assert!(sentence("relay --to 127.0.0.1:9 --tcp --stall-ms 9").contains("together"));
        assert_eq!(sentence("watch --url http://h/whep/a --rate 2.5"), "");
    }
}
