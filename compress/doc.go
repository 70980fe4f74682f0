// Package compress is the whole path from a trained ONNX model to a smaller
// one: find the sites, measure what they see, factor them, choose all ranks
// at once under a budget, rewrite, write, and verify what was written.
//
// [Run] is that path as one call; it takes an [onnxio.Model] read from a file
// and [Options], and gives a [Result] with the evidence for it. [Explore] makes
// a model for each of several budgets from one calibration, and judges them. [Inspect]
// shows what could be done without reading a weight, and [Verify] compares two
// model files on the same samples. [Tune] wins accuracy back by gradient descent.
//
// Without ONNX Runtime, or without samples, Run works on the weights alone, and
// its Result says what was not done.
//
// # The stages by hand
//
// Each stage is a package of its own that can be called without this one. In the order of
// Run they are
//
//	onnxio.Read                       the model, its weights left in their file
//	shapes.Infer, rewrite.Sites       the nodes that can change, at the sizes that they run at
//	samples.Open, calib.Collect       what they see of samples
//	decomp.Method.Factor              a factorization of each that answers for every rank
//	search.Choose                     one rank for each, so that the least is lost within budgets
//	refit.Run                         the factors solved anew on what the smaller model feeds them
//	rewrite.Replace, rewrite.Apply    the new model
//	tune.Run                          its weights tuned towards the original's outputs
//	provenance.Attach, onnxio.Write   its file
//	verify.Compare, gate.Judge        how far it lies from the original, and whether that will do
//
// and each has an example. [OpenLibraries] finds ONNX Runtime and linear algebra for those that
// need them; [MethodNamed] and decomp.Methods give the decompositions.
package compress
