package compress

import (
	"context"
	"testing"
)

// TestDecoder compresses a generator made of transposed convolutions, with everything that calibration has: the target
// holds, and the transposed convolutions take part: they are factored, and a refit is tried.
func TestDecoder(t *testing.T) {
	needRuntime(t)
	for _, target := range []Target{share(MACs, 0.6), share(MACs, 0.4)} {
		r, err := Run(context.Background(), in(t), zoo(t, "decoder"), RunOptions{Output: out(t), Options: Options{
			Targets: []Target{target}, Source: drawn(96, "latent", 10, 4, 5), CalibSamples: 64, Probes: 1,
		}})
		if err != nil {
			t.Fatal(err)
		}
		if limit := target.Limit(r.Input.MACs); float64(r.Output.MACs) > limit {
			t.Errorf("%v: %d MACs, allowed %.0f", target, r.Output.MACs, limit)
		}
		factored := 0
		for _, s := range r.Sites {
			if s.Op != "ConvTranspose" {
				continue
			}
			if s.OutputChange == nil {
				t.Errorf("%v: site %s has no sensitivity", target, s.Name)
			}
			if s.Method == Dense {
				continue
			}
			factored++
			if s.Refit == nil || s.Refit.Why != "" {
				t.Errorf("%v: no refit of %s was tried: %+v", target, s.Name, s.Refit)
			}
		}
		if factored == 0 {
			t.Errorf("%v: no transposed convolution was factored: %+v", target, r.Sites)
		}
		for _, v := range r.Verification.Outputs {
			if v.SNR == nil || *v.SNR < 3 {
				t.Errorf("%v: output %s: %+v", target, v.Name, v)
			}
		}
	}
}
