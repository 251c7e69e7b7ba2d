//! The structs and numbers of this crate are those of the C header, byte for byte.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use svsm_conformance::{ffi, Backend, Extent, Fill, MapRefusal, MmioRefusal, Refusal};

fn header() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../include")
}

/// What a C program says that is built from the header and these statements.
fn said_by_c(name: &str, statements: &str) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (source, program) = (folder.join(format!("{name}.c")), folder.join(name));
    let text = format!(
        "#include <stddef.h>\n#include <stdio.h>\n#include \"svsm_conformance.h\"\n\
         int main(void) {{\n{statements}return 0; }}\n"
    );
    std::fs::write(&source, text).unwrap();
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let built = Command::new(compiler)
        .args(["-std=c11", "-Wall", "-Werror", "-I"])
        .arg(header())
        .args(["-o".as_ref(), program.as_os_str(), source.as_os_str()])
        .status()
        .unwrap();
    assert!(built.success());
    String::from_utf8(Command::new(program).output().unwrap().stdout).unwrap()
}

#[test]
fn structs_are_laid_out_as_in_the_header() {
    let (mut statements, mut ours) = (String::new(), String::new());
    for one in ffi::layouts() {
        let name = one.name;
        writeln!(statements, "printf(\"{name} %zu\\n\", sizeof(struct {name}));").unwrap();
        writeln!(ours, "{name} {}", one.size).unwrap();
        for (field, place) in one.fields {
            writeln!(
                statements,
                "printf(\"{name}.{field} %zu\\n\", offsetof(struct {name}, {field}));"
            )
            .unwrap();
            writeln!(ours, "{name}.{field} {place}").unwrap();
        }
    }
    assert_eq!(said_by_c("layout", &statements), ours);
}

#[test]
fn every_struct_is_laid_out_here() {
    let text = std::fs::read_to_string(header().join("svsm_conformance.h")).unwrap();
    let here: Vec<_> = ffi::layouts().iter().map(|one| one.name).collect();
    for line in text.lines() {
        let Some(name) = line.strip_prefix("struct ").and_then(|l| l.strip_suffix(" {")) else {
            continue;
        };
        assert!(here.contains(&name), "{name}");
    }
}

fn in_c(name: &str) -> String {
    let mut text = String::new();
    for (place, letter) in name.char_indices() {
        let digit_before = name[..place].ends_with(|c: char| c.is_ascii_digit());
        if place > 0 && letter.is_uppercase() && !digit_before {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}

macro_rules! numbers {
    ($($prefix:literal $kind:ident { $($name:ident)* })*) => {
        vec![$($((concat!($prefix, "{}").replace("{}", &in_c(stringify!($name))),
                  $kind::$name as i64)),*),*]
    };
}

#[test]
fn numbers_are_those_of_the_header() {
    let mut numbers = numbers! {
        "SVSM_" Refusal {
            Misaligned Wraps Outside Empty Reversed AlreadyClaimed NotClaimed Mixed SizeMismatch
            NoneUnclaimed WrongLength SlackSet AboveLimit OverCap OutOfRuns
        }
        "SVSM_EXTENT_" Extent { None All Mixed }
        "SVSM_HANDOFF_" MapRefusal {
            NonzeroReserved UnknownType Wraps AboveLimit Unsorted Overlaps NoMemory OverCap
            BadKernelBounds KernelOutside KernelMeetsExcluded NoRoom NoLowMemory AlreadyWritten
            Misaligned AreaOutside TooMany NotTaken NotPrivate NotValidated
        }
        "SVSM_MMIO_" MmioRefusal {
            BadLength Unmapped Outside Misaligned NoAnswer HostRefused Garbage AlreadyOpen Empty
            AboveLimit Overlaps NoMapping Attached NotAttached Unstable
        }
        "SVSM_" Backend { Snp Tdx }
        "SVSM_FILL_" Fill { Zero Firmware Stream }
    };
    numbers.push(("SVSM_BUS".into(), Backend::Native as i64));
    numbers.push(("SVSM_CONFORMANCE_VERSION".into(), ffi::VERSION as i64));
    let steps = "CREATE FILL CLAIM_4K CLAIM_2M CLAIM_RANGE RELEASE_4K RELEASE_2M RELEASE_RANGE \
                 QUERY TEST_RANGE COUNT FIRST_UNCLAIMED EXPORT_WORDS IMPORT_WORDS";
    numbers.extend(steps.split_whitespace().zip(0..).map(|(n, i)| (format!("SVSM_{n}"), i)));
    let (mut statements, mut ours) = (String::new(), String::new());
    for (name, number) in numbers {
        writeln!(statements, "printf(\"{name} %lld\\n\", (long long){name});").unwrap();
        writeln!(ours, "{name} {number}").unwrap();
    }
    assert_eq!(said_by_c("numbers", &statements), ours);
}
