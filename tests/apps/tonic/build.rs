fn main() {
    snippet::extract("../../../src/docs/grpc.md", "tonic");
}
