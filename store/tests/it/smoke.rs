use tandem_store::embedded::Options;
use tandem_store::{CommitError, Range, Read, Store, StoreError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = Options::new(dir.path()).open().unwrap();
    let mut t = store.begin();
    t.set(b"a".to_vec(), b"1".to_vec());
    t.add(b"n".to_vec(), 5);
    assert_eq!(t.get(b"n", Read::Conflict).await.unwrap().unwrap()[..], 5i64.to_le_bytes());
    t.commit().await.unwrap();
    let mut t = store.begin();
    assert_eq!(t.get(b"a", Read::Conflict).await.unwrap().unwrap(), "1");
    let mut other = store.begin();
    other.set(b"a".to_vec(), b"2".to_vec());
    other.commit().await.unwrap();
    t.set(b"b".to_vec(), b"x".to_vec());
    assert!(matches!(t.commit().await, Err(CommitError::Conflict)));
    assert!(matches!(Options::new(dir.path()).open(), Err(StoreError::InUse { .. })));
    store.close().await.unwrap();
    let store = Options::new(dir.path()).open().unwrap();
    let range = Range { begin: vec![], end: vec![0xff], limit: 10, reverse: true };
    let rows = store.begin().range(range, Read::Snapshot).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1].1, "2");
}
