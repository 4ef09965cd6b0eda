//! The values of labels: a fixed set, all known from the start.

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
    /// The result of a poll for jobs of one type.
    PollEnd {
        Offered = "offered",
        Empty = "empty",
        Failed = "failed",
    }
}

label! {
    /// The result of a claim.
    ClaimEnd {
        Won = "won",
        /// Another worker was faster.
        Lost = "lost",
        /// Assigned to this worker, and to another one with a lower assignment.
        Fenced = "fenced",
        Unknown = "unknown",
        Failed = "failed",
    }
}

label! {
    /// An operation that is tried again.
    Operation {
        /// Reaching the API and the bucket before the first poll.
        Start = "start",
        /// A round of polls and claims.
        Poll = "poll",
        /// Reading a claimed job back.
        ReadBack = "read_back",
        /// A call of a handler.
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
    /// The direction of a transfer.
    Direction {
        Upload = "upload",
        Download = "download",
    }
}
