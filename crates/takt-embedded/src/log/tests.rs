//! Tests of the log on files: contract, damage, locks, faults and power loss.

use std::cell::RefCell;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_log_on_files_keeps_the_contract() {
    let folders = RefCell::new(Vec::new());
    let make = async || {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(folder.path(), Settings::default()).unwrap();
        folders.borrow_mut().push(folder);
        Arc::new(log) as Arc<dyn EventLog>
    };
    takt_testkit::event_log_contract(make).await;
}
