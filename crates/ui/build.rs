//! Puts the built pages where `rust-embed` takes them from: what `npm run build` left in `web/dist`, or, where that was
//! never run, one page that says how to. No network, no Node: a bare `cargo build` always succeeds.

use std::path::Path;
use std::{env, fs, io};

const STUB: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Steadfast</title>\
<body style=\"font:16px/1.5 system-ui;max-width:40rem;margin:4rem auto;padding:0 1rem\">\
<h1>The pages are not in this build</h1>\
<p>The server works. Its web pages are built with Node, and this program was built before they were:</p>\
<pre>cd web\nnpm ci\nnpm run build\ncd ..\ncargo build</pre>\
<p><code>./start_services.sh</code> does all of it.</p></body></html>\n";

fn main() -> io::Result<()> {
    let built = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../web/dist");
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("pages");
    println!("cargo:rerun-if-changed=build.rs");
    // The directory is always there (with nothing but .gitkeep in it), or cargo would take it as changed at every build.
    println!("cargo:rerun-if-changed={}", built.display());

    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    if built.join("manifest.json").is_file() {
        for entry in fs::read_dir(&built)? {
            let entry = entry?;
            if entry.file_type()?.is_file() && entry.file_name() != ".gitkeep" {
                fs::copy(entry.path(), out.join(entry.file_name()))?;
            }
        }
    } else {
        fs::write(out.join("not-built.html"), STUB)?;
    }
    Ok(())
}
