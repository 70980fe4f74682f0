// Package compress is the whole path from a trained ONNX model to a smaller
// one: find the sites, measure what they see, factor them, choose all ranks
// at once under a budget, rewrite, write, and verify what was written.
//
// [Run] is that path as one call; it takes an [onnxio.Model] read from a file
// and [Options], and gives a [Result] with the evidence for it. [Inspect] shows
// what could be done without reading a weight, and [Verify] compares two
// model files on the same samples.
//
// Without ONNX Runtime, or without samples, Run works on the weights alone, and
// its Result says what was not done.
package compress
