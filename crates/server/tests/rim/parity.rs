//! `docs/parity.md` names every RPC, and says of each whether it is built what the tables of the services say.

use std::path::Path;
use steadfast_server::grpc::operator_service::OperatorRpcs;
use steadfast_server::grpc::workflow_service::WorkflowRpcs;

#[test]
fn the_parity_page_agrees_with_the_tables() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/parity.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let said = |name: &str| {
        page.lines().find_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            (cells.next()? == name).then(|| cells.next().unwrap_or_default().to_owned())
        })
    };
    for rpc in WorkflowRpcs::RPCS.iter().chain(OperatorRpcs::RPCS) {
        let said = said(rpc.name).unwrap_or_else(|| panic!("{} is not on the page", rpc.name));
        let built = matches!(said.as_str(), "works" | "partly");
        assert!(built || said == "not", "{}: \"{said}\" is none of works, partly, not", rpc.name);
        assert_eq!(built, rpc.built, "{}: the page says \"{said}\"", rpc.name);
    }
}
