package compress

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/tune"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// What judges a tuning neither calibrates nor verifies, where there are enough samples for that, and no sample goes two ways.
func TestTuneJudges(t *testing.T) {
	for _, c := range []struct {
		o                               Options
		n, calibrate, tune, verify, all int
	}{
		{Options{}, 1024, 921, 0, 103, 1024},
		{Options{Descent: &Descent{}}, 1024, 819, 102, 103, 1024},
		{Options{Descent: &Descent{}}, 5000, 1024, 500, 1024, 5000},
		{Options{Descent: &Descent{}}, 63, 56, 0, 7, 63},
		{Options{Descent: &Descent{}, TuneSource: images(1)}, 1024, 921, 0, 103, 1024},
		{Options{Descent: &Descent{Held: []int{1}}}, 1024, 921, 0, 103, 1024},
		{Options{Descent: &Descent{}, CalibSamples: 1000}, 1024, 1000, 0, 24, 1024},
	} {
		c.o.Source = images(c.n)
		d, err := c.o.WithDefaults().deal()
		if err != nil {
			t.Fatal(err)
		}
		if len(d.calibrate) != c.calibrate || len(d.tune) != c.tune || len(d.verify) != c.verify {
			t.Errorf("%d samples, %+v: %d calibrate, %d judge a tuning, %d verify; want %d, %d, %d",
				c.n, c.o.Descent, len(d.calibrate), len(d.tune), len(d.verify), c.calibrate, c.tune, c.verify)
		}
		seen := slices.Concat(d.calibrate, d.tune, d.verify)
		if slices.Sort(seen); len(slices.Compact(seen)) != c.calibrate+c.tune+c.verify {
			t.Errorf("%d samples, %+v: some go two ways", c.n, c.o.Descent)
		}
	}
}

// A model that is tuned by itself is judged on what did not calibrate it, as far as its record tells.
func TestTuneSeen(t *testing.T) {
	needRuntime(t)
	data := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(data, []byte("as if it were images"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := to(t, Options{Targets: []Target{share(MACs, 0.7)}, Source: images(40), CalibSamples: 24, Seed: 3})
	o.Data.Path = data
	r, _ := runTo(t, zoo(t, "cnn"), o)
	small, err := onnxio.Read(o.Output)
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	d, err := o.deal()
	if err != nil || r.Calibration.Samples != 24 {
		t.Fatal(r.Calibration, err)
	}
	for path, want := range map[string]int{data: 24, "": 0, o.Output: 0} {
		seen, err := TuneOptions{Source: o.Source, Data: path}.seen(context.Background(), small)
		if err != nil || len(seen) != want {
			t.Errorf("%q: %d samples are seen, %v; want %d", path, len(seen), err, want)
		}
		for _, i := range d.calibrate {
			if want > 0 && !seen[i] {
				t.Errorf("%q: sample %d calibrated, and is not seen", path, i)
			}
		}
	}
	if _, err := (TuneOptions{Source: o.Source, Data: data + "x"}).seen(context.Background(), small); err == nil {
		t.Error("no error for samples that are not there")
	}
	for n, familiar := range map[int]bool{40: false, 24: true} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			tuned, err := Tune(context.Background(), in(t), zoo(t, "cnn"), small, TuneOptions{
				Output: out(t), Source: o.Source, Samples: n, Data: data, Descent: tune.Options{Epochs: 1, Seed: 3},
			})
			if err != nil || tuned.Tuning.Familiar != familiar {
				t.Errorf("familiar %v, want %v; %v", tuned.Tuning.Familiar, familiar, err)
			}
		})
	}
}
