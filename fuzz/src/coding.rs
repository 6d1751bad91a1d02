use lsmkit_base::coding::{self, Decoder};

/// The alphabet of all formats: whatever is decoded comes out the same once it is encoded again.
pub fn coding(data: &[u8]) {
    let mut decoder = Decoder::new(data);
    let mut encoded = Vec::new();
    while !decoder.is_done() {
        let before = decoder.rest().len();
        encoded.clear();
        let read = match before % 5 {
            0 => decoder.varint().map(|n| {
                coding::put_varint(&mut encoded, n);
                assert_eq!(encoded.len(), coding::varint_len(n));
                assert_eq!(Decoder::new(&encoded).varint(), Some(n));
            }),
            1 => decoder.bytes().map(|bytes| {
                coding::put_bytes(&mut encoded, bytes);
                assert_eq!(Decoder::new(&encoded).bytes(), Some(bytes));
            }),
            2 => decoder.u32().map(|n| {
                coding::put_u32(&mut encoded, n);
                assert_eq!(Decoder::new(&encoded).u32(), Some(n));
            }),
            3 => decoder.u64().map(|n| {
                coding::put_u64(&mut encoded, n);
                assert_eq!(Decoder::new(&encoded).u64(), Some(n));
            }),
            _ => decoder.byte().map(|byte| encoded.push(byte)),
        };
        if read.is_none() {
            return;
        }
        assert!(decoder.rest().len() < before, "what is read is taken");
        // Any number has one shortest form, which is no longer than what it was read from.
        assert!(encoded.len() <= before - decoder.rest().len());
    }
}
