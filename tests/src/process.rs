//! Child processes: what they say is kept, and none outlives the test.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// A running child.
pub struct Process {
    name: String,
    pid: u32,
    life: Arc<Life>,
    _guard: Guard,
}

#[derive(Default)]
struct Life {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    said: Vec<String>,
    exit: Option<ExitStatus>,
}

impl Process {
    /// Starts `command`, in a process group of its own so that a Ctrl-C at the terminal reaches
    /// it through these tests only.
    pub fn spawn(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let (pid, life) = (child.id(), Arc::new(Life::default()));
        let out = child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
        let err = child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
        let readers = out.into_iter().chain(err).map(|pipe| listen(pipe, life.clone())).collect();
        let waiting = life.clone();
        thread::spawn(move || reap(child, readers, &waiting));
        Self { name: name.to_owned(), pid, life, _guard: Guard::over(pid) }
    }

    /// Waits for a line that holds `text`.
    pub fn says(&self, text: &str, within: Duration) -> String {
        let found = |state: &State| state.said.iter().find(|line| line.contains(text)).cloned();
        let state = self.life.wait(within, |state| found(state).is_some() || state.exit.is_some());
        let line = found(&state);
        drop(state);
        line.unwrap_or_else(|| panic!("{} never said {text:?}; it said:\n{}", self.name, self.log()))
    }

    /// Waits for the end; everything it said is there then.
    pub fn ends(&self, within: Duration) -> ExitStatus {
        let exit = self.life.wait(within, |state| state.exit.is_some()).exit;
        exit.unwrap_or_else(|| panic!("{} does not end; it said:\n{}", self.name, self.log()))
    }

    /// Whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        self.life.lock().exit.is_none()
    }

    /// Sends a signal, named as `kill` names it.
    pub fn signal(&self, name: &str) {
        if self.is_running() {
            shell("kill \"-$0\" \"$1\"", &[name, &self.pid.to_string()]);
        }
    }

    /// All it said so far, both ways together.
    pub fn log(&self) -> String {
        self.life.lock().said.join("\n")
    }

    /// Its name, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal("KILL");
        if thread::panicking() {
            eprintln!("--- {} said ---\n{}\n---", self.name, self.log());
        }
        drop(self.life.wait(Duration::from_secs(10), |state| state.exit.is_some()));
    }
}

impl Life {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test fails while it holds this")
    }

    fn wait(&self, within: Duration, enough: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waiting = self.changed.wait_timeout_while(self.lock(), within, |state| !enough(state));
        waiting.expect("no test fails while it holds this").0
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

fn listen(pipe: Box<dyn Read + Send>, life: Arc<Life>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            life.change(|state| state.said.push(text));
            line.clear();
        }
    })
}

/// Waits for the child's end, then for its last words.
fn reap(mut child: Child, readers: Vec<thread::JoinHandle<()>>, life: &Life) {
    let exit = child.wait().expect("one waiter for each child");
    readers.into_iter().for_each(|reader| drop(reader.join()));
    life.change(|state| state.exit = Some(exit));
}

/// Kills a process when these tests end in a way that drops nothing: a value in a `static`, an
/// abort, a kill. The shell's standard input ends then.
struct Guard(Child);

impl Guard {
    fn over(pid: u32) -> Self {
        let script = "trap '' INT TERM HUP; read -r _; kill -9 \"$0\"";
        let mut shell = Command::new("sh");
        shell.args(["-c", script, &pid.to_string()]);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(shell.spawn().expect("sh starts"))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The watched process is gone, its number may be another's soon: no last wish.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn shell(script: &str, arguments: &[&str]) {
    let status = Command::new("sh").arg("-c").arg(script).args(arguments).stderr(Stdio::null()).status();
    status.expect("sh starts");
}
