//! Which camera, clip and fault a path names. The grammar is in docs/farm.md.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use peer::rtsp_server::{Mount, Mounts};

use crate::clip::{Clip, jpeg_sdp};
use crate::fault::{Fault, Later};
use crate::sound::{Law, sdp_with};

const SCENES: usize = 4;

/// What a path stands for.
#[derive(Debug, Clone)]
pub struct Target {
    /// From 1; 0 is said of the hazard streams, which belong to no camera.
    pub camera: u32,
    pub clip: Arc<Clip>,
    pub fault: Option<Fault>,
    pub later: Option<Later>,
    /// Sends a tone beside the picture.
    pub sound: Option<Law>,
    /// Start in the middle of a group of pictures instead of with a keyframe.
    pub joins_mid_gop: bool,
}

/// Every clip, and the faults that control lines set.
pub struct Catalog {
    cameras: u32,
    main: Vec<Arc<Clip>>,
    sub: Vec<Arc<Clip>>,
    /// Main stream of a camera that is set to H.265, whichever.
    main_h265: Arc<Clip>,
    hazards: HashMap<&'static str, Arc<Clip>>,
    faults: HashMap<u32, Fault>,
}

impl Catalog {
    /// Errors are sentences for the user.
    pub fn load(directory: &Path, cameras: u32) -> Result<Self, String> {
        let clip = |name: &str| Clip::load(directory, name).map(Arc::new);
        let scenes = |profile: &str| {
            (0..SCENES)
                .map(|scene| clip(&format!("{profile}{scene}")))
                .collect::<Result<Vec<_>, _>>()
        };
        let (main, sub) = (scenes("main")?, scenes("sub")?);
        let mut hazards = HashMap::from([("midgop", sub[1].clone())]);
        for name in ["slices4", "gop10", "bframes"] {
            hazards.insert(name, clip(name)?);
        }
        Ok(Self {
            cameras,
            main,
            sub,
            main_h265: clip("main_h265")?,
            hazards,
            faults: HashMap::new(),
        })
    }

    pub fn set_fault(&mut self, camera: u32, fault: Option<Fault>) {
        match fault {
            Some(fault) => self.faults.insert(camera, fault),
            None => self.faults.remove(&camera),
        };
    }

    /// What is wrong now with what a path names.
    pub fn fault(&self, target: &Target) -> Option<Fault> {
        target
            .fault
            .or_else(|| self.faults.get(&target.camera).copied())
    }

    pub fn cameras(&self) -> u32 {
        self.cameras
    }

    pub fn resolve(&self, path: &str) -> Option<Target> {
        let path = path.split('?').next()?;
        let words: Vec<&str> = path.trim_matches('/').split('/').collect();
        self.resolve_words(&words)
    }

    fn resolve_words(&self, words: &[&str]) -> Option<Target> {
        match words {
            ["cam", number, profile] => {
                let camera: u32 = number.parse().ok()?;
                if camera == 0 || camera > self.cameras {
                    return None;
                }
                let scene = camera as usize % SCENES;
                let clip = match *profile {
                    "main" => &self.main[scene],
                    "sub" => &self.sub[scene],
                    "main_h265" => &self.main_h265,
                    _ => return None,
                };
                Some(plain(camera, clip.clone()))
            }
            ["hazard", name] => Some(Target {
                joins_mid_gop: *name == "midgop",
                ..plain(0, self.hazards.get(name)?.clone())
            }),
            ["fault", name, after_ms, rest @ ..] if Later::parse(name, after_ms).is_some() => {
                Some(Target {
                    later: Later::parse(name, after_ms),
                    ..self.resolve_words(rest)?
                })
            }
            ["sound", law, rest @ ..] => Some(Target {
                sound: Some(Law::parse(law)?),
                ..self.resolve_words(rest)?
            }),
            ["fault", name, rest @ ..] => Some(Target {
                fault: Some(Fault::parse(name)?),
                ..self.resolve_words(rest)?
            }),
            _ => None,
        }
    }
}

fn plain(camera: u32, clip: Arc<Clip>) -> Target {
    Target {
        camera,
        clip,
        fault: None,
        later: None,
        sound: None,
        joins_mid_gop: false,
    }
}

/// The catalog as one connection sees it; remembers the camera it asked for.
pub struct Desk<'a> {
    pub catalog: &'a Catalog,
    pub asked: Option<u32>,
}

impl Mounts for Desk<'_> {
    fn look_up(&mut self, path: &str, _: &wire::rtsp::Request) -> Mount {
        let Some(target) = self.catalog.resolve(path) else {
            return Mount::Refused { status: 404 };
        };
        self.asked = Some(target.camera);
        match self.catalog.fault(&target) {
            Some(Fault::Reset) => Mount::Reset,
            Some(Fault::Unauthorized) => Mount::Unauthorized,
            Some(Fault::MuteAccept) => Mount::Mute,
            Some(Fault::NotFound) => Mount::Refused { status: 404 },
            Some(Fault::Mjpeg) => Mount::Stream {
                sdp: jpeg_sdp(target.clip.fps),
            },
            Some(Fault::UdpOnly) => Mount::UdpStream {
                sdp: target.clip.sdp.clone(),
            },
            Some(Fault::Silent) | None => Mount::Stream {
                sdp: sdp_with(&target.clip.sdp, target.sound),
            },
        }
    }
}
