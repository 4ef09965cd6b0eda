//! Moves a file or a folder to S3 or back, with the defaults of `Storage`.
//!
//! ```text
//! cargo run --release -p reefguide-storage --example transfer -- upload FILE-OR-FOLDER s3://bucket/key
//! cargo run --release -p reefguide-storage --example transfer -- download s3://bucket/key FILE-OR-FOLDER
//! ```
//!
//! Keys and region come from where the AWS tools look for them: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
//! `AWS_REGION`, a profile or a role. `AWS_ENDPOINT_URL` names a server other than Amazon's. A URI that ends in `/`
//! is downloaded as a folder.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use reefguide_storage::{S3Options, Storage, StorageUri};
use reefguide_transport::Chain;

#[tokio::main]
async fn main() -> ExitCode {
    match transfer().await {
        Ok(moved) => {
            println!("{moved}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}", Chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn transfer() -> Result<String, Box<dyn Error>> {
    let mut options = S3Options::default();
    options.endpoint = std::env::var("AWS_ENDPOINT_URL").ok();
    let storage = Storage::s3(options);

    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["upload", from, to] => upload(&storage, Path::new(from), &to.parse()?).await,
        ["download", from, to] => download(&storage, &from.parse()?, Path::new(to)).await,
        _ => Err(
            "usage: transfer upload FILE-OR-FOLDER URI | transfer download URI FILE-OR-FOLDER"
                .into(),
        ),
    }
}

async fn upload(storage: &Storage, from: &Path, to: &StorageUri) -> Result<String, Box<dyn Error>> {
    if from.is_dir() {
        let moved = storage.upload_folder(from, to).await?;
        return Ok(format!("{} files, {} bytes", moved.files, moved.bytes));
    }
    let stored = storage.upload_file(from, to).await?;
    Ok(format!("1 file, {} bytes", stored.size))
}

async fn download(
    storage: &Storage,
    from: &StorageUri,
    to: &Path,
) -> Result<String, Box<dyn Error>> {
    if from.key().is_empty() || from.key().ends_with('/') {
        let moved = storage.download_folder(from, to).await?;
        return Ok(format!("{} files, {} bytes", moved.files, moved.bytes));
    }
    let size = storage.download_file(from, to).await?.size;
    Ok(format!("1 file, {size} bytes"))
}
