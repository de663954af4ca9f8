//! The picture on a guest's console: a few lines of text, as a PNG.

const WIDTH: usize = 640;
const HEIGHT: usize = 400;

/// How large a point of a letter is drawn.
const SCALE: usize = 3;

/// Letters of three by five points, row by row from the top left: (letter, 15 bits).
const FONT: &[(char, u16)] = &[
    ('a', 0b010_101_111_101_101),
    ('b', 0b110_101_110_101_110),
    ('c', 0b011_100_100_100_011),
    ('d', 0b110_101_101_101_110),
    ('e', 0b111_100_110_100_111),
    ('f', 0b111_100_110_100_100),
    ('g', 0b011_100_101_101_011),
    ('h', 0b101_101_111_101_101),
    ('i', 0b111_010_010_010_111),
    ('j', 0b001_001_001_101_010),
    ('k', 0b101_101_110_101_101),
    ('l', 0b100_100_100_100_111),
    ('m', 0b101_111_111_101_101),
    ('n', 0b110_101_101_101_101),
    ('o', 0b010_101_101_101_010),
    ('p', 0b110_101_110_100_100),
    ('q', 0b010_101_101_110_011),
    ('r', 0b110_101_110_101_101),
    ('s', 0b011_100_010_001_110),
    ('t', 0b111_010_010_010_010),
    ('u', 0b101_101_101_101_111),
    ('v', 0b101_101_101_101_010),
    ('w', 0b101_101_111_111_101),
    ('x', 0b101_101_010_101_101),
    ('y', 0b101_101_010_010_010),
    ('z', 0b111_001_010_100_111),
    ('0', 0b111_101_101_101_111),
    ('1', 0b010_110_010_010_111),
    ('2', 0b110_001_010_100_111),
    ('3', 0b110_001_010_001_110),
    ('4', 0b101_101_111_001_001),
    ('5', 0b111_100_110_001_110),
    ('6', 0b011_100_111_101_111),
    ('7', 0b111_001_010_010_010),
    ('8', 0b111_101_111_101_111),
    ('9', 0b111_101_111_001_110),
    ('-', 0b000_000_111_000_000),
    ('_', 0b000_000_000_000_111),
    ('.', 0b000_000_000_000_010),
    (':', 0b000_010_000_010_000),
];

/// White on black, a line of text each.
pub fn picture(lines: &[&str]) -> Vec<u8> {
    // A bit a point, and a byte in front of each row that says "as it is".
    let stride = WIDTH / 8 + 1;
    let mut rows = vec![0u8; stride * HEIGHT];
    for (row, line) in lines.iter().enumerate() {
        for (column, letter) in line.chars().enumerate() {
            draw(&mut rows, stride, (8 + column * 4 * SCALE, 8 + row * 7 * SCALE), letter);
        }
    }
    let mut out = vec![0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
    let size = |number: usize| u32::try_from(number).unwrap_or_default().to_be_bytes();
    let mut head = [size(WIDTH), size(HEIGHT)].concat();
    // One bit a point, grey, nothing special.
    head.extend([1, 0, 0, 0, 0]);
    chunk(&mut out, b"IHDR", &head);
    chunk(&mut out, b"IDAT", &stored(&rows));
    chunk(&mut out, b"IEND", &[]);
    out
}

fn draw(rows: &mut [u8], stride: usize, (left, top): (usize, usize), letter: char) {
    let Some((_, bits)) = FONT.iter().find(|(known, _)| *known == letter.to_ascii_lowercase()) else { return };
    for point in (0..15).filter(|point| bits >> (14 - point) & 1 == 1) {
        let (x, y) = (left + point % 3 * SCALE, top + point / 3 * SCALE);
        for (dx, dy) in (0..SCALE * SCALE).map(|n| (n % SCALE, n / SCALE)) {
            let (x, y) = (x + dx, y + dy);
            if x < WIDTH && y < HEIGHT {
                rows[y * stride + 1 + x / 8] |= 0x80 >> (x % 8);
            }
        }
    }
}

/// As zlib has it, without compressing anything.
fn stored(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let mut parts = data.chunks(0xffff).peekable();
    while let Some(part) = parts.next() {
        let length = u16::try_from(part.len()).unwrap_or_default();
        out.push(u8::from(parts.peek().is_none()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(part);
    }
    let (a, b) = data.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    out.extend((b << 16 | a).to_be_bytes());
    out
}

fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    out.extend(u32::try_from(data.len()).unwrap_or_default().to_be_bytes());
    out.extend(kind);
    out.extend(data);
    let sum = kind.iter().chain(data).fold(!0u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 })
    });
    out.extend((!sum).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_a_png() {
        let picture = picture(&["guest1", "", "guest1 login:"]);
        assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\x80\0\0\x01\x90\x01\0\0\0\0"));
        // The checksum of an empty last chunk is well known.
        assert!(picture.ends_with(b"\0\0\0\0IEND\xaeB`\x82"));
        assert_eq!(stored(b"abc"), [0x78, 1, 1, 3, 0, 0xfc, 0xff, b'a', b'b', b'c', 0x02, 0x4d, 0x01, 0x27]);
    }
}
