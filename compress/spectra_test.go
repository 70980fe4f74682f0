package compress

import (
	"context"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestInspectSpectra: what is listed is what a run may choose from, with the loss that it would report.
func TestInspectSpectra(t *testing.T) {
	m := zoo(t, "cnn")
	o := Options{Methods: []string{"svd", "spatial"}, Select: Selection{Keep: []string{"Conv_5"}}}
	i, err := InspectSpectra(context.Background(), in(t), m, o)
	if err != nil {
		t.Fatal(err)
	}
	o.Targets = []Target{half(MACs)}
	r, _ := run(t, m, o)
	found := 0
	for k, s := range i.Sites {
		if s.Name != r.Sites[k].Name {
			t.Fatalf("site %d is %s and %s", k, s.Name, r.Sites[k].Name)
		}
		for _, spectrum := range s.Spectra {
			if last := spectrum.Ranks[len(spectrum.Ranks)-1]; !slices.Equal(last.Rank, spectrum.BreakEven) || last.MACs >= s.MACs && last.Params >= s.Params {
				t.Errorf("site %s, %s: break-even %v, last %+v", s.Name, spectrum.Method, spectrum.BreakEven, last)
			}
			for _, rank := range spectrum.Ranks {
				if want := r.Sites[k]; spectrum.Method == want.Method && slices.Equal(rank.Rank, want.Rank) {
					found++
					if rank.Loss != want.Loss || rank.MACs != want.MACsAfter || rank.Params != want.ParamsAfter {
						t.Errorf("site %s: %+v in the spectrum, %+v in the result", s.Name, rank, want)
					}
				}
			}
		}
	}
	if found == 0 {
		t.Error("no choice of the run is in the spectra")
	}
	if _, err := InspectSpectra(context.Background(), in(t), m, Options{Batch: -1}); err == nil {
		t.Error("a batch of -1 is accepted")
	}
	b := testmodels.NewBuilder(3, 17, 8)
	if made, err := b.Model(); err == nil {
		if _, err := InspectSpectra(context.Background(), in(t), made, Options{Source: images(3)}); err == nil {
			t.Error("samples run through a model in memory")
		}
	}
}
