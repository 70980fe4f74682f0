// Package samples reads what a model is fed with.
//
// A [Source] has numbered samples: a folder of images, arrays in .npy or .npz
// files, ONNX test_data_set_* folders, or binary records as CIFAR-10 is published.
// [Open] finds out which one a path holds, and prepares the samples for the [Inputs] of a model.
// An [Augmenter] changes images at random, by a seed.
package samples
