//! The hazards of one stream, each a test named as the sentence that it proves.

mod audio;
mod camera;
mod depacketize;
mod h265_camera;
mod h265_intake;
mod h265_payloads;
mod h265_viewers;
mod hostile_bytes;
mod intake_loss;
mod intake_parameter_sets;
mod intake_units;
mod payloads;
mod reorder;
mod repair;
mod ring;
mod stream;
mod subscriber;
mod subscriber_lag;
mod switch;
mod timeline;
