//! What the containers of a cluster have printed, as kubelets keep and serve it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use k8s_openapi::jiff::Timestamp;

/// A container: namespace, pod, name.
type Place = (String, String, String);

/// The logs of all containers: of their present life and of the one before.
#[derive(Default)]
pub struct Logs {
    lives: BTreeMap<Place, Lives>,
}

#[derive(Default)]
struct Lives {
    current: Life,
    previous: Option<Life>,
}

impl Logs {
    /// What a container prints now.
    pub fn current(&mut self, namespace: &str, pod: &str, container: &str) -> Life {
        self.lives.entry(place(namespace, pod, container)).or_default().current.clone()
    }

    /// What it printed before its last restart.
    pub fn previous(&self, namespace: &str, pod: &str, container: &str) -> Option<Life> {
        self.lives.get(&place(namespace, pod, container))?.previous.clone()
    }

    /// A container ends and begins anew: followers are told all and then their stream ends.
    pub fn restart(&mut self, namespace: &str, pod: &str, container: &str) {
        let lives = self.lives.entry(place(namespace, pod, container)).or_default();
        let ended = std::mem::take(&mut lives.current);
        ended.lock().has_ended = true;
        lives.previous = Some(ended);
    }

    /// A pod is gone and its logs with it.
    pub fn forget(&mut self, namespace: &str, pod: &str) {
        self.lives.retain(|(its_namespace, its_pod, _), lives| {
            let is_kept = (its_namespace.as_str(), its_pod.as_str()) != (namespace, pod);
            if !is_kept {
                lives.current.lock().has_ended = true;
            }
            is_kept
        });
    }
}

fn place(namespace: &str, pod: &str, container: &str) -> Place {
    (namespace.to_string(), pod.to_string(), container.to_string())
}

/// One life of a container; shared with those who follow it.
#[derive(Clone, Default)]
pub struct Life(Arc<Mutex<Printed>>);

#[derive(Default)]
struct Printed {
    entries: Vec<Entry>,
    /// A new request begins here: what was before went away with a rotated file.
    rotated: usize,
    has_ended: bool,
}

#[derive(Clone)]
struct Entry {
    at: Timestamp,
    /// With its line end, unless the rest of the line is still to come.
    bytes: Vec<u8>,
    begins_line: bool,
}

impl Life {
    /// Appends what a container wrote: a line, or with `is_whole` unset a part of one whose rest comes later.
    pub fn print(&self, at: Timestamp, bytes: &[u8], is_whole: bool) {
        let mut printed = self.lock();
        let begins_line = printed.entries.last().is_none_or(|last| last.bytes.ends_with(b"\n"));
        let bytes = if is_whole { [bytes, b"\n"].concat() } else { bytes.to_vec() };
        printed.entries.push(Entry { at, bytes, begins_line });
    }

    /// Starts a new file; who follows goes on, who asks anew sees the new file alone.
    pub fn rotate(&self) {
        let mut printed = self.lock();
        printed.rotated = printed.entries.len();
    }

    fn lock(&self) -> MutexGuard<'_, Printed> {
        self.0.lock().expect("no thread panics while it holds this")
    }
}

/// A request for a log, half answered.
pub struct Reader {
    life: Life,
    next: usize,
    since: Option<Timestamp>,
    has_timestamps: bool,
    /// Bytes that may still be sent.
    left: usize,
}

/// What is asked of a log (`PodLogOptions`).
#[derive(Default)]
pub struct LogOptions {
    /// Nothing that was printed before this.
    pub since: Option<Timestamp>,
    /// Only so many of the last lines.
    pub tail_lines: Option<usize>,
    /// Each line begins with its time.
    pub has_timestamps: bool,
    /// Ends after so many bytes.
    pub limit_bytes: Option<usize>,
}

impl Reader {
    /// Begins where the options say. The tail is counted before `since` is looked at, as kubelets do
    /// (`kubernetes/kubernetes: pkg/kubelet/kuberuntime/logs/logs.go`).
    pub fn new(life: Life, options: &LogOptions) -> Reader {
        let next = {
            let printed = life.lock();
            let starts: Vec<usize> =
                (printed.rotated..printed.entries.len()).filter(|at| printed.entries[*at].begins_line).collect();
            match options.tail_lines {
                Some(lines) if lines < starts.len() || lines == 0 => {
                    starts[starts.len() - lines..].first().copied().unwrap_or(printed.entries.len())
                }
                _ => printed.rotated,
            }
        };
        let left = options.limit_bytes.unwrap_or(usize::MAX);
        Reader { life, next, since: options.since, has_timestamps: options.has_timestamps, left }
    }

    /// What came since the last call; nothing if nothing did.
    pub fn read(&mut self) -> Vec<u8> {
        let printed = self.life.lock();
        let mut bytes = Vec::new();
        for entry in &printed.entries[self.next..] {
            if self.since.is_some_and(|since| entry.at < since) {
                continue;
            }
            if self.has_timestamps && entry.begins_line {
                // Always nine digits: `types.RFC3339NanoFixed` of the kubelet.
                bytes.extend_from_slice(format!("{:.9} ", entry.at).as_bytes());
            }
            bytes.extend_from_slice(&entry.bytes);
        }
        self.next = printed.entries.len();
        bytes.truncate(self.left);
        self.left -= bytes.len();
        bytes
    }

    /// Whether nothing can follow.
    pub fn is_at_end(&self) -> bool {
        let printed = self.life.lock();
        self.left == 0 || (printed.has_ended && self.next == printed.entries.len())
    }
}
