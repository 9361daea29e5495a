//! The page is embedded from `web-ui/dist`, which npm builds. Without it the program builds too, and says so in its page.

fn main() {
    let dist = std::path::Path::new("web-ui/dist");
    std::fs::create_dir_all(dist)
        .expect("the source tree can be written to where the page was not built");
    println!("cargo::rerun-if-changed=web-ui/dist");
}
