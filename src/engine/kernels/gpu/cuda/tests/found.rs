//! That the emulation finds mistakes: a suite that cannot fail shows nothing.

use super::super::api::FAULT;
use super::super::emulation::{Emulation, emulation};
use crate::kernels::gpu::emulation::ORDERS;
use crate::kernels::gpu::suite::Memory;

/// The results in every order, or the fault of the first order that has one.
fn planted(emulation: &Emulation, mistake: u32) -> Result<[Vec<f32>; 3], String> {
    let mut from = Memory::of(&[2.0f32; 256]);
    let mut results = [const { Vec::new() }; 3];
    for (result, order) in results.iter_mut().zip(ORDERS) {
        let mut out = Memory::filled(64, 0.0f32);
        emulation.fibers.order(order);
        // SAFETY: the sizes are those that planted.cpp wants.
        let code = unsafe { (emulation.planted)(mistake, from.at(), out.at()) };
        if code != 0 {
            assert_eq!(code, FAULT);
            return Err(emulation.fibers.fault());
        }
        *result = out.get();
    }
    Ok(results)
}

#[test]
fn a_right_kernel_has_one_result() {
    let Some(emulation) = emulation() else { return };
    let results = planted(emulation, 0).unwrap();
    assert!(results.iter().all(|result| *result == results[0]));
    assert_eq!(results[0][..4], [2.0, 2.0, 5.0, 5.0]);
}

#[test]
fn planted_mistakes_are_found() {
    let Some(emulation) = emulation() else { return };
    let text = |mistake| planted(emulation, mistake).map(|_| ()).unwrap_err();
    assert!(text(1).starts_with("a barrier that not all threads reach: 32 of 64 wait"), "{}", text(1));
    assert!(text(3).starts_with("a write outside of shared memory"), "{}", text(3));
    assert!(text(4).starts_with("a barrier that not all threads reach"), "{}", text(4));
    assert!(text(5).starts_with("the threads of a block are at different barriers"), "{}", text(5));
    let results = planted(emulation, 2).unwrap();
    assert!(results[0] != results[1], "a missing barrier shows in another order");
    assert!(
        planted(emulation, 6).unwrap()[0].iter().all(|x| x.is_nan()),
        "bytes that were not waited for are not there"
    );
}
