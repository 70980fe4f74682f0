package compress

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/rss"
)

// TestForesee: what units need falls with their number as far as they share it out, and not below what one must have.
func TestForesee(t *testing.T) {
	m := wide(t, 4)
	o := Options{Targets: []Target{half(MACs)}, Source: drawn(80, "x", 12, 1, 1), CalibSamples: 64, Memory: 1 << 30, NoRefit: true, Methods: []string{"svd"}}
	foresee := func(parts int, change func(*Options)) Foresight {
		how := o
		change(&how)
		f, err := Foresee(t.Context(), bare(), m, how, parts, 5<<20)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	same := func(*Options) {}
	one, four := foresee(1, same), foresee(4, same)
	// Of one sample, for each pair: 24,000 multiply-adds forwards, as many backwards twice; half of the squares of 12 and 1000 columns, and of as many outputs.
	if want := 64 * 4 * (3*24000.0 + (12*12 + 1000*1000)); one.Calibrate.Work != want || four.Calibrate.Work != want/4 {
		t.Errorf("calibrating takes %g, and %g in four parts; want %g", one.Calibrate.Work, four.Calibrate.Work, want)
	}
	if s := one.Factor.Work / four.Factor.Work; s < 3.9 || s > 4.1 {
		t.Errorf("of four parts one factors 1/%g", s)
	}
	if want := int64(1<<30 + 10<<20); one.Calibrate.Memory != want || one.Factor.Memory != want || one.Write.Memory != want || four.Calibrate != (UnitNeed{want, one.Calibrate.Work / 4}) {
		t.Errorf("%+v, want %d bytes", one, want)
	}
	if most := int64(8 * (1000*1000 + 12*12)); one.Merge.Memory != rss.Base+3*most || four.Merge.Work != one.Merge.Work/5*8 {
		t.Errorf("merging takes %+v, and of four parts %+v; the largest sums are %d bytes", one.Merge, four.Merge, most)
	}
	for name, change := range map[string]func(*Options){
		"a refit":  func(o *Options) { o.NoRefit = false },
		"a tuning": func(o *Options) { o.Descent = &Descent{Epochs: 3} },
		"a goal":   func(o *Options) { o.Targets = nil; _ = o.AddTarget("cosine=0.9") },
	} {
		if more := foresee(1, change); more.Write.Work <= one.Write.Work || more.Factor != one.Factor {
			t.Errorf("with %s: %+v, without: %+v", name, more, one)
		}
	}
}
