//! Text for the daemon's commands: plain where that is safe, otherwise UTF-16 in uuencode.
//!
//! # Source
//! `reference/library.md` 9.1, "Encoding of commands".

/// Bytes on a line of uuencode.
const LINE: usize = 45;

/// The form in which a command is sent: as it is when it is plain ASCII and cannot be taken for uuencode.
pub(super) fn encode(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let is_plain = text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\n' | b'\t'));
    if is_plain && !text.lines().any(|line| line.starts_with("begin")) {
        return text;
    }
    let mut bytes = vec![0xff, 0xfe];
    bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    uuencode(&bytes)
}

/// With the classic header, blanks for zero bits, and a newline after the end.
fn uuencode(bytes: &[u8]) -> String {
    let mut out = String::from("begin 666 <data>\n");
    for line in bytes.chunks(LINE) {
        out.push(letter(line.len() as u32));
        for three in line.chunks(3) {
            let at = |i: usize| u32::from(three.get(i).copied().unwrap_or_default());
            let bits = at(0) << 16 | at(1) << 8 | at(2);
            out.extend([18, 12, 6, 0].map(|shift| letter(bits >> shift & 63)));
        }
        out.push('\n');
    }
    out.push_str(" \nend\n");
    out
}

fn letter(six: u32) -> char {
    char::from_u32(32 + six).unwrap_or(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_example_comes_out() {
        let bytes: Vec<u8> = [0xff, 0xfe].into_iter().chain("echo hi".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(uuencode(&bytes), "begin 666 <data>\n0__YE &, : !O \"  : !I    \n \nend\n");
    }

    #[test]
    fn only_what_may_be_taken_for_something_else_is_encoded() {
        for plain in ["echo hi", "a\nb\r\n", "echo %PATH% & dir <nul >\"x\"", " begin"] {
            assert_eq!(encode(plain), plain.replace("\r\n", "\n"));
        }
        for odd in ["echo \u{e9}", "begin", "x\nbegin 666 a", "a\rb", "a\u{1b}b", "\u{1f600}"] {
            let encoded = encode(odd);
            assert!(encoded.starts_with("begin 666 <data>\n") && encoded.ends_with(" \nend\n"), "{odd:?}: {encoded}");
        }
    }

    /// Python's own decoder, where there is one, reads back what was written.
    #[test]
    fn another_decoder_reads_it() {
        use std::io::Write;
        let text = "echo gr\u{fc}\u{df}e \u{1f600}\n".repeat(40);
        let program = "import sys, codecs; sys.stdout.write(codecs.decode(sys.stdin.buffer.read(), 'uu').decode('utf-16'))";
        let python = std::process::Command::new("python3")
            .args(["-W", "ignore", "-X", "utf8", "-c", program])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn();
        let Ok(mut python) = python else { return eprintln!("SKIPPED: no python3 here: uuencode is not checked against it") };
        python.stdin.take().unwrap().write_all(encode(&text).as_bytes()).unwrap();
        let output = python.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
    }
}
