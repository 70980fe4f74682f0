package decomp

import "fmt"

// BiasShift returns (W−W')·μ, one number for each output channel: what to add to the site's bias when the chain
// replaces kernel k, so that the mean of the output stays what it was. mean holds μ, the mean input patch of every
// group, each of k.Cols() numbers.
//
// With weights and bias free together, the least of E‖G^½(W x + b − W' x − b')‖² is reached at b' = b + (W−W')·μ, and
// what is left to W' is its loss under the second moment about the mean, A = E[(x−μ)(x−μ)ᵀ]. So a kernel factored
// under that A loses less, at no cost when the model runs, provided that its bias is shifted.
func (c Chain) BiasShift(k Kernel, mean [][]float64) ([]float64, error) {
	if err := k.Check(); err != nil {
		return nil, err
	}
	if len(mean) != k.Groups {
		return nil, fmt.Errorf("decomp: %d mean patches for the %d groups of a %v kernel", len(mean), k.Groups, k.Shape)
	}
	patch := make([]float64, 0, k.In*k.taps())
	for g, m := range mean {
		if len(m) != k.Cols() {
			return nil, fmt.Errorf("decomp: the mean patch of group %d has %d numbers, wanted %d for a %v kernel", g, len(m), k.Cols(), k.Shape)
		}
		patch = append(patch, m...)
	}
	shift, _ := k.apply(patch, k.Window)
	x, window := patch, k.Window
	for i, f := range c {
		if err := f.Kernel.Check(); err != nil {
			return nil, fmt.Errorf("factor %d (%s): %w", i, f.Part, err)
		}
		if err := f.Kernel.takes(len(x), window); err != nil {
			return nil, fmt.Errorf("factor %d (%s): %w", i, f.Part, err)
		}
		x, window = f.Kernel.apply(x, window)
	}
	if len(x) != k.Out {
		return nil, fmt.Errorf("decomp: the chain gives %d outputs for a patch, wanted %d for a %v kernel", len(x), k.Out, k.Shape)
	}
	for o, v := range x {
		shift[o] -= v
	}
	return shift, nil
}

// takes reports whether the kernel can be applied to n numbers that are [In, window...].
func (k Kernel) takes(n int, window []int) error {
	if len(window) != len(k.Window) || n != k.In*(Shape{Window: window}).taps() {
		return fmt.Errorf("decomp: a %v factor cannot take %d numbers with the window %v", k.Shape, n, window)
	}
	for i, w := range k.Window {
		if w != 1 && w != window[i] {
			return fmt.Errorf("decomp: a %v factor cannot take the window %v", k.Shape, window)
		}
	}
	return nil
}

// apply applies the kernel to one patch [In, window...]. The axes along which it has several taps are summed; the others
// stay, as taps for the factors to come. It returns [Out, rest...] and rest, which has one tap on the summed axes.
func (k Kernel) apply(patch []float64, window []int) (out []float64, rest []int) {
	rest = make([]int, len(window))
	for i, w := range window {
		rest[i] = w / k.Window[i]
	}
	taps, own, left := Shape{Window: window}.taps(), k.taps(), Shape{Window: rest}.taps()
	table := tapTable(k.Window, rest, window)
	out = make([]float64, k.Out*left)
	inner := k.In / k.Groups
	for o := range k.Out {
		for c := range inner {
			source := (o/k.Rows()*inner + c) * taps
			for t := range own {
				w := k.Weights[(o*inner+c)*own+t]
				for n := range left {
					out[o*left+n] += w * patch[source+table[t*left+n]]
				}
			}
		}
	}
	return out, rest
}
