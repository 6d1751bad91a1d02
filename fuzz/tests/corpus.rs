//! Runs every input of the corpus through its target, on any toolchain.

use std::fs;
use std::path::Path;

fn replay(target: &str, run: lsmkit_fuzz::Target) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut inputs: Vec<_> = fs::read_dir(&dir)
        .expect("the target has a corpus")
        .map(|entry| entry.expect("it can be listed").path())
        .collect();
    inputs.sort();
    assert!(inputs.len() >= 5, "{target}: {} inputs", inputs.len());
    for path in inputs {
        let input = fs::read(&path).expect("it can be read");
        // Shown where the test fails.
        println!("{}", path.display());
        run(&input);
        // What is cut off is an input as well.
        run(&input[..input.len() / 2]);
    }
}

macro_rules! targets {
    ($($target:ident,)*) => {
        $(
            #[test]
            fn $target() {
                replay(stringify!($target), lsmkit_fuzz::$target);
            }
        )*

        #[test]
        fn no_target_is_left_out() {
            assert_eq!(lsmkit_fuzz::TARGETS.map(|(name, _)| name), [$(stringify!($target),)*]);
        }
    };
}

targets!(batch, block, coding, crashes, filter, log, manifest, operations, table,);
