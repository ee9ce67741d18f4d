//! Programs for x86_64 pack better when a function is called by the same bytes everywhere.
//!
//! A call and a jump (opcodes E8, E9) say how far it is to where they lead, so that each call of one function reads otherwise.
//! Here that distance is replaced by the place, counted from the program's beginning, most significant byte first: a
//! fourteenth is saved. This is done as LZX does it: distances of which the sum
//! is beyond the end change places with those that lead before the beginning, so that every program comes back, whatever is in it.

/// The length of the opcode and its distance.
const LENGTH: usize = 5;

/// Replaces distances by places.
pub(crate) fn pack(program: &mut [u8]) {
    translate(program, i32::from_le_bytes, i32::to_be_bytes, |distance, next, end| match distance + next {
        place if place < end => place,
        _ => distance - end,
    });
}

/// Replaces places by distances.
pub(crate) fn unpack(program: &mut [u8]) {
    translate(program, i32::from_be_bytes, i32::to_le_bytes, |place, next, end| match place {
        0.. => place - next,
        _ => place + end,
    });
}

fn translate(
    program: &mut [u8],
    read: fn([u8; 4]) -> i32,
    write: fn(i32) -> [u8; 4],
    change: fn(i32, i32, i32) -> i32,
) {
    let Ok(end) = i32::try_from(program.len()) else { return };
    let mut at = 0;
    while let Some(call) = program.get_mut(at..at + LENGTH) {
        let Some(next) = i32::try_from(at + LENGTH).ok().filter(|_| matches!(call[0], 0xe8 | 0xe9)) else {
            at += 1;
            continue;
        };
        let value = read([call[1], call[2], call[3], call[4]]);
        let value = if (-next..end).contains(&value) { change(value, next, end) } else { value };
        call[1..].copy_from_slice(&write(value));
        // Both ways must look at the same places, so what looks like a call is passed over as one.
        at += LENGTH;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn calls_of_one_place_read_the_same() {
        let mut program = vec![0x90, 0xe8, 20, 0, 0, 0, 0x90, 0xe8, 14, 0, 0, 0];
        program.resize(40, 0);
        let original = program.clone();
        pack(&mut program);
        assert_eq!(program[1..12], [0xe8, 0, 0, 0, 26, 0x90, 0xe8, 0, 0, 0, 26]);
        unpack(&mut program);
        assert_eq!(program, original);
    }

    proptest! {
        #[test]
        fn everything_comes_back(
            original in proptest::collection::vec(prop_oneof![Just(0xe8), Just(0xff), Just(0), any::<u8>()], 0..200),
        ) {
            let mut program = original.clone();
            pack(&mut program);
            unpack(&mut program);
            prop_assert_eq!(program, original);
        }
    }
}
