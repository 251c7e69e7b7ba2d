//! The `igvm` crate as an outside reference: `read FILE` says as JSON what the crate reads in a file,
//! `write FILE REVISION` lets the crate write a file with a memory map.

use igvm::{Arch, IgvmDirectiveHeader, IgvmFile, IgvmPlatformHeader, IgvmRevision};
use igvm_defs::*;
use std::{env, fs, process};

fn main() {
    let words: Vec<String> = env::args().collect();
    let said = match words.get(1).map(String::as_str) {
        Some("read") if words.len() == 3 => read(&words[2]),
        Some("write") if words.len() == 4 => write(&words[2], words[3] == "2"),
        _ => Err("usage: igvm-reference read FILE | write FILE REVISION".into()),
    };
    match said {
        Ok(text) => println!("{text}"),
        Err(text) => {
            eprintln!("{text}");
            process::exit(1);
        }
    }
}

fn read(path: &str) -> Result<String, String> {
    let data = fs::read(path).map_err(|e| e.to_string())?;
    let file = IgvmFile::new_from_binary(&data, None).map_err(|e| format!("{e:?}"))?;
    let platforms: Vec<String> = file
        .platforms()
        .iter()
        .map(|IgvmPlatformHeader::SupportedPlatform(p)| {
            format!("[{},{}]", p.compatibility_mask, p.platform_type.0)
        })
        .collect();
    let (mut areas, mut maps, mut inserts) = (vec![], vec![], vec![]);
    let (mut pages, mut required) = (vec![], vec![]);
    for header in file.directives() {
        match header {
            IgvmDirectiveHeader::ParameterArea {
                number_of_bytes,
                parameter_area_index,
                initial_data,
            } => {
                // The entries that the area starts with, as far as the map goes.
                let entries: Vec<String> = initial_data
                    .chunks_exact(24)
                    .map(|e| {
                        let at = |i: usize, n: usize| {
                            e[i..i + n].iter().rev().fold(0u64, |a, b| a << 8 | u64::from(*b))
                        };
                        [at(0, 8), at(8, 8), at(16, 2), at(18, 2), at(20, 4)]
                    })
                    .take_while(|e| e[1] != 0)
                    .map(|e| format!("{e:?}"))
                    .collect();
                areas.push(format!(
                    "[{number_of_bytes},{parameter_area_index},[{}]]",
                    entries.join(",")
                ));
            }
            IgvmDirectiveHeader::MemoryMap(p) => {
                maps.push(format!("[{},{}]", p.parameter_area_index, p.byte_offset))
            }
            IgvmDirectiveHeader::ParameterInsert(i) => {
                inserts.push(format!("[{},{}]", i.gpa, i.parameter_area_index))
            }
            IgvmDirectiveHeader::PageData { gpa, data_type, .. } => {
                pages.push(format!("[{},{}]", gpa, data_type.0))
            }
            IgvmDirectiveHeader::RequiredMemory { gpa, number_of_bytes, .. } => {
                required.push(format!("[{gpa},{number_of_bytes}]"))
            }
            _ => {}
        }
    }
    Ok(format!(
        "{{\"platforms\":[{}],\"areas\":[{}],\"maps\":[{}],\"inserts\":[{}],\"pages\":[{}],\"required\":[{}]}}",
        platforms.join(","),
        areas.join(","),
        maps.join(","),
        inserts.join(","),
        pages.join(","),
        required.join(",")
    ))
}

fn write(path: &str, second: bool) -> Result<String, String> {
    let revision = if second {
        IgvmRevision::V2 { arch: Arch::X64, page_size: 4096 }
    } else {
        IgvmRevision::V1
    };
    let platform = IGVM_VHS_SUPPORTED_PLATFORM {
        compatibility_mask: 1,
        highest_vtl: 2,
        platform_type: IgvmPlatformType::SEV_SNP,
        platform_version: IGVM_SEV_SNP_PLATFORM_VERSION,
        shared_gpa_boundary: 0,
    };
    let mut initial_data = vec![0u8; 4096];
    for (slot, (first, count, kind)) in
        [(0u64, 0x80000u64, 0u16), (0xF0000, 0x10000, 1), (0x100000, 0x80000, 0)]
            .iter()
            .enumerate()
    {
        let at = slot * 24;
        initial_data[at..at + 8].copy_from_slice(&first.to_le_bytes());
        initial_data[at + 8..at + 16].copy_from_slice(&count.to_le_bytes());
        initial_data[at + 16..at + 18].copy_from_slice(&kind.to_le_bytes());
    }
    let page = |gpa: u64, fill: u8| IgvmDirectiveHeader::PageData {
        gpa,
        compatibility_mask: 1,
        flags: IgvmPageDataFlags::new(),
        data_type: IgvmPageDataType::NORMAL,
        data: vec![fill; 4096],
    };
    let directives = vec![
        IgvmDirectiveHeader::ParameterArea {
            number_of_bytes: 4096,
            parameter_area_index: 3,
            initial_data,
        },
        IgvmDirectiveHeader::MemoryMap(IGVM_VHS_PARAMETER {
            parameter_area_index: 3,
            byte_offset: 0,
        }),
        IgvmDirectiveHeader::ParameterInsert(IGVM_VHS_PARAMETER_INSERT {
            gpa: 0x820000,
            compatibility_mask: 1,
            parameter_area_index: 3,
        }),
        IgvmDirectiveHeader::RequiredMemory {
            gpa: 0x8000000,
            compatibility_mask: 1,
            number_of_bytes: 0x1000000,
            vtl2_protectable: false,
        },
        page(0x8000000, 1),
        page(0x8001000, 2),
    ];
    let platforms = vec![IgvmPlatformHeader::SupportedPlatform(platform)];
    let file = IgvmFile::new(revision, platforms, vec![], directives).map_err(|e| format!("{e:?}"))?;
    let mut data = Vec::new();
    file.serialize(&mut data).map_err(|e| format!("{e:?}"))?;
    fs::write(path, data).map_err(|e| e.to_string())?;
    Ok("{}".into())
}
