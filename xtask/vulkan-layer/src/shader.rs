//! Changes to SPIR-V modules.

/// Words before the first instruction.
const HEADER: usize = 5;
/// `OpExtInst`: result type, result, set, instruction, operands.
const EXT_INST: u32 = 12;
/// `Exp` and `Exp2` of the set `GLSL.std.450`.
const EXP: u32 = 27;
const EXP2: u32 = 29;

/// Gives every exponential function of a module the base 2: a result that is wrong without an error.
pub(crate) fn exponentials_of_base_two(words: &mut [u32]) {
    let mut at = HEADER;
    while let Some(&first) = words.get(at) {
        let (length, opcode) = ((first >> 16) as usize, first & 0xffff);
        if length == 0 {
            return;
        }
        if opcode == EXT_INST
            && let Some(instruction) = words.get_mut(at + 4)
            && *instruction == EXP
        {
            *instruction = EXP2;
        }
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exponentials_change() {
        let header = [0x0723_0203, 0x0001_0300, 0, 9, 0];
        let call = |instruction| [6 << 16 | EXT_INST, 1, 5, 2, instruction, 4];
        // Another instruction, whose operands look like the function's number.
        let other = [5 << 16 | 129, EXP, EXP, EXP, EXP];
        let module = |instruction| {
            let calls = [&call(instruction)[..], &other, &call(26)].concat();
            [&header[..], &calls].concat()
        };
        let mut words = module(EXP);
        exponentials_of_base_two(&mut words);
        assert_eq!(words, module(EXP2));
        // Half an instruction at the end, and one without a length.
        let mut words = [&header[..], &call(EXP)[..4]].concat();
        exponentials_of_base_two(&mut words);
        exponentials_of_base_two(&mut [&header[..], &[0; 4]].concat());
    }
}
