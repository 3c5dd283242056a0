//! What the program reads: files, folders, archives, standard input; and that bad input costs a sentence, never the rest.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use meshwhy::inputs::{self, InputLimits, Item, Wanted};
use meshwhy_parsers::frame::Scan;
use serde_json::Value;
use tempfile::TempDir;

/// A call that ends in a time-out, as ztunnel prints it; `second` is its second within one minute.
fn failure(second: u32) -> String {
    format!(
        "2026-03-01T09:00:{second:02}.730305Z\terror\taccess\tconnection complete\tsrc.addr=10.20.1.9:40312 \
         src.workload=\"cart-1\" src.namespace=\"shop\" src.identity=\"spiffe://cluster.local/ns/shop/sa/cart\" \
         dst.addr=172.30.4.2:15008 dst.hbone_addr=prices.shop.svc.cluster.local:8080 \
         dst.service=\"prices.shop.svc.cluster.local\" dst.workload=\"NetworkGateway/west/172.30.4.2/0\" \
         dst.namespace=\"istio-system\" direction=\"outbound\" bytes_sent=0 bytes_recv=0 duration=\"10005ms\" \
         error=\"connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: deadline has elapsed\"\n"
    )
}

/// Lines of istiod that say nothing bad.
fn healthy(lines: usize) -> String {
    (0..lines)
        .map(|at| {
            let (minute, second) = (at / 60 % 60, at % 60);
            format!("2026-03-01T08:{minute:02}:{second:02}.000000Z\tinfo\tads\tPush debounce stable[{at}] 1 for config ServiceEntry/shop/prices: 100ms since last change\n")
        })
        .collect()
}

fn meshwhy() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshwhy"));
    command.args(["replay", "--output", "ndjson"]);
    command
}

fn run(paths: &[&Path]) -> Output {
    meshwhy().args(paths).output().expect("meshwhy runs")
}

/// The summary of a run that ended well.
fn summary(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_else(|| panic!("no output: {}", String::from_utf8_lossy(&output.stderr)));
    serde_json::from_str(last).expect("a record")
}

fn counts(output: &Output) -> (u64, u64, u64) {
    let summary = summary(output);
    let count = |key: &str| summary[key].as_u64().expect(key);
    (count("files"), count("documents"), count("lines"))
}

fn losses(output: &Output) -> Vec<String> {
    let summary = summary(output);
    let all = summary["losses"].as_array().expect("losses").iter();
    all.map(|loss| loss.as_str().expect("a sentence").to_string()).collect()
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("mesh-").tempdir().expect("a folder")
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
    fs::write(&path, content).expect("a file");
    path
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(content).expect("memory");
    packer.finish().expect("memory")
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut packer = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        packer.append(&header, *content).expect("memory");
    }
    packer.into_inner().expect("memory")
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut packer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, content) in files {
        packer.start_file(*name, zip::write::SimpleFileOptions::default()).expect("memory");
        packer.write_all(content).expect("memory");
    }
    packer.finish().expect("memory").into_inner()
}

/// What was found, without where the lines were read from.
fn found(output: &Output) -> Value {
    let mut summary = summary(output);
    for key in ["files", "documents", "losses"] {
        summary.as_object_mut().expect("an object").remove(key);
    }
    summary
}

#[test]
fn every_packing_of_the_same_logs_gives_the_same_answer() {
    let folder = folder();
    let (log, other) = (healthy(50) + &failure(1), failure(7));
    let files: [(&str, &[u8]); 2] = [("east/ztunnel.log", log.as_bytes()), ("west/ztunnel.log", other.as_bytes())];
    for (name, content) in files {
        write(&folder.path().join("plain"), name, content);
        write(&folder.path().join("gz"), &format!("{name}.gz"), gzip(content));
        write(&folder.path().join("zst"), &format!("{name}.zst"), zstd::encode_all(content, 0).expect("memory"));
    }
    let packed = [
        ("logs.tar", tar(&files)),
        ("logs.tar.gz", gzip(&tar(&files))),
        ("logs.tgz", gzip(&tar(&files))),
        ("logs.tar.zst", zstd::encode_all(&tar(&files)[..], 0).expect("memory")),
        ("logs.zip", zip(&files)),
        // The bytes tell, not the name.
        ("logs.bin", zip(&files)),
        ("logs.txt", gzip(&tar(&files))),
    ];
    let plain = run(&[&folder.path().join("plain")]);
    assert_eq!(counts(&plain), (2, 0, 52));
    assert_eq!(found(&plain)["causes"].as_array().map(Vec::len), Some(1), "{}", summary(&plain));
    let mut inputs = vec![folder.path().join("gz"), folder.path().join("zst")];
    inputs.extend(packed.iter().map(|(name, bytes)| write(folder.path(), name, bytes)));
    for input in inputs {
        let output = run(&[&input]);
        assert_eq!(found(&output), found(&plain), "{}", input.display());
        assert_eq!(losses(&output), Vec::<String>::new(), "{}", input.display());
    }
}

#[test]
fn a_foreign_packing_is_refused_with_the_command_that_unpacks_it() {
    let folder = folder();
    write(folder.path(), "a.log.xz", b"\xfd7zXZ\0\0\x04");
    write(folder.path(), "b.log", failure(1));
    let output = run(&[folder.path()]);
    assert_eq!(counts(&output), (1, 0, 1));
    assert!(losses(&output)[0].contains("a.log.xz is xz") && losses(&output)[0].contains("`unxz`"));
}

#[test]
fn a_file_given_twice_is_read_once() {
    let folder = folder();
    let log = write(folder.path(), "ztunnel.log", failure(1));
    symlink(&log, folder.path().join("same.log")).expect("a link");
    let archive = write(folder.path(), "a.tar", tar(&[("x/z.log", failure(2).as_bytes())]));
    let again = write(folder.path(), "b.tgz", gzip(&fs::read(&archive).expect("readable")));
    let dotted = folder.path().join(".").join("ztunnel.log");
    let output = run(&[folder.path(), &log, &dotted, &again]);
    assert_eq!(counts(&output), (2, 0, 2));
    assert_eq!(losses(&output).len(), 1, "the copy in the second archive: {:?}", losses(&output));
}

#[test]
fn a_missing_path_is_an_error_and_the_rest_is_read() {
    let folder = folder();
    let log = write(folder.path(), "ztunnel.log", failure(1));
    let missing = folder.path().join("ztunel.log");
    let both = run(&[&missing, &log]);
    assert_eq!(both.status.code(), Some(2));
    assert_eq!(counts(&both), (1, 0, 1));
    let said = String::from_utf8_lossy(&both.stderr).into_owned();
    assert!(said.contains("ztunel.log: no such file or directory\nhint: "), "{said}");
    let alone = run(&[&missing]);
    assert_eq!((alone.status.code(), alone.stdout.len()), (Some(2), 0));
}

#[test]
fn an_unreadable_entry_of_a_folder_is_named_and_the_rest_is_read() {
    let folder = folder();
    write(folder.path(), "z/ztunnel.log", failure(1));
    symlink(folder.path().join("gone"), folder.path().join("a.log")).expect("a link");
    symlink(folder.path(), folder.path().join("loop")).expect("a link");
    let pipe = Command::new("mkfifo").arg(folder.path().join("pipe")).status().expect("mkfifo runs");
    assert!(pipe.success());
    let output = run(&[folder.path()]);
    assert_eq!((output.status.code(), counts(&output)), (Some(1), (1, 0, 1)));
    let losses = losses(&output).join("\n");
    for said in ["a.log: no such file", "loop is a link to a folder", "pipe is a pipe"] {
        assert!(losses.contains(said), "{said} in {losses}");
    }
}

#[test]
fn a_pipe_that_is_named_itself_is_read() {
    let folder = folder();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    let running = meshwhy().arg(&pipe).stdout(Stdio::piped()).spawn().expect("meshwhy runs");
    fs::write(&pipe, failure(1)).expect("it is being read");
    assert_eq!(counts(&running.wait_with_output().expect("it ends")), (1, 0, 1));
}

#[test]
fn an_empty_file_is_no_error_but_is_said() {
    let folder = folder();
    let output = run(&[&write(folder.path(), "istiod.log", "")]);
    assert_eq!((output.status.code(), counts(&output)), (Some(0), (1, 0, 0)));
    assert!(losses(&output)[0].ends_with("istiod.log is empty"));
}

#[test]
fn what_a_truncated_archive_still_holds_counts() {
    let folder = folder();
    let log: String = (0..2_000).map(|at| healthy(at % 50 + 1)).collect();
    let packed = gzip(log.as_bytes());
    write(folder.path(), "cut.log.gz", &packed[..packed.len() / 2]);
    write(folder.path(), "ztunnel.log", failure(1));
    let output = run(&[folder.path()]);
    let (files, _, lines) = counts(&output);
    assert_eq!(files, 2);
    assert!(1_000 < lines && lines < log.lines().count() as u64, "{lines}");
    assert!(losses(&output)[0].contains("cut.log.gz cannot be read to its end"), "{:?}", losses(&output));
}

#[test]
fn random_bytes_are_no_log() {
    let folder = folder();
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let noise: Vec<u8> = (0..100_000)
        .map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 56) as u8
        })
        .collect();
    write(folder.path(), "core.1", noise);
    write(folder.path(), "ztunnel.log", failure(1));
    let output = run(&[folder.path()]);
    assert_eq!(counts(&output), (1, 0, 1));
    assert!(losses(&output)[0].contains("core.1 is no text"));
}

#[test]
fn a_bomb_is_stopped_and_the_rest_is_read() {
    let folder = folder();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    io::copy(&mut io::repeat(b'x').take(80 << 20), &mut packer).expect("memory");
    write(folder.path(), "bomb.log.gz", packer.finish().expect("memory"));
    write(folder.path(), "ztunnel.log", failure(1));
    let output = run(&[folder.path()]);
    assert_eq!(counts(&output).0, 2);
    assert!(losses(&output)[0].contains("expands more than 250 times"), "{:?}", losses(&output));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn packing_upon_packing_is_followed_only_so_deep() {
    let folder = folder();
    let mut packed = failure(1).into_bytes();
    for _ in 0..4 {
        packed = gzip(&packed);
    }
    let output = run(&[&write(folder.path(), "deep.gz", packed)]);
    assert_eq!(counts(&output), (0, 0, 0));
    assert!(losses(&output)[0].contains("packed more than 3 times"));
}

#[test]
fn a_path_in_an_archive_is_a_name_and_never_a_place() {
    let folder = folder();
    let archive = tar(&[("../../outside.log", failure(1).as_bytes()), ("/etc/passwd", failure(2).as_bytes())]);
    let output = run(&[&write(folder.path(), "inner/a.tar", archive)]);
    assert_eq!(counts(&output), (2, 0, 2));
    assert!(!folder.path().join("outside.log").exists());
}

#[test]
fn a_line_larger_than_the_memory_is_read() {
    let folder = folder();
    // The begin of a line, then a hole: more of it in zeros.
    let path = write(folder.path(), "ztunnel.log", failure(1) + &"x".repeat(100_000));
    fs::OpenOptions::new().append(true).open(&path).and_then(|file| file.set_len(300 << 20)).expect("room for a hole");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 262144; exec \"$0\" replay --output ndjson --threads 1 \"$1\""]);
    let output = command.arg(env!("CARGO_BIN_EXE_meshwhy")).arg(&path).output().expect("sh runs");
    assert_eq!(counts(&output), (1, 0, 2), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_log_that_grows_is_read_as_far_as_it_went_when_it_was_opened() {
    let folder = folder();
    let path = write(folder.path(), "istiod.log", healthy(5_000));
    let mut writer = fs::OpenOptions::new().append(true).open(&path).expect("it is there");
    let mut running = meshwhy().arg(&path).stdout(Stdio::piped()).spawn().expect("meshwhy runs");
    let more = healthy(1_000);
    let begun = Instant::now();
    while running.try_wait().expect("a child").is_none() {
        writer.write_all(more.as_bytes()).expect("room");
        thread::sleep(Duration::from_millis(1));
        assert!(begun.elapsed() < Duration::from_secs(60), "it reads for ever");
    }
    let output = running.wait_with_output().expect("it ended");
    assert!(5_000 <= counts(&output).2);
}

#[test]
fn logs_of_several_clusters_are_merged_by_time_and_their_order_on_the_command_line_does_not_matter() {
    let folder = folder();
    let east = write(folder.path(), "east/ztunnel.log", failure(1) + &failure(9));
    let west = write(folder.path(), "west/ztunnel.log", failure(5));
    let (one, other) = (run(&[&east, &west]), run(&[&west, &east]));
    assert_eq!(found(&one), found(&other));
    assert_eq!(found(&one), found(&run(&[folder.path()])));
    let text = String::from_utf8_lossy(&one.stdout).into_owned();
    assert!(text.contains("east") && text.contains("west"), "{text}");
}

#[test]
fn an_appended_previous_log_is_put_before_the_current_one() {
    let folder = folder();
    let appended = "========= Previous log present (appended at the end) =========\n\n".to_string()
        + &failure(30)
        + "\n\n========= Previous log =========\n\n"
        + &failure(2);
    let plain = failure(2) + &failure(30);
    let output = run(&[&write(folder.path(), "bug-report/proxies/istio-system/ztunnel-a/istio-proxy.log", appended)]);
    let expected = run(&[&write(folder.path(), "plain/ztunnel.log", plain)]);
    for key in ["first_at", "last_at", "causes"] {
        assert_eq!(summary(&output)[key], summary(&expected)[key], "{key}");
    }
    assert_eq!(summary(&output)["limits_hit"]["late"], 0);
}

/// Everything that is read, with so many threads, in parts and with a memory that are small.
fn items(folder: &Path, threads: usize) -> Vec<Item> {
    let limits =
        InputLimits { part_bytes: 64 << 10, sort_bytes_max: 256 << 10, look_bytes: 4 << 10, ..InputLimits::default() };
    let paths = [folder.to_path_buf()];
    let wanted =
        Wanted { paths: &paths, cluster_names: &[], since: None, until: None, threads, scan: Scan::On, limits };
    let mut batch = inputs::read(&wanted, None).expect("readable");
    assert_eq!(batch.counts.files, 3);
    std::iter::from_fn(|| batch.next_item().expect("readable")).collect()
}

#[test]
fn any_number_of_threads_reads_the_same_in_the_same_order() {
    let log = |times: u32| -> String {
        let stack = "panic: assignment to entry in nil map\n\ngoroutine 1 [running]:\nmain.main()\n\t/a/b.go:12 +0x1\n";
        (0..times).map(|at| healthy(40) + &failure(at % 60) + stack).collect()
    };
    let folder = folder();
    write(folder.path(), "east/istiod.log", log(200));
    // From the middle on a transport stands in front of the lines: what was cut apart must be read again in one go.
    let prefixed: String =
        failure(3).lines().map(|line| format!("2026-03-01T08:00:00.123456789Z stderr F {line}\n")).collect();
    write(folder.path(), "west/0.log", [log(60), prefixed, log(60)].concat());
    write(folder.path(), "west/1.log", log(3));
    let one = items(folder.path(), 1);
    let texts =
        one.iter().filter(|item| matches!(item, Item::Line(line) if line.text.contains("connection timed out")));
    assert_eq!(texts.count(), 200 + 60 + 1 + 60 + 3);
    let numbers = one.iter().filter_map(|item| match item {
        Item::Line(line) if line.origin.file.ends_with("istiod.log") => Some((line.seq, line.number)),
        _ => None,
    });
    let mut numbers: Vec<(u64, u64)> = numbers.collect();
    numbers.sort();
    assert!(numbers.is_sorted_by_key(|(_, number)| *number), "lines are numbered through all parts");
    for threads in [2, 4] {
        assert!(one == items(folder.path(), threads), "{threads} threads");
    }
}

#[test]
fn since_and_until_leave_lines_out() {
    let folder = folder();
    let log = write(folder.path(), "ztunnel.log", failure(1) + &failure(20) + &failure(40));
    let mut command = meshwhy();
    command.args(["--since", "2026-03-01T09:00:10Z", "--until", "2026-03-01T09:00:30Z"]).arg(log);
    let output = command.output().expect("meshwhy runs");
    let summary = summary(&output);
    let at = "2026-03-01T09:00:20.730Z";
    assert_eq!((summary["first_at"].as_str(), summary["last_at"].as_str()), (Some(at), Some(at)));
    assert_eq!(counts(&output).2, 3, "what is left out was read all the same");
}

#[test]
fn a_bug_report_is_named_after_its_context() {
    let folder = folder();
    let archive = gzip(&tar(&[
        ("bug-report/proxies/istio-system/ztunnel-a/istio-proxy.log", failure(1).as_bytes()),
        ("bug-report/cluster/cluster-context", b"kind-east\nhttps://127.0.0.1:6443\n"),
    ]));
    let output = run(&[&write(folder.path(), "bug-report.tar.gz", archive)]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let finding: Value = serde_json::from_str(text.lines().next().expect("a finding")).expect("a record");
    assert_eq!(finding["clusters"][0], "kind-east", "{text}");
}

#[test]
fn the_user_names_the_cluster_of_a_folder() {
    let folder = folder();
    let log = write(folder.path(), "x/ztunnel.log", failure(1));
    let given = format!("north={}", folder.path().join("x").display());
    let output = meshwhy().args(["--cluster", &given]).arg(log).output().expect("meshwhy runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains("north"), "{}", String::from_utf8_lossy(&output.stdout));
}

fn listening() -> Child {
    meshwhy().arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("meshwhy runs")
}

#[test]
fn a_finding_appears_while_standard_input_is_still_open_and_an_interrupt_ends_it_with_the_summary() {
    let mut running = listening();
    let mut to = running.stdin.take().expect("piped");
    to.write_all(failure(1).as_bytes()).expect("it listens");
    let mut from = BufReader::new(running.stdout.take().expect("piped"));
    let mut line = String::new();
    from.read_line(&mut line).expect("it speaks");
    assert!(line.contains("\"stage\":\"opened\""), "{line}");
    let pid = running.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill runs").success());
    let rest = io::read_to_string(from).expect("it ends");
    assert!(rest.lines().last().is_some_and(|last| last.contains("\"type\":\"summary\"")), "{rest}");
    assert_eq!(running.wait().expect("it ended").code(), Some(1));
    drop(to);
}

#[test]
fn an_archive_on_standard_input_is_read_whole() {
    let mut running = listening();
    let archive = gzip(&tar(&[("z.log", failure(1).as_bytes()), ("i.log", healthy(3).as_bytes())]));
    running.stdin.take().expect("piped").write_all(&archive).expect("it listens");
    assert_eq!(counts(&running.wait_with_output().expect("it ends")), (2, 0, 4));
}

#[test]
fn nobody_reading_the_output_ends_the_program_quietly() {
    let mut running = meshwhy()
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("meshwhy runs");
    let mut to = running.stdin.take().expect("piped");
    drop(running.stdout.take());
    to.write_all(failure(1).as_bytes()).expect("it listens");
    let output = running.wait_with_output().expect("it ends though its input is open");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    drop(to);
}
