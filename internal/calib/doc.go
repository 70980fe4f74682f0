// Package calib sums what the sites of a model see of samples.
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
