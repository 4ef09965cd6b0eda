//! The Rust of the README and of the book, compiled and run as doctests.

macro_rules! pages {
    ($($name:ident $page:literal)+) => {
        $(
            #[doc = include_str!(concat!("../../../", $page))]
            pub struct $name;
        )+
    };
}

pages! {
    Readme "README.md"
    FirstWorker "docs/src/tutorial/first-worker.md"
    CpuBound "docs/src/how-to/cpu-bound.md"
    ErrorsAndRetries "docs/src/how-to/errors-and-retries.md"
    Handlers "docs/src/how-to/handlers.md"
    InputsAndOutputs "docs/src/how-to/inputs-and-outputs.md"
    Isolation "docs/src/how-to/isolation.md"
    Lab "docs/src/how-to/lab.md"
    Migrating "docs/src/how-to/migrating.md"
    Programs "docs/src/how-to/programs.md"
    Testing "docs/src/how-to/testing.md"
}
