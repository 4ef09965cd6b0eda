//! The guards, and the violations without them.

/// A guard of the library: a piece of its source text that keeps a promise.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) name: &'static str,
    /// The file, from the root of the workspace.
    pub(super) file: &'static str,
    /// The guard's text, which the file has exactly once.
    pub(super) text: &'static str,
    /// The text that replaces it to remove the guard.
    pub(super) without: &'static str,
    /// The cases of the fault matrix that must notice: parts of their names, separated by commas.
    pub(super) cases: &'static str,
    /// The invariants, one of which must be violated then.
    pub(super) caught_by: &'static [&'static str],
}

pub(super) const GUARDS: &[Guard] = &[
    Guard {
        name: "fence",
        file: "crates/reefguide-jobs/src/source/reefguide/source.rs",
        text: "        !self.fenced || may_go_on(details, ours)\n",
        without: "        let _ = may_go_on(details, ours);\n        true\n",
        cases: "calm",
        caught_by: &["one-worker", "one-result"],
    },
    Guard {
        name: "record before claim",
        file: "crates/reefguide-worker/src/runtime/claiming.rs",
        text: "        let Some(record) = self.record(job).await? else {\n",
        without: "        let Some(record) = Some(ClaimGuard::none()) else {\n",
        cases: "read-back/401",
        caught_by: &["recorded", "ended"],
    },
    Guard {
        name: "deadline margin",
        file: "crates/reefguide-worker/src/runtime/attempt.rs",
        text: "    let margin = shared.options.deadline_margin;\n",
        without: "    let margin = Duration::ZERO;\n",
        cases: "lease",
        caught_by: &["lease"],
    },
    Guard {
        name: "publish before deliver",
        file: "crates/reefguide-worker/src/runtime/attempt.rs",
        text: "            return Err(AttemptError::new(Cause::Storage, reason));\n",
        without: "            let _ = reason;\n            Default::default()\n",
        cases: "upload/400,upload-part/400",
        caught_by: &["outputs"],
    },
    Guard {
        name: "roll back what was stored",
        file: "crates/reefguide-storage/src/publish.rs",
        text: "            let (removed, left) = guard.rollback().await;\n",
        without: "            guard.keep();\n            let (removed, left) = (0, 0);\n",
        cases: "upload/400,upload-part/400",
        caught_by: &["leftovers"],
    },
    Guard {
        name: "abort an upload that failed",
        file: "crates/reefguide-storage/src/s3/upload.rs",
        text: "        Err(_) => upload.abort().await,\n",
        without: "        Err(_) => upload.open = false,\n",
        cases: "upload/400,upload-part/400",
        caught_by: &["leftovers"],
    },
    Guard {
        name: "already completed is recorded",
        file: "crates/reefguide-jobs/src/source/reefguide/source.rs",
        text: "                if message == \"Assignment already completed!\" =>\n",
        without: "                if message.is_empty() =>\n",
        cases: "result/lost-answer",
        caught_by: &["counts"],
    },
    Guard {
        name: "a result is taken when the API says so",
        file: "crates/reefguide-client/src/answer/mod.rs",
        text: "        if self.body.is_empty() && !self.is(\"text/html\") {\n",
        without: "        if !self.body.is_empty() || !self.is(\"text/html\") {\n",
        cases: "result/foreign-200-page",
        caught_by: &["ended"],
    },
    Guard {
        name: "gone is the API's own word",
        file: "crates/reefguide-client/src/error.rs",
        text: "        matches!(self, Self::NotFound { message, .. } if gone.contains(&message.as_str()))\n",
        without: "        let _ = gone;\n        matches!(self, Self::NotFound { .. } | Self::Foreign { status: 404, .. })\n",
        cases: "read-back/foreign-404-page",
        caught_by: &["ended"],
    },
    Guard {
        name: "single refresh",
        file: "crates/reefguide-client/src/session.rs",
        text: "        if let Some(token) = self.current()\n",
        without: "        if let Some(token) = self.current().filter(|_| false)\n",
        cases: "refresh/",
        caught_by: &["refresh"],
    },
];
