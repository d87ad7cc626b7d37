//! Products on one core beside the limits of AVX2: how many multiply-adds a second a core does with
//! the instructions of each candidate loop on registers alone, ten chains side by side, and how
//! many the engine's products reach in every kernel set. A product reads its operands and adds up
//! its blocks besides, so it stays below the limit of its loop.
//!
//! Run it with `cargo bench --bench roofline`, or with `-- avx2` behind for the products of one
//! set. Times are the best of many short runs, because other work on a machine only adds to them.

use maspo::engine::bench::measure::Product;
use maspo::engine::kernels::{Compute, Format, KernelSet};
use std::time::{Duration, Instant};

/// The rows of the products.
const ROWS: [usize; 7] = [1, 4, 6, 10, 40, 128, 512];
/// Outputs and inputs: two products of the embedded model and two of Qwen3-0.6B.
const SHAPES: [(usize, usize); 4] = [(512, 256), (256, 512), (4096, 1024), (1024, 3072)];
/// How long one product is measured.
const MEASURED: Duration = Duration::from_millis(60);

/// Returns the seconds of the fastest run.
fn best(mut run: impl FnMut()) -> f64 {
    let (start, mut best) = (Instant::now(), f64::INFINITY);
    while start.elapsed() < MEASURED {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

#[cfg(target_arch = "x86_64")]
mod loops {
    use super::best;
    use std::arch::asm;

    /// The runs of a sample.
    const RUNS: usize = 1000;
    /// The chains of a run, times their length.
    const STEPS: usize = 10 * 16;

    /// Makes a function that runs some instructions 16 times for each of ten accumulators, which
    /// are called ymm\i. ymm13 stands for weights, ymm15 for activations, and ymm14 is free.
    macro_rules! chains {
        ($name:ident, $($instruction:literal),*) => {
            fn $name() {
                // SAFETY: `measure` has checked that the CPU has the instructions, which touch no
                // memory and no register but these.
                unsafe {
                    asm!(
                        ".rept 16", ".irp i,0,1,2,3,4,5,6,7,8,9",
                        $($instruction,)*
                        ".endr", ".endr",
                        out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _,
                        out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm14") _,
                        inout("xmm13") 1.0f32 => _, inout("xmm15") 1.0f32 => _, options(nomem, nostack),
                    );
                }
            }
        };
    }

    chains!(
        signs,
        "vpsignb ymm14, ymm15, ymm13",
        "vpmaddubsw ymm14, ymm13, ymm14",
        "vpmaddwd ymm14, ymm14, ymm13",
        "vpaddd ymm\\i, ymm\\i, ymm14"
    );
    chains!(pairs_in_16_bits, "vpmaddubsw ymm14, ymm13, ymm15", "vpaddw ymm\\i, ymm\\i, ymm14");
    chains!(
        two_planes_in_16_bits,
        "vpmaddubsw ymm14, ymm13, ymm15",
        "vpaddw ymm\\i, ymm\\i, ymm14",
        "vpmaddubsw ymm14, ymm13, ymm15",
        "vpaddw ymm\\i, ymm\\i, ymm14"
    );
    chains!(widened, "vpmaddwd ymm14, ymm13, ymm15", "vpaddd ymm\\i, ymm\\i, ymm14");
    chains!(floats, "vfmadd231ps ymm\\i, ymm13, ymm15");
    chains!(vnni, "{{vex}} vpdpbusd ymm\\i, ymm13, ymm15");

    /// Measures every loop that the CPU has the instructions for.
    pub(crate) fn measure() {
        use std::arch::is_x86_feature_detected as has;
        if !(has!("avx2") && has!("fma")) {
            return println!("this CPU has no AVX2");
        }
        report("int8: vpsignb, vpmaddubsw, vpmaddwd, vpaddd", 32, signs);
        report("int8 as two planes of nibbles: twice the next", 32, two_planes_in_16_bits);
        report("nibbles: vpmaddubsw, vpaddw", 32, pairs_in_16_bits);
        report("int8 widened to 16 bits: vpmaddwd, vpaddd", 16, widened);
        report("f32: vfmadd231ps", 8, floats);
        if has!("avxvnni") {
            report("int8 or nibbles: vpdpbusd (AVX-VNNI)", 32, vnni);
        }
    }

    /// Prints the multiply-adds a second of a loop that does `each` of them per chain and step.
    fn report(name: &str, each: usize, run: fn()) {
        let best = best(|| (0..RUNS).for_each(|_| run()));
        println!("{name:48} {:6.1} GMAC/s", (each * STEPS * RUNS) as f64 / best / 1e9);
    }
}

/// Prints the multiply-adds a second of a set's products with one thread.
fn products(set: KernelSet) {
    let compute = Compute::with_kernels(Some(1), set).expect("one thread starts");
    for format in [Format::Q8_0, Format::Q4K, Format::Bf16, Format::F32] {
        println!("{set}, {format}: GMAC/s by rows {ROWS:?}");
        for (n, k) in SHAPES {
            print!("{k:6} -> {n:4}");
            for m in ROWS {
                let mut product = Product::new(&compute, format, false, (m, n, k));
                print!(" {:6.1}", (m * n * k) as f64 / best(|| product.run()) / 1e9);
            }
            println!();
        }
    }
}

fn main() {
    #[cfg(target_arch = "x86_64")]
    loops::measure();
    // Cargo adds an argument of its own.
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    for set in KernelSet::available() {
        if asked.is_empty() || asked.iter().any(|name| name == set.name()) {
            products(set);
        }
    }
}
