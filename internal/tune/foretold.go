package tune

// MostEpochs is how often every one of so many samples is seen at most: what o says or, where it says nothing, as of a start that is far from
// the original.
func MostEpochs(learned int, o Options) int {
	if o.Epochs > 0 {
		return o.Epochs
	}
	o = o.withDefaults()
	return epochs(max(learned/max(min(o.Batch, learned), 1), 1), far)
}
