//! The servers that `cargo xtask bench` measures against, as a separate process.
//!
//! It prints the environment a client needs, one `NAME=value` a line, then an empty line, and serves until its
//! stdin ends.

mod accept;
mod answer;
mod listing;
mod sink;
mod tls;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use reefguide_lab::Lab;
use tokio::net::TcpListener;

use self::sink::Sink;

/// The kind of server.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum Server {
    /// Discard uploads but for names and sizes, and generate downloads
    Sink {
        /// Serve HTTPS, and write the certificate to this file
        #[arg(long, value_name = "FILE")]
        tls: Option<PathBuf>,
        /// Wait this many milliseconds before each answer
        #[arg(long, default_value_t = 0, value_name = "MS")]
        delay: u64,
    },
    /// The lab's S3
    Lab {
        /// The folder for its objects
        #[arg(long, value_name = "FOLDER")]
        data: PathBuf,
    },
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    match Cli::parse().server {
        Server::Sink { tls, delay } => {
            let sink = Sink::new(Duration::from_millis(delay));
            let plain = TcpListener::bind("127.0.0.1:0").await?;
            println!("AWS_ACCESS_KEY_ID=bench\nAWS_SECRET_ACCESS_KEY=bench\nAWS_REGION=us-east-1");
            let plain_url = format!("http://{}", plain.local_addr()?);
            let encrypted = match &tls {
                None => {
                    println!("AWS_ENDPOINT_URL={plain_url}");
                    None
                }
                Some(certificate) => {
                    let acceptor = tls::acceptor(certificate)?;
                    let listener = TcpListener::bind("127.0.0.1:0").await?;
                    println!("AWS_ENDPOINT_URL=https://{}", listener.local_addr()?);
                    println!("PLAIN_ENDPOINT_URL={plain_url}");
                    println!("SSL_CERT_FILE={}", certificate.display());
                    Some((listener, acceptor))
                }
            };
            println!();
            if let Some((listener, acceptor)) = encrypted {
                tokio::spawn(accept::serve(listener, Some(acceptor), sink.clone()));
            }
            tokio::select! {
                ended = accept::serve(plain, None, sink) => Err(ended.into()),
                ended = end_of_stdin() => ended,
            }
        }
        Server::Lab { data } => {
            let lab = Lab::builder().data(data).bucket("bench").start().await?;
            println!("AWS_ENDPOINT_URL={}", lab.s3_endpoint());
            for (name, value) in lab.env() {
                let name = match name {
                    "MINIO_USERNAME" => "AWS_ACCESS_KEY_ID",
                    "MINIO_PASSWORD" => "AWS_SECRET_ACCESS_KEY",
                    "AWS_REGION" => name,
                    _ => continue,
                };
                println!("{name}={value}");
            }
            println!();
            let ended = end_of_stdin().await;
            lab.shutdown().await;
            ended
        }
    }
}

async fn end_of_stdin() -> Result<(), Box<dyn Error>> {
    let read = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    tokio::task::spawn_blocking(read).await??;
    Ok(())
}
