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
    FirstWorker "docs/src/first-worker.md"
    Handlers "docs/src/handlers.md"
    Lab "docs/src/lab.md"
}
