//! Against the examples of the RFC, and against another implementation.

use proptest::{collection::vec, prelude::*};

use super::*;

/// As text, `name: value`.
fn lines(fields: &[Field]) -> Vec<String> {
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    fields.iter().map(|field| format!("{}: {}", text(&field.name), text(&field.value))).collect()
}

fn pairs(fields: Vec<Field>) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.into_iter().map(|field| (field.name, field.value)).collect()
}

/// RFC 7541, C.4: three requests on one connection, Huffman coded, the table in use.
#[test]
fn the_rfcs_requests_decode() {
    let mut decoder = Decoder::new();
    let first = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
    let wanted = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
    assert_eq!(lines(&decoder.decode(first).unwrap()), wanted);
    let second = decoder.decode(b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf").unwrap();
    assert_eq!(lines(&second)[3..], [":authority: www.example.com", "cache-control: no-cache"]);
    let third = b"\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf";
    let third = decoder.decode(third).unwrap();
    assert_eq!(lines(&third)[3..], [":authority: www.example.com", "custom-key: custom-value"]);
    assert_eq!(decoder.bytes, 164);
}

/// The codes counted up from [`huffman`]'s tables, as the other implementation must know them.
fn huffman_coded(plain: &[u8]) -> Vec<u8> {
    let mut bits = Vec::new();
    for octet in plain {
        let place = huffman::SYMBOLS.iter().position(|symbol| symbol == octet).unwrap();
        let (mut first, mut before, mut length) = (0, 0, 0);
        while place >= before + huffman::COUNTS[length] {
            before += huffman::COUNTS[length];
            first = (first + huffman::COUNTS[length]) << 1;
            length += 1;
        }
        let code = first + place - before;
        bits.extend((0..length).rev().map(|shift| code >> shift & 1 == 1));
    }
    let octet = |bits: &[bool]| {
        (0..8).fold(0, |octet, at| octet << 1 | u8::from(*bits.get(at).unwrap_or(&true)))
    };
    bits.chunks(8).map(octet).collect()
}

#[test]
fn every_octets_huffman_code_is_the_others() {
    for octet in 0..=u8::MAX {
        let coded = huffman_coded(&[octet, b'a', octet]);
        let mut block = vec![0x00, 0x01, b'n', 0x80 | u8::try_from(coded.len()).unwrap()];
        block.extend_from_slice(&coded);
        let ours = pairs(Decoder::new().decode(&block).unwrap());
        assert_eq!(ours, [(b"n".to_vec(), vec![octet, b'a', octet])]);
        assert_eq!(ours, loona_hpack::Decoder::new().decode(&block).unwrap());
    }
}

#[test]
fn a_bad_fill_or_end_of_string_mark_is_refused() {
    for coded in [&[0x1f, 0xff][..], &[0x18], &[0xff, 0xff, 0xff, 0xff]] {
        assert_eq!(huffman::decode(coded), Err(HpackError::Huffman), "{coded:?}");
    }
}

#[test]
fn the_table_forgets_what_it_has_no_room_for() {
    let mut decoder = Decoder::new();
    decoder.decode(b"\x40\x01a\x01b\x40\x01c\x01d").unwrap();
    // Room for one entry of 34 bytes: the older one goes.
    let kept = decoder.decode(b"\x3f\x03\xbe").unwrap();
    assert_eq!(lines(&kept), ["c: d"]);
    assert_eq!(decoder.decode(b"\xbf"), Err(HpackError::NoSuchIndex(63)));
    // One larger than all the room empties it.
    decoder.decode(b"\x40\x01e\x02fg").unwrap();
    assert_eq!(decoder.decode(b"\xbe"), Err(HpackError::NoSuchIndex(62)));
}

#[test]
fn malformed_blocks_are_refused() {
    for (block, wanted) in [
        (&b"\x80"[..], HpackError::NoSuchIndex(0)),
        (b"\xbe", HpackError::NoSuchIndex(62)),
        (b"\x41", HpackError::Truncated),
        (b"\x41\x05h", HpackError::Truncated),
        (b"\x7f", HpackError::Truncated),
        (b"\x7f\xff\xff\xff\xff\x01", HpackError::IntegerTooLong),
        (b"\x3f\xe2\x1f\x82", HpackError::Resize),
        (b"\x82\x20", HpackError::Resize),
    ] {
        assert_eq!(Decoder::new().decode(block), Err(wanted), "{block:?}");
    }
}

#[test]
fn a_small_block_cannot_unfold_without_bound() {
    let mut decoder = Decoder::new();
    let value = vec![b'v'; 4000];
    let mut block = Vec::from(*b"\x40\x01n\x7f\xa1\x1e");
    block.extend_from_slice(&value);
    assert_eq!(decoder.decode(&block).unwrap()[0].value, value);
    assert_eq!(decoder.decode(&[0xbe; 17]), Err(HpackError::ListTooLarge));
}

proptest! {
    #[test]
    fn what_another_encodes_decodes_and_the_other_way_round(
        requests in vec(vec((vec(any::<u8>(), 1..20), vec(any::<u8>(), 0..300)), 0..12), 1..8),
    ) {
        let mut encoder = loona_hpack::Encoder::new();
        let (mut ours, mut theirs) = (Decoder::new(), loona_hpack::Decoder::new());
        for fields in requests {
            let twice: Vec<_> = fields.iter().chain(&fields).collect();
            let block = encoder.encode(twice.iter().map(|(name, value)| (&name[..], &value[..])));
            let decoded = ours.decode(&block).unwrap();
            let mut again = Vec::new();
            for field in &decoded {
                field.encode(&mut again);
            }
            prop_assert_eq!(pairs(decoded), twice.into_iter().cloned().collect::<Vec<_>>());
            prop_assert_eq!(theirs.decode(&again).unwrap(), [fields.clone(), fields].concat());
        }
    }

    #[test]
    fn garbage_is_read_as_another_reads_it_or_refused(block in vec(any::<u8>(), 0..200)) {
        // The other refuses a block of nothing but a size update; RFC 7541, 4.2, has no word against it.
        let fields = Decoder::new().decode(&block).unwrap_or_default();
        if !fields.is_empty() {
            prop_assert_eq!(pairs(fields), loona_hpack::Decoder::new().decode(&block).unwrap());
        }
    }
}
