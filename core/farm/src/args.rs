//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Read from the environment so that it shows in no process list.
pub const PASSWORD_VARIABLE: &str = "STREAMHUB_FARM_PASSWORD";

const USERNAME_VARIABLE: &str = "STREAMHUB_FARM_USERNAME";

pub const USAGE: &str = "\
usage: farm --clips DIR [--listen 127.0.0.1:8554] [--cameras 3000] [--username admin]
            [--rtsp-session-timeout-s 60] [--send-log FILE [--send-log-camera 1 ...]]
The password comes from STREAMHUB_FARM_PASSWORD; without it nobody is asked for one.
URLs: /cam/<n>/main|sub, /hazard/<name>, /fault/<kind>/...; control lines on stdin (docs/farm.md).";

/// What the farm was asked to do. Has no `Debug`, since it holds the password.
pub struct Args {
    pub listen: SocketAddr,
    pub clips: PathBuf,
    pub cameras: u32,
    pub username: String,
    pub password: Option<String>,
    pub rtsp_session_timeout: Duration,
    /// Where to note when each picture of `send_log_cameras` was sent.
    pub send_log: Option<PathBuf>,
    pub send_log_cameras: Vec<u32>,
}

pub enum Parsed {
    Run(Args),
    Help,
}

impl Args {
    /// Errors are sentences for the user.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Parsed, String> {
        let mut args = Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8554)),
            clips: PathBuf::new(),
            cameras: 3000,
            username: std::env::var(USERNAME_VARIABLE).unwrap_or_else(|_| "admin".to_owned()),
            password: std::env::var(PASSWORD_VARIABLE)
                .ok()
                .filter(|password| !password.is_empty()),
            rtsp_session_timeout: Duration::from_secs(60),
            send_log: None,
            send_log_cameras: Vec::new(),
        };
        while let Some(word) = words.next() {
            if matches!(word.as_str(), "-h" | "--help") {
                return Ok(Parsed::Help);
            }
            let mut value = || words.next().ok_or(format!("{word} needs a value."));
            match word.as_str() {
                "--listen" => args.listen = number(&word, &value()?)?,
                "--clips" => args.clips = PathBuf::from(value()?),
                "--cameras" => args.cameras = number(&word, &value()?)?,
                "--username" => args.username = value()?,
                "--rtsp-session-timeout-s" => {
                    let seconds: u32 = number(&word, &value()?)?;
                    args.rtsp_session_timeout = Duration::from_secs(seconds.max(1).into());
                }
                "--send-log" => args.send_log = Some(PathBuf::from(value()?)),
                "--send-log-camera" => args.send_log_cameras.push(number(&word, &value()?)?),
                _ => return Err(format!("unknown option {word}.")),
            }
        }
        if args.send_log_cameras.is_empty() {
            args.send_log_cameras.push(1);
        }
        if args.clips.as_os_str().is_empty() {
            return Err("--clips is missing; `streamhub farm` makes the clips.".to_owned());
        }
        Ok(Parsed::Run(args))
    }
}

fn number<T: std::str::FromStr>(option: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("{option} does not take {value}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Parsed, String> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_full_line_is_taken() {
        let Ok(Parsed::Run(args)) = parse("--clips d --listen 127.0.0.1:0 --cameras 7") else {
            panic!("refused");
        };
        assert_eq!((args.listen.port(), args.cameras), (0, 7));
        assert_eq!(args.send_log_cameras, [1]);
        let more = "--clips d --send-log l --send-log-camera 4 --send-log-camera 9";
        let Ok(Parsed::Run(args)) = parse(more) else {
            panic!("refused");
        };
        assert_eq!(args.send_log_cameras, [4, 9]);
    }

    #[test]
    fn mistakes_are_named() {
        for (line, part) in [
            ("", "--clips"),
            ("--clips", "needs a value"),
            ("--clips d --cameras many", "does not take many"),
            ("--clips d --loud", "unknown option --loud"),
        ] {
            let error = parse(line).err().unwrap_or_default();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
