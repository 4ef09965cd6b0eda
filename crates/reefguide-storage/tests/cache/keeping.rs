//! Which entries stay in a cache, and which are removed.

use reefguide_lab::{Fault, Route};
use reefguide_storage::{InputCache, Storage};
use std::time::Duration;

use crate::fixture::{Fixture, SIZE, in_time, is_all, names};

#[tokio::test]
async fn an_input_is_downloaded_once_and_its_name_ends_like_its_key() {
    let fixture = Fixture::new().await;
    let uri = fixture.put("maps/Great Barrier/depth ä.tif", b'a').await;
    let first = fixture.fetch(&fixture.cache(3), &uri).await.unwrap();
    let again = fixture.fetch(&fixture.cache(3), &uri).await.unwrap();
    assert!(is_all(&again, b'a'));
    assert_eq!(
        (again.path(), again.size()),
        (first.path(), SIZE),
        "two files for one object"
    );
    assert_eq!(first.path().parent(), Some(fixture.folder.path()));
    assert_eq!(fixture.asked(Route::S3Get), 1);
    assert_eq!(fixture.entries(), ["depth__.tif".to_owned()].into());
    assert_eq!(names(fixture.scratch.path()), [""; 0]);
}

#[tokio::test]
async fn objects_whose_keys_end_alike_have_separate_entries() {
    let fixture = Fixture::new().await;
    let cache = fixture.cache(3);
    for (key, byte) in [("1/depth.tif", b'a'), ("2/depth.tif", b'b')] {
        let uri = fixture.put(key, byte).await;
        assert!(is_all(&fixture.fetch(&cache, &uri).await.unwrap(), byte));
    }
}

#[tokio::test]
async fn no_key_leads_out_of_the_folder() {
    let fixture = Fixture::new().await;
    let long = "l".repeat(900);
    for key in ["a/..", "..", "a/.", "a/b/", "..\\x", &long] {
        let uri = fixture.uri(key);
        fixture.storage.upload_bytes("x", &uri).await.unwrap();
        let input = fixture.fetch(&fixture.cache(3), &uri).await.unwrap();
        assert_eq!(input.path().parent(), Some(fixture.folder.path()), "{key}");
        let scratch = InputCache::new(fixture.folder.path(), 0);
        let input = fixture.fetch(&scratch, &uri).await.unwrap();
        assert_eq!(input.path().parent(), Some(fixture.scratch.path()), "{key}");
    }
}

#[tokio::test]
async fn a_replaced_object_has_a_new_entry() {
    let fixture = Fixture::new().await;
    let cache = fixture.cache(3);
    let uri = fixture.put("depth.tif", b'a').await;
    let old = fixture.fetch(&cache, &uri).await.unwrap();
    fixture.put("depth.tif", b'b').await;
    let new = fixture.fetch(&cache, &uri).await.unwrap();
    assert!(is_all(&new, b'b'));
    assert!(is_all(&old, b'a'), "changed under its reader");
}

#[tokio::test]
async fn an_object_that_is_replaced_before_its_download_is_not_cached_as_the_old_version() {
    let fixture = Fixture::new().await;
    let cache = fixture.cache(3);
    let uri = fixture.put("depth.tif", b'a').await;
    let delay = Fault::delay(Route::S3Get, Duration::from_secs(1));
    fixture.lab.faults().add(delay.times(1));
    let fetching = fixture.fetching(&cache, &uri);
    fixture.until_asked(Route::S3Head, 1).await;
    fixture.put("depth.tif", b'b').await;
    let input = fetching.await.unwrap().unwrap();
    assert!(is_all(&input, b'b'));
    assert_eq!(fixture.asked(Route::S3Get), 2);
    // The first content again, with its ETag.
    fixture.put("depth.tif", b'a').await;
    assert!(is_all(&fixture.fetch(&cache, &uri).await.unwrap(), b'a'));
}

#[tokio::test]
async fn the_least_recently_used_entry_is_removed_first() {
    let fixture = Fixture::new().await;
    let cache = fixture.cache(3);
    for key in ["a", "b", "c", "a", "d"] {
        let uri = fixture.put(key, b'x').await;
        drop(fixture.fetch(&cache, &uri).await.unwrap());
    }
    assert_eq!(fixture.entries(), ["a", "c", "d"].map(str::to_owned).into());
}

#[tokio::test]
async fn an_input_in_use_is_kept_and_one_without_room_is_downloaded_for_its_attempt() {
    let fixture = Fixture::new().await;
    let cache = fixture.cache(2);
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|key| fixture.uri(key));
    for key in ["a", "b", "c", "d"] {
        fixture.put(key, key.as_bytes()[0]).await;
    }
    let used = fixture.fetch(&cache, &a).await.unwrap();
    drop(fixture.fetch(&cache, &b).await.unwrap());
    let also_used = fixture.fetch(&fixture.cache(2), &c).await.unwrap();
    assert_eq!(fixture.entries(), ["a", "c"].map(str::to_owned).into());
    let elsewhere = fixture.fetch(&cache, &d).await.unwrap();
    assert_eq!(elsewhere.path().parent(), Some(fixture.scratch.path()));
    assert!(is_all(&used, b'a') && is_all(&also_used, b'c') && is_all(&elsewhere, b'd'));
    drop(elsewhere);
    assert_eq!(names(fixture.scratch.path()), [""; 0]);
    drop(used);
    drop(fixture.fetch(&cache, &d).await.unwrap());
    assert_eq!(fixture.entries(), ["c", "d"].map(str::to_owned).into());
}

#[tokio::test]
async fn an_object_larger_than_the_cache_is_downloaded_for_its_attempt_and_evicts_nothing() {
    let fixture = Fixture::new().await;
    let cache = fixture.cache(1);
    let kept = fixture.put("kept", b'a').await;
    drop(fixture.fetch(&cache, &kept).await.unwrap());
    let large = fixture.uri("large");
    let bytes = vec![b'x'; usize::try_from(SIZE).unwrap() + 1];
    fixture.storage.upload_bytes(bytes, &large).await.unwrap();
    let input = fixture.fetch(&cache, &large).await.unwrap();
    assert_eq!(input.size(), SIZE + 1);
    assert_eq!(input.path().parent(), Some(fixture.scratch.path()));
    assert_eq!(fixture.entries(), ["kept".to_owned()].into());
}

#[tokio::test]
async fn an_object_without_an_etag_is_copied_for_its_attempt() {
    let fixture = Fixture::new().await;
    let store = tempfile::tempdir().unwrap();
    let storage = Storage::folder(store.path());
    let uri = fixture.uri("depth.tif");
    storage.upload_bytes("-4", &uri).await.unwrap();
    let cache = fixture.cache(3);
    let input = cache
        .fetch(&storage, &uri, fixture.scratch.path())
        .await
        .unwrap();
    assert_eq!(std::fs::read(&input).unwrap(), b"-4");
    assert_eq!(input.path().parent(), Some(fixture.scratch.path()));
    drop(input);
    assert_eq!(names(fixture.scratch.path()), [""; 0]);
    assert_eq!(names(fixture.folder.path()), [""; 0]);
}

#[tokio::test]
async fn a_damaged_entry_is_downloaded_again() {
    let fixture = Fixture::new().await;
    let cache = fixture.cache(3);
    let uri = fixture.put("depth.tif", b'a').await;
    drop(fixture.fetch(&cache, &uri).await.unwrap());
    for size in [0, SIZE - 1, SIZE + 1] {
        let entry = std::fs::File::options()
            .write(true)
            .open(fixture.entry("tif"));
        entry.unwrap().set_len(size).unwrap();
        assert!(is_all(&fixture.fetch(&cache, &uri).await.unwrap(), b'a'));
    }
    assert_eq!(fixture.asked(Route::S3Get), 4);
}

#[tokio::test]
async fn files_of_others_are_left_alone() {
    let fixture = Fixture::new().await;
    let foreign = [
        "notes.txt",
        ".unfinished-x",
        ".unfinished-00000000000000000000000000000000-many-x",
        "0123456789abcdef0123456789ABCDEF-x",
    ];
    for name in foreign {
        std::fs::write(fixture.folder.path().join(name), vec![0; 1 << 20]).unwrap();
    }
    let folder = "0123456789abcdef0123456789abcdef-folder";
    std::fs::create_dir(fixture.folder.path().join(folder)).unwrap();
    let cache = fixture.cache(1);
    cache.prepare().await.unwrap();
    for (key, byte) in [("a", b'a'), ("b", b'b')] {
        let uri = fixture.put(key, byte).await;
        let input = fixture.fetch(&cache, &uri).await.unwrap();
        assert_eq!(input.path().parent(), Some(fixture.folder.path()));
        assert!(is_all(&input, byte));
    }
    let left = names(fixture.folder.path());
    for name in foreign.iter().chain([&folder]) {
        assert!(left.iter().any(|left| left == name), "{name} is gone");
    }
}

#[tokio::test]
async fn prepare_shrinks_a_cache_to_a_smaller_limit() {
    let fixture = Fixture::new().await;
    for key in ["a", "b", "c"] {
        let uri = fixture.put(key, b'x').await;
        drop(fixture.fetch(&fixture.cache(3), &uri).await.unwrap());
    }
    in_time(fixture.cache(1).prepare()).await.unwrap();
    assert_eq!(fixture.entries(), ["c".to_owned()].into());
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let fixture = Fixture::new().await;
    let file = fixture.scratch.path().join("file");
    std::fs::write(&file, "").unwrap();
    let cache = InputCache::new(file.join("inputs"), SIZE);
    let error = cache.prepare().await.unwrap_err().to_string();
    assert_eq!(
        error,
        format!("cannot make folder {}", file.join("inputs").display())
    );
    let uri = fixture.put("a", b'a').await;
    assert!(fixture.fetch(&cache, &uri).await.is_err());
}
