// Package integration tests onnx-compress together with the programs that people run it
// from: a workflow runner's steps, pre-commit, make, and shells; and its pages in a browser.
// It has no code of its own.
package integration
