// Package compress is the whole path from a trained ONNX model to a smaller
// one: find the sites, measure what they see, factor them, choose all ranks
// at once under a budget, rewrite, write, and verify what was written.
//
// [Run] is that path as one call; it takes an [onnxio.Model] read from a file
// and [RunOptions], and gives a [Result] with the evidence for it. [Compress] does it in memory. [Explore] makes
// a model for each of several budgets from one calibration, and judges them. [Inspect]
// shows what could be done without reading a weight, and [Verify] compares two
// model files on the same samples. [Tune] wins accuracy back by gradient descent.
//
// Without ONNX Runtime, or without samples, Run works on the weights alone, and
// its Result says what was not done.
//
// # The stages
//
// Every stage is a function that takes the values of those before it and gives one of its own, which nothing changes
// thereafter:
//
//	Analyse   model                       Analysis   sites, skips with reasons, costs, which samples do what
//	Factor    Analysis                    Offers     per site the ranks looked at so far and what they cost and lose
//	Choose    Analysis, Offers, bounds    Choice     an option for every site, and the Offers that were learned of on the way
//	Assemble  Analysis, Choice            Assembled  chains, what a refit gave, the new model and what it needs
//	Descend   Analysis, Assembled         Assembled  another, whose weights were tuned by gradient descent
//	Deliver   Analysis, Assembled         Delivered  the file beside its place, compared with the original, and timed
//
// Run, the bisection for goals and Explore are loops over these. What one choice learned (finer ranks, corrected losses, ranks
// that do not fit blocks of channels, bytes that a file takes beyond what was foreseen) is in the Choice, for the next to
// begin with; where choices are not to know of each other, as the points of an exploration, they all begin with the same
// Offers. The Result is summed up at the end.
//
// What work is done with is no value: the [Environment] has the libraries, the number of threads and those who are told, and
// is passed beside. Moments and factorizations are in a store that Offers share: it answers the same whatever it was asked
// before, from memory or from a temporary file.
//
// Below the stages lie packages that can be called without this one, each with an example: shapes and rewrite (sites, the
// rewritten model), samples, decomp, search and verify. [Open] finds ONNX Runtime and linear algebra for those that
// need them; [MethodNamed] and decomp.Methods give the decompositions.
package compress
