//! File sizes.

/// A number of bytes, such as `14 B`, `1.5 KiB` or `24 MiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 3] = ["KiB", "MiB", "GiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    if size < 10.0 {
        format!("{size:.1} {unit}")
    } else {
        format!("{size:.0} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn the_unit_grows_with_the_size() {
        let shown = [0, 1023, 1024, 1536, 24 << 20, 5 << 30, 3 << 40].map(size);
        let expected = [
            "0 B", "1023 B", "1.0 KiB", "1.5 KiB", "24 MiB", "5.0 GiB", "3072 GiB",
        ];
        assert_eq!(shown, expected);
    }
}
