//! A bundle: what clusters said when they were asked once, without secrets, in a folder or an archive that is read like
//! everything else that people save.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use meshwhy_parsers::origin::Role;
use serde_json::json;

use super::kube::gather::{Answer, What};
use crate::redact;

/// How a list begins that may not be all there is: as one page of several, whose reader concludes nothing from absence.
const PAGE: &[u8] = br#"{"apiVersion":"v1","kind":"List","metadata":{"continue":"not all could be read"},"items":["#;
/// How a list of gathered objects begins.
const LIST: &[u8] = br#"{"apiVersion":"v1","kind":"List","items":["#;

/// A file of a bundle.
pub struct Saved {
    /// Where it lies in the bundle.
    pub path: String,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// The second since 1970 at which it was last changed.
    pub changed: i64,
}

impl Saved {
    /// An answer without its secrets.
    pub fn of(answer: &Answer) -> Saved {
        let bytes = match &answer.what {
            What::Log => lines(&answer.bytes),
            What::Objects { whole: None } if answer.bytes.starts_with(LIST) => {
                let page = [PAGE, answer.bytes.get(LIST.len()..).unwrap_or_default()].concat();
                redact::document(&page).into_owned()
            }
            What::Objects { whole: Some(whole) } if answer.bytes.starts_with(LIST) => {
                let behind = answer.bytes.get(LIST.len()..).unwrap_or_default();
                redact::document(&[list(answer, whole, behind == b"]}").as_bytes(), behind].concat()).into_owned()
            }
            What::Objects { .. } | What::Document => redact::document(&answer.bytes).into_owned(),
        };
        Saved { path: place(answer), bytes, changed: answer.taken.map_or(0, |taken| taken.0 / 1_000_000_000) }
    }
}

/// A bundle that is being written.
pub struct Bundle {
    out: Out,
}

enum Out {
    Folder(PathBuf),
    Archive(Box<tar::Builder<Packed>>),
}

/// A packed stream.
enum Packed {
    Gzip(flate2::write::GzEncoder<File>),
    Zstd(zstd::Encoder<'static, File>),
}

impl Bundle {
    /// Begins a bundle that only its owner may read: an archive where the name ends in `.tar.gz` or `.tar.zst`, else a
    /// folder.
    ///
    /// # Errors
    ///
    /// It is there already, or cannot be made.
    pub fn create(path: &Path) -> anyhow::Result<Bundle> {
        let name = path.to_string_lossy();
        if fs::symlink_metadata(path).is_ok() {
            bail!("{name} is there already\nhint: save to a new place, or remove this one");
        }
        let cannot = || format!("cannot save to {name}");
        let file = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).with_context(cannot);
        let packed = if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
            Packed::Gzip(flate2::write::GzEncoder::new(file()?, flate2::Compression::default()))
        } else if name.ends_with(".tar.zst") {
            Packed::Zstd(zstd::Encoder::new(file()?, zstd::DEFAULT_COMPRESSION_LEVEL).with_context(cannot)?)
        } else {
            fs::DirBuilder::new().mode(0o700).create(path).with_context(cannot)?;
            return Ok(Bundle { out: Out::Folder(path.to_path_buf()) });
        };
        Ok(Bundle { out: Out::Archive(Box::new(tar::Builder::new(packed))) })
    }

    /// Adds a file.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn add(&mut self, saved: &Saved) -> io::Result<()> {
        let Saved { path, bytes, changed } = saved;
        match &mut self.out {
            Out::Folder(folder) => {
                let path = folder.join(path);
                fs::DirBuilder::new().mode(0o700).recursive(true).create(path.parent().unwrap_or(folder))?;
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
            }
            Out::Archive(archive) => {
                let mut header = tar::Header::new_gnu();
                header.set_mode(0o600);
                header.set_size(bytes.len() as u64);
                header.set_mtime(u64::try_from(*changed).unwrap_or(0));
                archive.append_data(&mut header, path, &bytes[..])
            }
        }
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn finish(self) -> io::Result<()> {
        let Out::Archive(archive) = self.out else { return Ok(()) };
        match archive.into_inner()? {
            Packed::Gzip(out) => out.finish()?.sync_all(),
            Packed::Zstd(out) => out.finish()?.sync_all(),
        }
    }
}

impl Write for Packed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Packed::Gzip(out) => out.write(bytes),
            Packed::Zstd(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Packed::Gzip(out) => out.flush(),
            Packed::Zstd(out) => out.flush(),
        }
    }
}

/// How a list begins that is all there is: it links to itself, as API servers wrote it, so that its reader knows of which
/// namespace it is; and says its kind where it holds none.
fn list(answer: &Answer, (kind, group, namespace): &(&str, &str, String), is_empty: bool) -> String {
    let (root, version) = match *group {
        "" => ("/api/v1".to_string(), "v1".to_string()),
        group => (format!("/apis/{group}/v1"), format!("{group}/v1")),
    };
    let title = answer.origin.file.rsplit('/').next().unwrap_or_default();
    let plural = title.split('.').next().unwrap_or_default();
    let within = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
    let (version, kind) = if is_empty { (&*version, format!("{kind}List")) } else { ("v1", "List".to_string()) };
    let head =
        json!({"apiVersion": version, "kind": kind, "metadata": {"selfLink": format!("{root}{within}/{plural}")}});
    let head = head.to_string();
    format!("{},\"items\":[", head.strip_suffix('}').unwrap_or(&head))
}

/// Where an answer lies: `east/pods.json`; of pods as in a bug report, which names the namespace whatever it is called:
/// `east/istio/istio-system/istiod-1/debug/clusterz`, `east/proxies/shop/cart-1/istio-proxy.log`.
fn place(answer: &Answer) -> String {
    let origin = &answer.origin;
    let cluster = part(&origin.cluster);
    let inside = origin.file.strip_prefix(&*origin.cluster).unwrap_or(&origin.file).trim_start_matches('/');
    let inside: Vec<String> = inside.split('/').map(part).collect();
    let inside = match answer.what {
        // The log before the last restart, as rotation names it: its container is still told by its name.
        What::Log => inside.join("/").replace(".previous.log", ".log.1"),
        What::Objects { .. } | What::Document => inside.join("/"),
    };
    match (&answer.what, origin.role) {
        (What::Objects { .. }, _) => format!("{cluster}/{inside}"),
        (_, Role::Istiod) => format!("{cluster}/istio/{inside}"),
        _ => format!("{cluster}/proxies/{inside}"),
    }
}

/// A name as a part of a path: contexts may hold slashes, and nothing leads out of the bundle.
fn part(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c == '/' || c.is_control() { '_' } else { c }).collect();
    if matches!(&*plain, "" | "." | "..") { "_".to_string() } else { plain }
}

/// Lines of a log without their secrets.
fn lines(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let mut saved = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end_matches('\n');
        saved.push_str(&redact::line(bare));
        saved.push_str(&line[bare.len()..]);
    }
    saved.into_bytes()
}
