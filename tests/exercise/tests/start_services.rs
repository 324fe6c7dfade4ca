//! ./start_services.sh as a person uses it: everything starts, what is wrong is said in one line, Ctrl+C leaves nothing behind.

use exercise_test::{built_server, free_port, wait_until};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(120);
/// The last thing that is printed before the worker's log.
const STARTED: &str = "Ctrl+C stops everything";

/// The script in a process group of its own, which is what Ctrl+C stops, on free ports, with data in a folder of its own.
struct Script {
    folder: TempDir,
    /// Server, web UI, account API, money transfer API.
    ports: [u16; 4],
    running: Option<Child>,
}

impl Script {
    fn new() -> Script {
        let folder = tempfile::tempdir().expect("there is room for the files");
        Script {
            folder,
            ports: [(); 4].map(|()| free_port().expect("the machine has free ports")),
            running: None,
        }
    }

    /// Starts it with a server that is built already: a binary, or something that behaves like one. `settings` are
    /// variables of its environment, `NAME=value`.
    fn start(&mut self, server: &Path, settings: &[String]) {
        let out = File::create(self.folder.path().join("out")).expect("the folder can be written to");
        let err = File::create(self.folder.path().join("err")).expect("the folder can be written to");
        // A shell cannot trap a signal that was ignored when it started, as Ctrl+C is in what runs in the background.
        let listen = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])";
        let mut command = Command::new(path_of("python3"));
        command
            .args(["-c", listen, &path_of("env")])
            .args(settings)
            .args([&path_of("bash"), "./start_services.sh"])
            .current_dir(exercise_test::root())
            .env("STEADFAST_SERVER", server)
            .env("STEADFAST_DATA", self.data())
            .envs(VARIABLES.iter().zip(self.ports.map(|port| port.to_string())))
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0);
        self.running = Some(command.spawn().expect("python3 can be started"));
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn said(&self, stream: &str) -> String {
        fs::read_to_string(self.folder.path().join(stream)).expect("what it said can be read")
    }

    fn status(&mut self) -> Option<ExitStatus> {
        self.running.as_mut().and_then(|child| child.try_wait().expect("a child can be looked at"))
    }

    async fn wait_until_started(&mut self) {
        wait_until("all services are up", PATIENCE, async || {
            if let Some(status) = self.status() {
                panic!("it ended with {status}: {}", self.said("err"));
            }
            if self.said("out").contains(STARTED) { Ok(()) } else { Err(self.said("out")) }
        })
        .await;
    }

    /// Its exit code, when it has ended and all that it started has too.
    async fn code_at_the_end(&mut self) -> i32 {
        let code = wait_until("it ends", PATIENCE, async || {
            let status = self.status().ok_or_else(|| self.said("err"))?;
            Ok(status.code().expect("it ends by itself, not by a signal"))
        })
        .await;
        assert!(!self.signal("0"), "nothing is left of its process group");
        for port in self.ports {
            assert!(!open(port), "nobody listens on port {port}");
        }
        assert!(!self.data().join("start_services.pid").exists(), "its note of itself is gone");
        code
    }

    /// What it complained of: exactly one line.
    fn complaint(&self) -> String {
        let said = self.said("err");
        let complaints: Vec<&str> =
            said.lines().filter_map(|line| line.strip_prefix("start_services.sh: ")).collect();
        let [complaint] = complaints[..] else { panic!("it is to complain in one line: {said}") };
        complaint.to_owned()
    }

    /// Sends a signal to the process group; false when there is no process in it.
    fn signal(&self, signal: &str) -> bool {
        let group = self.running.as_ref().expect("it was started").id();
        let kill = Command::new("bash")
            .args(["-c", "kill -s \"$0\" -- \"-$1\"", signal, &group.to_string()])
            .stderr(Stdio::null())
            .status();
        kill.expect("bash can be started").success()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // Only where a test has failed is there anything left.
        if let Some(mut child) = self.running.take()
            && child.try_wait().is_ok_and(|ended| ended.is_none())
        {
            self.running = Some(child);
            self.signal("KILL");
        }
    }
}

const VARIABLES: [&str; 4] =
    ["STEADFAST_PORT", "STEADFAST_UI_PORT", "ACCOUNT_API_PORT", "MONEY_TRANSFER_API_PORT"];

fn open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Where a program is on our own path.
fn path_of(program: &str) -> String {
    let output = Command::new("sh").args(["-c", "command -v \"$0\"", program]).output();
    let path = String::from_utf8(output.expect("sh can be started").stdout).expect("paths here are text");
    assert!(path.starts_with('/'), "{program} is to be found on the path");
    path.trim_end().to_owned()
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).expect("the folder can be written to");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("our own file");
}

#[tokio::test]
async fn money_moves_and_ctrl_c_leaves_nothing_behind() {
    let mut script = Script::new();
    script.start(&built_server(), &[]);
    script.wait_until_started().await;
    let [server, pages, accounts, money] = script.ports;
    for address in [
        format!("localhost:{money}"),
        format!("localhost:{pages}"),
        format!("localhost:{accounts}"),
        format!("localhost:{server}"),
    ] {
        assert!(script.said("out").contains(&address), "{address} is told");
    }

    let http = reqwest::Client::new();
    for path in [format!("{money}/"), format!("{pages}/"), format!("{accounts}/health")] {
        let answer = http.get(format!("http://127.0.0.1:{path}")).send().await.expect("it answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }
    let order = json!({"from": "account_A", "to": "account_B", "amount": "12.34"});
    let started = http.post(format!("http://127.0.0.1:{money}/api/transfers")).json(&order).send().await;
    let started: Value = started.expect("it answers").json().await.expect("in JSON");
    let id = started["id"].as_str().unwrap_or_else(|| panic!("{started}"));
    wait_until("the money has arrived", PATIENCE, async || {
        let shown = http.get(format!("http://127.0.0.1:{money}/api/transfers/{id}")).send().await;
        let shown: Value = shown.expect("it answers").json().await.expect("in JSON");
        if shown["outcome"] == "done" { Ok(()) } else { Err(shown.to_string()) }
    })
    .await;
    wait_until("the worker's log is here", PATIENCE, async || {
        let said = script.said("out");
        if said.contains(id) && said.contains("ends: done") { Ok(()) } else { Err(said) }
    })
    .await;

    assert!(script.signal("INT"), "it is running");
    assert_eq!(script.code_at_the_end().await, 130, "as what Ctrl+C ends does");
    assert_eq!(script.said("err"), "");
}

#[tokio::test]
async fn a_service_that_dies_is_named_and_the_others_are_stopped() {
    let mut script = Script::new();
    // Leaves its process id, so that it can be killed.
    let (noting, pid) = (script.folder.path().join("noting"), script.folder.path().join("pid"));
    let server = built_server();
    executable(
        &noting,
        &format!("#!/bin/sh\necho $$ >'{}'\nexec '{}' \"$@\"\n", pid.display(), server.display()),
    );
    script.start(&noting, &[]);
    script.wait_until_started().await;
    let pid = fs::read_to_string(pid).expect("the server has started");
    let killed = Command::new("kill").args(["-9", pid.trim()]).status().expect("kill can be started");
    assert!(killed.success(), "the server was running");

    assert_eq!(script.code_at_the_end().await, 1);
    let complaint = script.complaint();
    assert!(complaint.starts_with("the server has died: "), "{complaint}");
    assert!(complaint.contains("server.log and start again"), "{complaint}");
}

#[tokio::test]
async fn a_service_that_cannot_start_is_named_with_its_last_words() {
    let mut script = Script::new();
    let broken = script.folder.path().join("broken");
    executable(&broken, "#!/bin/sh\necho 'the disk is full' >&2\nexit 1\n");
    script.start(&broken, &[]);
    assert_eq!(script.code_at_the_end().await, 1);
    let log = script.data().join("logs/server.log");
    let expected =
        format!("the server has died: the disk is full. Look at {} and start again", log.display());
    assert_eq!(script.complaint(), expected);
}

#[tokio::test]
async fn a_taken_port_is_named_before_anything_is_built() {
    let mut script = Script::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("the machine has a free port");
    let port = taken.local_addr().expect("a bound listener has an address").port();
    script.start(Path::new("/bin/false"), &[format!("ACCOUNT_API_PORT={port}")]);
    assert_eq!(script.code_at_the_end().await, 1);
    let complaint = format!(
        "port {port}, for the account API, is taken: stop what uses it, or choose another with ACCOUNT_API_PORT=..."
    );
    assert_eq!(script.said("err"), format!("start_services.sh: {complaint}\n"));
    assert_eq!(script.said("out"), "");
}

#[tokio::test]
async fn a_missing_tool_is_named_with_the_place_to_get_it() {
    let mut script = Script::new();
    let bare = script.folder.path().join("bin");
    fs::create_dir(&bare).expect("the folder can be written to");
    symlink(path_of("dirname"), bare.join("dirname")).expect("the folder can be written to");
    script.start(Path::new("/bin/false"), &[format!("PATH={}", bare.display())]);
    assert_eq!(script.code_at_the_end().await, 1);
    assert_eq!(
        script.said("err"),
        "start_services.sh: cargo is missing: install it from https://rustup.rs\n"
    );
}
