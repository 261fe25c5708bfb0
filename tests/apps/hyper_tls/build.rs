fn main() {
    snippet::extract("../../../src/docs/outgoing_calls.md", "hyper-util with TLS");
}
