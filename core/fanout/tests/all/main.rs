//! The hazards of one stream, each a test named as the sentence that it proves.

mod camera;
mod depacketize;
mod hostile_bytes;
mod intake_loss;
mod intake_parameter_sets;
mod intake_units;
mod payloads;
mod repair;
mod ring;
mod stream;
mod subscriber;
mod subscriber_lag;
mod timeline;
