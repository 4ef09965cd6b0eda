//! The values that labels may have: a bounded number, all of them known from the start.

/// An enum whose variants are the values of a label.
macro_rules! label {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant,)+];

            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $value,)+
                }
            }
        }
    };
}

label! {
    /// How a job ended for this worker.
    JobEnd {
        Succeeded = "succeeded",
        Failed = "failed",
        GivenUp = "given_up",
        Undelivered = "undelivered",
    }
}

label! {
    /// What came of asking for jobs of one type.
    PollEnd {
        Offered = "offered",
        Empty = "empty",
        Failed = "failed",
    }
}

label! {
    /// What came of claiming a job.
    ClaimEnd {
        Won = "won",
        /// Another worker was faster.
        Lost = "lost",
        /// Assigned to this worker and to one that goes first.
        Fenced = "fenced",
        Unknown = "unknown",
        Failed = "failed",
    }
}

label! {
    /// What is tried again.
    Operation {
        /// Reaching the API and the bucket before the first poll.
        Start = "start",
        /// A round of polls and claims.
        Poll = "poll",
        /// Reading a claimed job back.
        ReadBack = "read_back",
        /// A handler.
        Handler = "handler",
        /// A request to the storage.
        Storage = "storage",
        /// Storing the outputs of a job.
        Publish = "publish",
        /// Reporting an outcome.
        Deliver = "deliver",
    }
}

label! {
    /// Which way files go.
    Direction {
        Upload = "upload",
        Download = "download",
    }
}
