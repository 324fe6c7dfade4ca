//! The inputs that are kept: `corpus/<target>.txt`, one a line, written so that they can be read. A line that begins with `#` says
//! why the ones below it are there.

use std::path::PathBuf;

/// The inputs of a target; none if it has no file.
///
/// # Panics
/// A line is not written as an input.
pub fn read(target: &str) -> Vec<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(format!("{target}.txt"));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| unescaped(line).unwrap_or_else(|| panic!("corpus/{target}.txt: not an input: {line}")))
        .collect()
}

/// An input as one line.
pub fn escaped(input: &[u8]) -> String {
    let text = input.escape_ascii().to_string();
    // What begins like a comment is none.
    match text.strip_prefix('#') {
        Some(rest) => format!("\\x23{rest}"),
        None => text,
    }
}

/// The input that a line stands for.
pub fn unescaped(line: &str) -> Option<Vec<u8>> {
    let mut bytes = line.bytes();
    let mut input = Vec::with_capacity(line.len());
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            input.push(byte);
            continue;
        }
        input.push(match bytes.next()? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    Some(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_is_a_line() {
        for input in [&b""[..], b"# no comment", b"a\\b'\"\n\r\t", &(0..=255).collect::<Vec<u8>>()] {
            let line = escaped(input);
            assert!(!line.contains('\n') && !line.starts_with('#'));
            assert_eq!(unescaped(&line).as_deref(), Some(input));
        }
        assert_eq!(unescaped("\\x4"), None);
        assert_eq!(unescaped("é"), Some("é".as_bytes().to_vec()));
    }
}
