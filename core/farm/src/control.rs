//! The line protocol on standard input: one command a line, one answer a line.

use crate::fault::Fault;

/// A line longer than this is no command.
const MAX_LINE_BYTES: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `fault <n>|all <kind>|none`; no camera means all of them.
    Fault {
        camera: Option<u32>,
        fault: Option<Fault>,
    },
    /// `stats`
    Stats,
}

/// Errors are sentences for the one who typed.
pub fn parse(line: &str) -> Result<Command, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["stats"] => Ok(Command::Stats),
        ["fault", camera, kind] => {
            let camera = match *camera {
                "all" => None,
                number => Some(
                    number
                        .parse()
                        .map_err(|_| format!("{number} is no camera number."))?,
                ),
            };
            let fault = match *kind {
                "none" => None,
                kind => Some(Fault::parse(kind).ok_or(format!("there is no fault {kind}."))?),
            };
            Ok(Command::Fault { camera, fault })
        }
        _ => Err("commands are: fault <n>|all <kind>|none; stats.".to_owned()),
    }
}

/// Cuts what was read into lines.
#[derive(Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Take bytes and hand each whole line to `sink`.
    pub fn push(&mut self, bytes: &[u8], mut sink: impl FnMut(&str)) {
        for &byte in bytes {
            if byte == b'\n' {
                let line = String::from_utf8_lossy(&self.partial);
                if !line.trim().is_empty() {
                    sink(line.trim());
                }
                self.partial.clear();
            } else if self.partial.len() < MAX_LINE_BYTES {
                self.partial.push(byte);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        assert_eq!(
            parse("fault 7 silent"),
            Ok(Command::Fault {
                camera: Some(7),
                fault: Some(Fault::Silent)
            })
        );
        assert_eq!(
            parse(" fault  all none "),
            Ok(Command::Fault {
                camera: None,
                fault: None
            })
        );
        for wrong in ["fault", "fault x silent", "fault 1 tired", "help"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lines_survive_being_cut_anywhere() {
        let text = b"fault 1 reset\n\nstats\n";
        for cut in 0..text.len() {
            let mut lines = Lines::default();
            let mut seen = Vec::new();
            for part in [&text[..cut], &text[cut..]] {
                lines.push(part, |line| seen.push(line.to_owned()));
            }
            assert_eq!(seen, ["fault 1 reset", "stats"]);
        }
    }
}
