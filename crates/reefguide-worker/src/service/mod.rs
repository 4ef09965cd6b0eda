//! What surrounds a run: configuration, telemetry, ECS, signals, health, the command line.
