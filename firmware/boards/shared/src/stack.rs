//! How deep the stack has ever been.
//!
//! cortex-m-rt paints it at reset; what is not painted any more was used.

#[expect(unsafe_code, reason = "the stack's bounds are the linker's to know")]
mod bounds {
    unsafe extern "C" {
        static _stack_start: u32;
        static _stack_end: u32;
    }

    /// The stack, deepest word first, and how many words it has.
    pub(super) fn stack() -> (*const u32, usize) {
        let (deepest, top) = (&raw const _stack_end, &raw const _stack_start);
        (deepest, (top as usize - deepest as usize) / size_of::<u32>())
    }

    pub(super) fn is_painted(word: *const u32) -> bool {
        // SAFETY: within the stack, aligned, and RAM whatever it holds.
        unsafe { word.read_volatile() == cortex_m_rt::STACK_PAINT_VALUE }
    }
}

/// The stack's size in bytes, as the board's `memory.x` states it.
pub fn size() -> usize {
    bounds::stack().1 * size_of::<u32>()
}

/// The most bytes of it that were ever used since reset.
pub fn deepest() -> usize {
    let (deepest, words) = bounds::stack();
    let untouched = (0..words).take_while(|at| bounds::is_painted(deepest.wrapping_add(*at))).count();
    (words - untouched) * size_of::<u32>()
}
