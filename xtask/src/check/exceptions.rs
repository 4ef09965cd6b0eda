//! Exceptions from the checks. Both lists can only shrink: an entry that is not needed fails the check, too.

/// Circles of files that are known, by their files.
pub(crate) const KNOWN_CIRCLES: &[&[&str]] = &[
    &[
        "crates/reefguide-worker/src/handler/program/lookup.rs",
        "crates/reefguide-worker/src/handler/program/obstacle.rs",
    ],
    &[
        "crates/reefguide-worker/src/runtime/attempt.rs",
        "crates/reefguide-worker/src/runtime/claiming.rs",
        "crates/reefguide-worker/src/runtime/job_logs.rs",
        "crates/reefguide-worker/src/runtime/recovery.rs",
        "crates/reefguide-worker/src/runtime/scratch.rs",
        "crates/reefguide-worker/src/runtime/stopped.rs",
        "crates/reefguide-worker/src/runtime/worker.rs",
    ],
    &[
        "crates/reefguide-worker/src/source/reefguide/raw.rs",
        "crates/reefguide-worker/src/source/reefguide/wire.rs",
    ],
    &[
        "crates/reefguide-worker/src/storage/backend.rs",
        "crates/reefguide-worker/src/storage/content.rs",
        "crates/reefguide-worker/src/storage/open_files.rs",
        "crates/reefguide-worker/src/storage/s3/body.rs",
        "crates/reefguide-worker/src/storage/s3/buffers.rs",
        "crates/reefguide-worker/src/storage/s3/limits.rs",
        "crates/reefguide-worker/src/storage/s3/mod.rs",
        "crates/reefguide-worker/src/storage/transfer.rs",
    ],
    &[
        "crates/reefguide-worker/src/storage/cache/entries.rs",
        "crates/reefguide-worker/src/storage/cache/input.rs",
    ],
    &[
        "crates/reefguide-worker/src/storage/error.rs",
        "crates/reefguide-worker/src/storage/object_path.rs",
        "crates/reefguide-worker/src/storage/uri.rs",
    ],
    &[
        "crates/reefguide-lab/src/api/mod.rs",
        "crates/reefguide-lab/src/builder.rs",
        "crates/reefguide-lab/src/data.rs",
        "crates/reefguide-lab/src/job_type.rs",
        "crates/reefguide-lab/src/lab.rs",
    ],
    &[
        "crates/reefguide-lab/src/body.rs",
        "crates/reefguide-lab/src/gate.rs",
        "crates/reefguide-lab/src/refusal.rs",
        "crates/reefguide-lab/src/server.rs",
    ],
    &[
        "crates/reefguide-lab/src/s3/backend.rs",
        "crates/reefguide-lab/src/s3/object.rs",
    ],
    &[
        "crates/reefguide-cli/src/command/batch.rs",
        "crates/reefguide-cli/src/command/download.rs",
        "crates/reefguide-cli/src/command/schema/mod.rs",
        "crates/reefguide-cli/src/error.rs",
    ],
];

/// Files of more than 500 lines, and why.
pub(crate) const LONG_FILES: &[(&str, &str)] = &[
    (
        "crates/reefguide-worker/src/health/mod.rs",
        "a third of it is its tests",
    ),
    (
        "crates/reefguide-worker/src/source/reefguide/answer.rs",
        "half of it is its tests",
    ),
    (
        "crates/reefguide-worker/src/source/reefguide/client.rs",
        "one method for each call of the API, with its documentation",
    ),
    (
        "crates/reefguide-worker/src/storage/s3/links.rs",
        "a presigned link and how it is read, resumed and checked",
    ),
];
