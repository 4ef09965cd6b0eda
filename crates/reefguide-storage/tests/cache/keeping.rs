//! What is kept, and what goes.

use reefguide_lab::{Fault, Route};
use reefguide_storage::{InputCache, Storage};
use std::time::Duration;

use crate::rig::{Rig, SIZE, in_time, is_all, names};

#[tokio::test]
async fn an_input_is_downloaded_once_and_its_name_ends_like_its_key() {
    let rig = Rig::new().await;
    let uri = rig.put("maps/Great Barrier/depth ä.tif", b'a').await;
    let first = rig.fetch(&rig.cache(3), &uri).await.unwrap();
    let again = rig.fetch(&rig.cache(3), &uri).await.unwrap();
    assert!(is_all(&again, b'a'));
    assert_eq!(
        (again.path(), again.size()),
        (first.path(), SIZE),
        "two files for one object"
    );
    assert_eq!(first.path().parent(), Some(rig.folder.path()));
    assert_eq!(rig.asked(Route::S3Get), 1);
    assert_eq!(rig.entries(), ["depth__.tif".to_owned()].into());
    assert_eq!(names(rig.scratch.path()), [""; 0]);
}

#[tokio::test]
async fn keys_that_end_alike_are_not_mixed_up() {
    let rig = Rig::new().await;
    let cache = rig.cache(3);
    for (key, byte) in [("1/depth.tif", b'a'), ("2/depth.tif", b'b')] {
        let uri = rig.put(key, byte).await;
        assert!(is_all(&rig.fetch(&cache, &uri).await.unwrap(), byte));
    }
}

#[tokio::test]
async fn no_key_leads_out_of_the_folder() {
    let rig = Rig::new().await;
    let long = "l".repeat(900);
    for key in ["a/..", "..", "a/.", "a/b/", "..\\x", &long] {
        let uri = rig.uri(key);
        rig.storage.upload_bytes("x", &uri).await.unwrap();
        let input = rig.fetch(&rig.cache(3), &uri).await.unwrap();
        assert_eq!(input.path().parent(), Some(rig.folder.path()), "{key}");
        let scratch = InputCache::new(rig.folder.path(), 0);
        let input = rig.fetch(&scratch, &uri).await.unwrap();
        assert_eq!(input.path().parent(), Some(rig.scratch.path()), "{key}");
    }
}

#[tokio::test]
async fn an_object_that_was_replaced_is_another_entry() {
    let rig = Rig::new().await;
    let cache = rig.cache(3);
    let uri = rig.put("depth.tif", b'a').await;
    let old = rig.fetch(&cache, &uri).await.unwrap();
    rig.put("depth.tif", b'b').await;
    let new = rig.fetch(&cache, &uri).await.unwrap();
    assert!(is_all(&new, b'b'));
    assert!(is_all(&old, b'a'), "changed under its reader");
}

#[tokio::test]
async fn an_object_that_is_replaced_before_it_is_downloaded_is_not_kept_as_the_old_one() {
    let rig = Rig::new().await;
    let cache = rig.cache(3);
    let uri = rig.put("depth.tif", b'a').await;
    let delay = Fault::delay(Route::S3Get, Duration::from_secs(1));
    rig.lab.faults().add(delay.times(1));
    let fetching = rig.fetching(&cache, &uri);
    rig.until_asked(Route::S3Head, 1).await;
    rig.put("depth.tif", b'b').await;
    let input = fetching.await.unwrap().unwrap();
    assert!(is_all(&input, b'b'));
    assert_eq!(rig.asked(Route::S3Get), 2);
    // Back as it was, with the ETag that was asked for first.
    rig.put("depth.tif", b'a').await;
    assert!(is_all(&rig.fetch(&cache, &uri).await.unwrap(), b'a'));
}

#[tokio::test]
async fn what_was_not_used_for_the_longest_time_goes_first() {
    let rig = Rig::new().await;
    let cache = rig.cache(3);
    for key in ["a", "b", "c", "a", "d"] {
        let uri = rig.put(key, b'x').await;
        drop(rig.fetch(&cache, &uri).await.unwrap());
    }
    assert_eq!(rig.entries(), ["a", "c", "d"].map(str::to_owned).into());
}

#[tokio::test]
async fn an_input_in_use_stays_and_what_finds_no_room_is_downloaded_for_its_attempt() {
    let rig = Rig::new().await;
    let cache = rig.cache(2);
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|key| rig.uri(key));
    for key in ["a", "b", "c", "d"] {
        rig.put(key, key.as_bytes()[0]).await;
    }
    let used = rig.fetch(&cache, &a).await.unwrap();
    drop(rig.fetch(&cache, &b).await.unwrap());
    let also_used = rig.fetch(&rig.cache(2), &c).await.unwrap();
    assert_eq!(rig.entries(), ["a", "c"].map(str::to_owned).into());
    let elsewhere = rig.fetch(&cache, &d).await.unwrap();
    assert_eq!(elsewhere.path().parent(), Some(rig.scratch.path()));
    assert!(is_all(&used, b'a') && is_all(&also_used, b'c') && is_all(&elsewhere, b'd'));
    drop(elsewhere);
    assert_eq!(names(rig.scratch.path()), [""; 0]);
    drop(used);
    drop(rig.fetch(&cache, &d).await.unwrap());
    assert_eq!(rig.entries(), ["c", "d"].map(str::to_owned).into());
}

#[tokio::test]
async fn an_object_larger_than_the_cache_is_downloaded_for_its_attempt_and_nothing_goes_for_it() {
    let rig = Rig::new().await;
    let cache = rig.cache(1);
    let kept = rig.put("kept", b'a').await;
    drop(rig.fetch(&cache, &kept).await.unwrap());
    let large = rig.uri("large");
    let bytes = vec![b'x'; usize::try_from(SIZE).unwrap() + 1];
    rig.storage.upload_bytes(bytes, &large).await.unwrap();
    let input = rig.fetch(&cache, &large).await.unwrap();
    assert_eq!(input.size(), SIZE + 1);
    assert_eq!(input.path().parent(), Some(rig.scratch.path()));
    assert_eq!(rig.entries(), ["kept".to_owned()].into());
}

#[tokio::test]
async fn an_object_without_an_etag_is_copied_for_its_attempt() {
    let rig = Rig::new().await;
    let store = tempfile::tempdir().unwrap();
    let storage = Storage::folder(store.path());
    let uri = rig.uri("depth.tif");
    storage.upload_bytes("-4", &uri).await.unwrap();
    let cache = rig.cache(3);
    let input = cache
        .fetch(&storage, &uri, rig.scratch.path())
        .await
        .unwrap();
    assert_eq!(std::fs::read(&input).unwrap(), b"-4");
    assert_eq!(input.path().parent(), Some(rig.scratch.path()));
    drop(input);
    assert_eq!(names(rig.scratch.path()), [""; 0]);
    assert_eq!(names(rig.folder.path()), [""; 0]);
}

#[tokio::test]
async fn a_damaged_entry_is_downloaded_anew() {
    let rig = Rig::new().await;
    let cache = rig.cache(3);
    let uri = rig.put("depth.tif", b'a').await;
    drop(rig.fetch(&cache, &uri).await.unwrap());
    for size in [0, SIZE - 1, SIZE + 1] {
        let entry = std::fs::File::options().write(true).open(rig.entry("tif"));
        entry.unwrap().set_len(size).unwrap();
        assert!(is_all(&rig.fetch(&cache, &uri).await.unwrap(), b'a'));
    }
    assert_eq!(rig.asked(Route::S3Get), 4);
}

#[tokio::test]
async fn files_of_others_are_left_alone() {
    let rig = Rig::new().await;
    let foreign = [
        "notes.txt",
        ".unfinished-x",
        ".unfinished-00000000000000000000000000000000-many-x",
        "0123456789abcdef0123456789ABCDEF-x",
    ];
    for name in foreign {
        std::fs::write(rig.folder.path().join(name), vec![0; 1 << 20]).unwrap();
    }
    let folder = "0123456789abcdef0123456789abcdef-folder";
    std::fs::create_dir(rig.folder.path().join(folder)).unwrap();
    let cache = rig.cache(1);
    cache.prepare().await.unwrap();
    for (key, byte) in [("a", b'a'), ("b", b'b')] {
        let uri = rig.put(key, byte).await;
        let input = rig.fetch(&cache, &uri).await.unwrap();
        assert_eq!(input.path().parent(), Some(rig.folder.path()));
        assert!(is_all(&input, byte));
    }
    let left = names(rig.folder.path());
    for name in foreign.iter().chain([&folder]) {
        assert!(left.iter().any(|left| left == name), "{name} is gone");
    }
}

#[tokio::test]
async fn a_cache_that_was_made_smaller_is_cut_down_at_the_start() {
    let rig = Rig::new().await;
    for key in ["a", "b", "c"] {
        let uri = rig.put(key, b'x').await;
        drop(rig.fetch(&rig.cache(3), &uri).await.unwrap());
    }
    in_time(rig.cache(1).prepare()).await.unwrap();
    assert_eq!(rig.entries(), ["c".to_owned()].into());
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let rig = Rig::new().await;
    let file = rig.scratch.path().join("file");
    std::fs::write(&file, "").unwrap();
    let cache = InputCache::new(file.join("inputs"), SIZE);
    let error = cache.prepare().await.unwrap_err().to_string();
    assert_eq!(
        error,
        format!("cannot make folder {}", file.join("inputs").display())
    );
    let uri = rig.put("a", b'a').await;
    assert!(rig.fetch(&cache, &uri).await.is_err());
}
