fn main() {
    snippet::extract("../../../src/docs/outgoing_calls.md", "reqwest");
}
