//! The content of objects.

/// Bytes in which all parts differ.
pub(crate) fn content(size: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let mut content = Vec::with_capacity(size + 8);
    while content.len() < size {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        content.extend_from_slice(&state.to_le_bytes());
    }
    content.truncate(size);
    content
}
