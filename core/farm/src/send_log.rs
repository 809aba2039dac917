//! The send log: when each picture of some cameras went out, for whoever measures delay behind us.
//! Nothing needs to travel in the stream for it. The lines are in docs/farm.md.

use std::fs::File;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::args::Args;
use crate::playback::WrittenUnit;

pub struct SendLog {
    cameras: Vec<u32>,
    file: File,
}

impl SendLog {
    /// Errors are sentences for the user.
    pub fn open(args: &Args) -> Result<Option<Self>, String> {
        let Some(path) = &args.send_log else {
            return Ok(None);
        };
        let file = File::create(path).map_err(|error| {
            format!("the send log {} cannot be made ({error}).", path.display())
        })?;
        Ok(Some(Self {
            cameras: args.send_log_cameras.clone(),
            file,
        }))
    }

    /// One line for a picture of our cameras: `camera rtp_ts vcl_bytes keyframe sent_unix_us`. At
    /// once: a reader may look at any time, and a camera has 25 a second.
    pub fn note(&mut self, unit: WrittenUnit, at: SystemTime) {
        if !self.cameras.contains(&unit.camera) {
            return;
        }
        let sent_us = at
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_micros();
        let line = format!(
            "{} {} {} {} {sent_us}\n",
            unit.camera,
            unit.rtp_ts,
            unit.vcl_bytes,
            u8::from(unit.keyframe),
        );
        // A full disk shows in the reader's count of unknown pictures; cameras play on.
        let _not_noted = self.file.write_all(line.as_bytes());
    }
}
