// Package integration tests onnx-compress together with the programs that people run it
// from: a workflow runner's steps, pre-commit, make, and shells. It has no code of its own.
package integration
