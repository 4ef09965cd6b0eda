//! The worker's program, run as a process in an environment and folders of the test.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A test that waits longer than this fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// The user `nobody`, which has no privileges, by the number that Linux reserves for it.
const NOBODY: u32 = 65_534;

/// What the process is given. It has its own folder for temporary files, which has to be empty in the end.
pub(crate) struct Program {
    binary: PathBuf,
    before: &'static [&'static str],
    user: Option<u32>,
    env: BTreeMap<String, String>,
    secrets: Vec<String>,
    folder: TempDir,
    temporary: TempDir,
}

impl Program {
    pub(crate) fn bare() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let tmpdir = temporary.path().to_str().unwrap().to_owned();
        Self {
            binary: env!("CARGO_BIN_EXE_process-tests").into(),
            before: &[],
            user: None,
            env: BTreeMap::from([("TMPDIR".to_owned(), tmpdir)]),
            secrets: Vec::new(),
            folder: tempfile::tempdir().unwrap(),
            temporary,
        }
    }

    /// The worker whose handlers crash and panic, instead of the usual one.
    pub(crate) fn unruly(mut self) -> Self {
        self.binary = env!("CARGO_BIN_EXE_unruly").into();
        self
    }

    /// Puts these words before the program on the command line.
    pub(crate) fn before(mut self, words: &'static [&'static str]) -> Self {
        self.before = words;
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// The worker that does what a payload says, instead of the usual one.
    pub(crate) fn soak_worker(mut self) -> Self {
        self.binary = env!("CARGO_BIN_EXE_soak-worker").into();
        self
    }

    pub(crate) fn unset(mut self, name: &str) -> Self {
        assert!(self.env.remove(name).is_some(), "{name} was not set");
        self
    }

    /// Without the privileges of root, if the tests have them.
    pub(crate) fn unprivileged(mut self) -> Self {
        let own = std::fs::metadata(self.folder.path()).unwrap().uid();
        if own == 0 {
            // Other users may not be able to open the folder of the tests' programs.
            let binary = self.path("worker");
            std::fs::hard_link(&self.binary, &binary)
                .or_else(|_| std::fs::copy(&self.binary, &binary).map(drop))
                .unwrap();
            self.binary = binary;
            self.user = Some(NOBODY);
            for folder in [self.folder.path(), self.temporary.path()] {
                chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        self
    }

    /// A variable whose value must not be seen in anything that the process writes.
    pub(crate) fn secret(mut self, name: &str, value: &str) -> Self {
        self.secrets.push(value.to_owned());
        self.env(name, value)
    }

    /// A file in the folder that the process runs in.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.path(name), text).unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn temporary_is_empty(&self) -> bool {
        self.temporary().is_empty()
    }

    /// The names in the folder for temporary files.
    pub(crate) fn temporary(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.temporary.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    pub(crate) fn start(&self, args: &[&str]) -> Running<'_> {
        self.start_with_input(args, "")
    }

    pub(crate) fn start_with_input(&self, args: &[&str], input: &'static str) -> Running<'_> {
        let mut running = self.start_with(args, Stdio::piped(), Stdio::piped());
        let mut stdin = running.stdin.take().unwrap();
        // Not every command reads its input to the end.
        tokio::spawn(async move { stdin.write_all(input.as_bytes()).await });
        running
    }

    /// The process before its streams are chosen.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let binary = self.binary.as_os_str();
        let mut words = self.before.iter().map(OsStr::new).chain([binary]);
        let mut command = Command::new(words.next().unwrap());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
            .args(words)
            .args(args)
            .env_clear()
            .envs(&self.env)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Starts it with these streams. Its input is empty and does not end.
    pub(crate) fn start_with(&self, args: &[&str], stdout: Stdio, stderr: Stdio) -> Running<'_> {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Running {
            program: self,
            stdin: child.stdin.take(),
            stdout: tokio::spawn(read(child.stdout.take())),
            stderr: follow(child.stderr.take()),
            child,
        }
    }

    pub(crate) async fn run(&self, args: &[&str]) -> Exited {
        self.start(args).exited().await
    }

    /// Runs it with the words of a line as its arguments.
    pub(crate) async fn run_line(&self, line: &str) -> Exited {
        self.run(&line.split(' ').collect::<Vec<_>>()).await
    }
}

/// The process, killed when dropped.
pub(crate) struct Running<'a> {
    program: &'a Program,
    child: Child,
    /// Held open while it is not written.
    stdin: Option<ChildStdin>,
    stdout: JoinHandle<String>,
    stderr: watch::Receiver<String>,
}

impl Running<'_> {
    /// Waits until the process has written this to stderr.
    pub(crate) async fn logs(&mut self, text: &str) {
        let said = in_time(self.stderr.wait_for(|stderr| stderr.contains(text)))
            .await
            .is_ok();
        assert!(said, "ended without {text:?}:\n{}", *self.stderr.borrow());
    }

    /// A field of the first line so far that has this message.
    pub(crate) fn logged(&self, message: &str, field: &str) -> String {
        let log = self.stderr.borrow();
        let mut lines = log
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.find(|line| line["message"] == message).unwrap()[field].to_string()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) async fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.id());
        let sent = Command::new("sh").args(["-c", &kill]).status().await;
        assert!(sent.unwrap().success());
    }

    /// Waits for its end and returns its exit code; other processes may still use its folders.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        in_time(self.child.wait()).await.unwrap().code()
    }

    /// Ends it with SIGKILL, which leaves it no time for anything.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Sends SIGTERM and waits for its end.
    pub(crate) async fn stop(self) -> Exited {
        self.signal("TERM").await;
        self.exited().await
    }

    /// Waits for its end, and checks that it wrote no secret and left no temporary file.
    pub(crate) async fn exited(mut self) -> Exited {
        let status = in_time(self.child.wait()).await.unwrap();
        // The end of stderr is when its writer is gone.
        while in_time(self.stderr.changed()).await.is_ok() {}
        let exited = Exited {
            code: status.code(),
            stdout: in_time(self.stdout).await.unwrap(),
            stderr: self.stderr.borrow().clone(),
            folders: [&self.program.folder, &self.program.temporary]
                .map(|folder| folder.path().to_str().unwrap().to_owned()),
        };
        for secret in &self.program.secrets {
            assert!(!exited.stdout.contains(secret), "{secret} is on stdout");
            assert!(!exited.stderr.contains(secret), "{secret} is on stderr");
        }
        assert!(
            self.program.temporary_is_empty(),
            "scratch is left behind:\n{}",
            exited.stderr
        );
        exited
    }
}

/// A process that has ended.
pub(crate) struct Exited {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    folders: [String; 2],
}

impl Exited {
    /// All that a person sees, for a snapshot; see [`assert_shown`](crate::fixture::assert_shown).
    pub(crate) fn shown(&self) -> String {
        let mut shown = match self.code {
            Some(code) => format!("exit {code}\n"),
            None => "killed\n".to_owned(),
        };
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                shown += &format!("--- {name}\n{text}");
            }
        }
        let [folder, temporary] = &self.folders;
        shown
            .replace(folder, "[folder]")
            .replace(temporary, "[tmp]")
    }

    /// The log lines, if they are all JSON.
    pub(crate) fn log(&self) -> Vec<Value> {
        let lines = self.stderr.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
            .collect()
    }
}

pub(crate) async fn in_time<F: Future>(waiting: F) -> F::Output {
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("waited long enough")
}

async fn read(from: Option<impl AsyncRead + Unpin>) -> String {
    let mut text = String::new();
    if let Some(mut from) = from {
        from.read_to_string(&mut text).await.unwrap();
    }
    text
}

/// What has been written so far, line by line, until the writer is gone.
fn follow(from: Option<impl AsyncRead + Unpin + Send + 'static>) -> watch::Receiver<String> {
    let (all, followed) = watch::channel(String::new());
    let Some(from) = from else { return followed };
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            all.send_modify(|all| {
                all.push_str(&line);
                all.push('\n');
            });
        }
    });
    followed
}
