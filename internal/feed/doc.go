// Package feed hands the samples of a source to a model.
//
// A [Feed] cuts chosen samples into runs: whole batches where the model's first axis is free or
// fits, single samples where their shapes differ. Runs are loaded ahead and worked on side by side.
package feed
