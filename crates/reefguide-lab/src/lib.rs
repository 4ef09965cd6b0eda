#![cfg_attr(
    not(test),
    expect(
        dead_code,
        unused_imports,
        reason = "the lab that uses the S3 server is on its way"
    )
)]
//! x
mod s3;
