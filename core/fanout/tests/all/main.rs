mod camera;
mod depacketize;
mod intake_loss;
mod intake_parameter_sets;
mod intake_units;
