use super::*;
use crate::access::audit::test_sinks::{Kept, record};

/// As far away as a test may take.
fn later() -> Instant {
    Instant::now() + Duration::from_secs(50)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(50)
}

fn log(sinks: &[&Kept], required: bool, room: usize) -> AuditLog {
    let sinks = sinks.iter().map(|sink| Box::new((*sink).clone()) as Box<dyn Sink>).collect();
    AuditLog::with(sinks, required, room).unwrap()
}

const WHILE: Duration = Duration::from_secs(50);

#[tokio::test]
async fn a_record_is_written_before_the_read_goes_on() {
    for required in [false, true] {
        let (one, other) = (Kept::default(), Kept::default());
        let log = log(&[&one, &other], required, 8);
        for path in ["a", "b"] {
            log.write(record(path), later()).await.unwrap();
            assert!(one.said().contains(&format!("allow {path}")));
            assert!(other.said().contains(&format!("allow {path}")));
        }
    }
}

#[tokio::test]
async fn without_a_sink_nothing_is_waited_for() {
    let log = AuditLog::start(&AuditSettings::default()).unwrap();
    assert!(!log.is_enabled());
    assert_eq!(log.write(record("a"), Instant::now()).await, Ok(()));
    assert!(log.finish(Duration::ZERO));
}

#[tokio::test]
async fn what_a_failing_sink_did_not_get_is_counted_and_told_to_it_later() {
    let (broken, fine) = (Kept::default(), Kept::default());
    let log = log(&[&broken, &fine], false, 8);
    broken.fail(true);
    for path in ["a", "b", "c"] {
        assert_eq!(log.write(record(path), later()).await, Ok(()), "the read goes on");
    }
    let report = log.sinks();
    assert_eq!((report[0].lost, report[1].lost, report[1].written), (3, 0, 3));
    assert_eq!(report[0].failing.as_deref(), Some("told to"));

    broken.fail(false);
    log.write(record("d"), later()).await.unwrap();
    assert_eq!(broken.said(), ["lost 3", "allow d"]);
    assert_eq!(fine.said(), ["allow a", "allow b", "allow c", "allow d"]);
    assert_eq!(log.sinks()[0].failing, None);
}

#[tokio::test]
async fn a_sink_that_works_again_is_told_even_if_nobody_reads_any_more() {
    let sink = Kept::default();
    let log = log(&[&sink], false, 8);
    sink.fail(true);
    log.write(record("a"), later()).await.unwrap();
    sink.fail(false);
    while sink.said().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(sink.said(), ["lost 1"]);
}

#[tokio::test]
async fn a_required_record_that_a_sink_does_not_take_refuses_the_read_and_no_sink_says_otherwise() {
    let (broken, fine) = (Kept::default(), Kept::default());
    let log = log(&[&fine, &broken], true, 8);
    broken.fail(true);
    let refused = log.write(record("a"), later()).await;
    assert_eq!(refused, Err(AuditError::Failed("kept: told to".to_owned())));
    log.finish(WHILE);
    assert_eq!(fine.said(), ["allow a", "deny a"]);
    assert!(fine.lines.lock().unwrap()[1]["reason"].as_str().unwrap().contains("told to"));
    broken.fail(false);
    assert_eq!(log.write(record("b"), later()).await, Ok(()));
    assert_eq!(broken.said(), ["lost 2", "allow b"]);
}

#[tokio::test]
async fn a_sink_that_hangs_holds_no_read_beyond_its_deadline() {
    for required in [false, true] {
        let sink = Kept::default();
        let log = log(&[&sink], required, 8);
        let gate = sink.hang();
        // Not too soon for the writer to take it: a record that nobody waits for any more is not written as allowed.
        let result = log.write(record("hung"), Instant::now() + Duration::from_secs(2)).await;
        let waiting = log.write(record("waiting"), soon()).await;
        if required {
            assert_eq!((result, waiting), (Err(AuditError::Late), Err(AuditError::Late)));
        } else {
            assert_eq!((result, waiting), (Ok(()), Ok(())));
        }
        assert!(sink.said().is_empty());

        drop(gate);
        assert!(log.finish(WHILE), "nothing is lost");
        if required {
            assert_eq!(sink.said(), ["allow hung", "deny hung", "deny waiting"]);
        } else {
            assert_eq!(sink.said(), ["allow hung", "allow waiting"]);
        }
    }
}

#[tokio::test]
async fn a_read_that_was_given_up_is_recorded_as_refused_where_records_are_required() {
    let sink = Kept::default();
    let log = log(&[&sink], true, 8);
    let gate = sink.hang();
    let first = log.write(record("first"), later());
    drop(log.write(record("given up"), later()));
    drop(gate);
    first.await.unwrap();
    assert!(log.finish(WHILE));
    assert_eq!(sink.said(), ["allow first", "deny given up"]);
}

#[tokio::test]
async fn what_finds_the_queue_full_is_counted_in_every_sink() {
    for required in [false, true] {
        let (sink, other) = (Kept::default(), Kept::default());
        let log = log(&[&sink, &other], required, 2);
        let gate = sink.hang();
        let first = tokio::spawn(log.write(record("first"), later()));
        // The writer has taken the first once a second and a third fit beside each other.
        let mut queued = Vec::new();
        let mut full = 0;
        while full < 3 {
            if log.overflow() > full {
                full = log.overflow();
            }
            let written = log.write(record("more"), later());
            let mut written = tokio::spawn(written);
            match tokio::time::timeout(Duration::from_millis(50), &mut written).await {
                Ok(result) if required => assert_eq!(result.unwrap(), Err(AuditError::Full)),
                Ok(result) => assert_eq!(result.unwrap(), Ok(())),
                Err(_) => queued.push(written),
            }
        }
        let lost = log.overflow();
        assert!(lost >= 3);
        drop(gate);
        first.await.unwrap().unwrap();
        for written in queued {
            written.await.unwrap().unwrap();
        }
        assert!(log.finish(WHILE));
        for sink in [&sink, &other] {
            let said = sink.said();
            assert!(said.contains(&format!("lost {lost}")), "{said:?}");
        }
    }
}

#[tokio::test]
async fn a_file_gets_every_record_of_many_at_once_and_each_on_its_own_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let settings = AuditSettings { file: Some(path.clone()), required: true, ..AuditSettings::default() };
    let log = AuditLog::start(&settings).unwrap();
    let all: Vec<_> = (0..500).map(|n| tokio::spawn(log.write(record(&n.to_string()), later()))).collect();
    for written in all {
        written.await.unwrap().unwrap();
    }
    let text = std::fs::read_to_string(path).unwrap();
    let mut paths: Vec<u32> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["path"].as_str().unwrap().parse().unwrap())
        .collect();
    paths.sort_unstable();
    assert_eq!(paths, (0..500).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_required_record_on_a_full_device_refuses_the_read() {
    let settings = AuditSettings { file: Some("/dev/full".into()), required: true, ..AuditSettings::default() };
    let log = AuditLog::start(&settings).unwrap();
    let refused = log.write(record("a"), later()).await.unwrap_err();
    assert!(refused.to_string().contains("file: No space left on device"), "{refused}");
}
