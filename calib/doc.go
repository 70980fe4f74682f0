// Package calib feeds samples to a model and sums what its sites see.
//
// A [Source] has numbered samples: a folder of images, arrays in .npy or .npz
// files, ONNX test_data_set_* folders, or binary records as CIFAR-10 is published.
// [Open] finds out which one a path holds. A [Feed] cuts chosen samples into runs:
// whole batches where the model's first axis is free or fits, single samples where
// their shapes differ.
//
// [Collect] runs one probe model, the original with the sites' input tensors as
// further outputs, and sums the second moment A = E[x xᵀ] of every site's input
// columns as batches pass. Activations are not kept beyond their batch, and neither
// the number of threads nor their timing changes a bit of the result.
//
// On demand the probe model also computes the gradients of random combinations of the
// model's outputs with respect to the sites' outputs y, and Collect sums their second
// moment G = E[g gᵀ]. With W+ΔW for the weight W of a site, the squared change of the
// model's outputs is T·tr(G ΔW A ΔWᵀ) per sample, to second order and with g taken as
// independent of x, T being the number of output positions.
package calib
