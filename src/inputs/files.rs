//! Files and folders: what the user named, walked in order, each file once.

use std::collections::BTreeSet;
use std::fs::{self, File, FileType, Metadata};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use meshwhy_parsers::origin::{self, Hints};
use meshwhy_parsers::sniff::{self, Format};

use super::stdin::Stdin;
use super::{InputLimits, Intake, archive, transcripts};

/// A file or a member of an archive on its way to being read.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// As the user named it, with `archive!inner` for members of an archive.
    pub name: String,
    /// Its path below what the user named, archives as folders.
    pub path: String,
    /// Its path within the innermost archive.
    pub inner: Option<String>,
    /// Name of the folder or archive the user named.
    above: String,
    /// The cluster the user named for it.
    given: Option<Box<str>>,
}

impl Found {
    /// Standard input.
    pub fn stdin(names: &[(String, PathBuf)]) -> Found {
        let given = names.iter().find(|(_, path)| path.as_os_str() == "-").map(|(name, _)| name.as_str().into());
        Found { name: "-".to_string(), path: "-".to_string(), inner: None, above: String::new(), given }
    }

    /// A member of this archive.
    pub fn inside(&self, inner: &str) -> Found {
        let (folders, archive) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let mut path = format!("{folders}/{}/{inner}", archive::folder_name(archive));
        // `..` in an archive is part of a name, never a place.
        path.retain(|c| !c.is_control());
        Found { name: format!("{}!{inner}", self.name), path, inner: Some(inner.to_string()), ..self.clone() }
    }

    /// What its name tells.
    pub fn hints(&self) -> Hints {
        Hints { given: self.given.clone(), place: origin::place(&self.path, &self.above), context: None, told: None }
    }
}

/// Reads all wanted paths. Returns the ones that could not be read, with the reason and a hint.
pub(super) fn read(intake: &mut Intake<'_>, mut stdin: Option<Stdin>) -> anyhow::Result<Vec<String>> {
    let mut refused = Vec::new();
    let mut seen = BTreeSet::new();
    for path in intake.wanted.paths {
        if path.as_os_str() == "-" {
            if let Some(mut stdin) = stdin.take() {
                let found = Found::stdin(intake.wanted.cluster_names);
                archive::read(intake, found, &mut stdin, 0)?;
            }
            continue;
        }
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {
                let above = folder_name(path);
                let mut walk = Walk { root: path, above, seen: &mut seen };
                walk.folder(intake, path, 0)?;
            }
            Ok(meta) => {
                let (path_below, above) = own_place(path);
                if seen.insert((meta.dev(), meta.ino())) {
                    file(intake, path, path_below, above, &meta)?;
                }
            }
            Err(error) => refused.push(refusal(path, &error)),
        }
    }
    Ok(refused)
}

/// A file by its name, to be followed.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// Where it is.
    pub path: PathBuf,
    /// Its path below what the user named.
    pub below: String,
    /// Name of the folder the user named.
    pub above: String,
}

/// The files there are at these paths now, in order, and what cannot be read.
pub(super) fn named(paths: &[PathBuf], limits: &InputLimits, files_max: usize) -> (Vec<Named>, Vec<String>) {
    let (mut found, mut losses) = (Vec::new(), Vec::new());
    for path in paths {
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {
                let above = folder_name(path);
                below(path, path, &above, limits.folder_depth_max, &mut found);
            }
            Ok(_) => {
                let (below, above) = own_place(path);
                found.push(Named { path: path.clone(), below, above });
            }
            Err(error) => losses.push(refusal(path, &error)),
        }
    }
    if files_max < found.len() {
        losses.push(format!("more than {files_max} files: the rest is not followed"));
        found.truncate(files_max);
    }
    (found, losses)
}

fn below(root: &Path, folder: &Path, above: &str, depth: usize, found: &mut Vec<Named>) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let Ok(meta) = fs::metadata(&path) else { continue };
        let is_link = fs::symlink_metadata(&path).is_ok_and(|meta| meta.file_type().is_symlink());
        if meta.is_dir() && !is_link && 0 < depth {
            below(root, &path, above, depth - 1, found);
        } else if meta.is_file() {
            let below = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            found.push(Named { path, below, above: above.to_string() });
        }
    }
}

fn refusal(path: &Path, error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "check the spelling; paths are relative to the current folder",
        io::ErrorKind::PermissionDenied => "check who may read it: `ls -ld` shows",
        _ => "check that it is a file, a folder or an archive",
    };
    format!("cannot read {}: {}\nhint: {hint}", path.display(), plain_error(error))
}

/// The system's words without their number.
pub(super) fn plain_error(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_ascii_lowercase()
}

fn folder_name(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    // A person's home names no cluster.
    let is_home = whole.parent().is_some_and(|parent| parent == Path::new("/home") || parent == Path::new("/Users"));
    let name = if is_home { None } else { whole.file_name() };
    name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Where a file lies that was named itself: its last folders can tell the cluster, the namespace and the pod.
fn own_place(path: &Path) -> (String, String) {
    const FOLDERS_MAX: usize = 4;
    // A link named by the user counts under its own name.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let mut folders = Vec::new();
    let mut rest: Option<&Path> = Some(&whole);
    while let Some(folder) = rest
        && folders.len() < FOLDERS_MAX
    {
        let name = folder_name(folder);
        if name.is_empty() {
            break;
        }
        folders.push(name);
        rest = folder.parent();
    }
    folders.reverse();
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    folders.push(file);
    (folders.join("/"), String::new())
}

struct Walk<'w> {
    root: &'w Path,
    above: String,
    seen: &'w mut BTreeSet<(u64, u64)>,
}

impl Walk<'_> {
    fn folder(&mut self, intake: &mut Intake<'_>, folder: &Path, depth: usize) -> anyhow::Result<()> {
        if intake.wanted.limits.folder_depth_max < depth {
            intake.lose(format!("{}: folders are nested too deep: not read", folder.display()));
            return Ok(());
        }
        let entries = fs::read_dir(folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
        let mut paths: Vec<PathBuf> = match entries {
            Ok(entries) => entries.into_iter().map(|entry| entry.path()).collect(),
            Err(error) => {
                intake.lose(format!("cannot read folder {}: {}", folder.display(), plain_error(&error)));
                return Ok(());
            }
        };
        paths.sort();
        for path in paths {
            self.entry(intake, &path, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, intake: &mut Intake<'_>, path: &Path, depth: usize) -> anyhow::Result<()> {
        let is_link = fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_symlink());
        let meta = match fs::metadata(path) {
            Ok(meta) => meta,
            Err(error) => {
                intake.lose(format!("cannot read {}: {}", path.display(), plain_error(&error)));
                return Ok(());
            }
        };
        if meta.is_dir() {
            if is_link {
                intake.lose(format!("{} is a link to a folder: not followed", path.display()));
                return Ok(());
            }
            return self.folder(intake, path, depth + 1);
        }
        if !meta.is_file() {
            intake.lose(format!("{} is {}: not read", path.display(), kind(meta.file_type())));
            return Ok(());
        }
        if !self.seen.insert((meta.dev(), meta.ino())) {
            return Ok(());
        }
        if intake.wanted.limits.files_max < self.seen.len() {
            if intake.wanted.limits.files_max + 1 == self.seen.len() {
                intake.lose(format!("more than {} files: the rest is not read", intake.wanted.limits.files_max));
            }
            return Ok(());
        }
        let below = path.strip_prefix(self.root).unwrap_or(path).to_string_lossy().into_owned();
        file(intake, path, below, self.above.clone(), &meta)
    }
}

fn kind(kind: FileType) -> &'static str {
    if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

fn file(intake: &mut Intake<'_>, path: &Path, below: String, above: String, meta: &Metadata) -> anyhow::Result<()> {
    let given = given(intake.wanted.cluster_names, path);
    let found = Found { name: path.display().to_string(), path: below, inner: None, above, given };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) => {
            intake.lose(format!("cannot read {}: {}", path.display(), plain_error(&error)));
            return Ok(());
        }
    };
    if !meta.is_file() {
        return archive::read(intake, found, &mut file, 0);
    }
    let (head, failed) = head(&mut file);
    if let Err(error) = failed.map_or_else(|| file.rewind(), Err) {
        intake.lose(format!("cannot read {}: {}", path.display(), plain_error(&error)));
        return Ok(());
    }
    match sniff::format(&head, &found.name) {
        Format::Zip => archive::zip(intake, &found, file),
        // A log that is being written is read as far as it went when it was opened.
        Format::Log => transcripts::read_file(intake, found, file, meta.len()),
        _ => archive::read(intake, found, &mut file.take(meta.len()), 0),
    }
}

/// The name the user gave to the longest path that holds this file.
pub(super) fn given(names: &[(String, PathBuf)], path: &Path) -> Option<Box<str>> {
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let file = whole(path);
    let holding = names.iter().map(|(name, of)| (name, whole(of))).filter(|(_, of)| file.starts_with(of));
    holding.max_by_key(|(_, of)| of.components().count()).map(|(name, _)| name.as_str().into())
}

/// The first bytes of a stream, which tell what it holds.
pub(super) fn head(bytes: &mut dyn Read) -> (Vec<u8>, Option<io::Error>) {
    let mut head = vec![0; sniff::HEAD_MAX];
    let (length, failed) = fill(bytes, &mut head);
    head.truncate(length);
    (head, failed)
}

/// Reads until the buffer is full or the bytes are over.
pub(super) fn fill(bytes: &mut dyn Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut length = 0;
    while length < buffer.len() {
        match bytes.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (length, Some(error)),
        }
    }
    (length, None)
}

/// A stream that ends with an error.
pub(super) struct Broken(pub Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}
