package compress

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// wide makes a model of pairs of nodes, of which the second reads 1000 channels, so that its moments
// take 8 MB.
func wide(t *testing.T, pairs int) *onnxio.Model {
	b := testmodels.NewBuilder(5, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 12, 1, 1)
	for range pairs {
		x = b.Node("Relu", []string{b.ConvBias(x, 12, 1000, []int{1, 1}, "")})
		x = b.Node("Relu", []string{b.ConvBias(x, 1000, 12, []int{1, 1}, "")})
	}
	b.Output(x, tensor.Float32, "N", 12, 1, 1)
	return built(t, b)
}

// TestMemoryGroups: a limit that makes two sweeps of one gives the same bytes, and one
// below a site's needs leaves that alone with the reason.
func TestMemoryGroups(t *testing.T) {
	needRuntime(t)
	m := wide(t, 8)
	var first []byte
	for _, c := range []struct {
		memory int64
		sweeps int
		left   int
	}{{2 << 30, 1, 0}, {56 << 20, 2, 0}, {40 << 20, 1, 8}} {
		var seen log
		o := Options{
			Targets: []Target{{Resource: MACs, Value: 120000}}, Source: drawn(80, "x", 12, 1, 1), CalibSamples: 60,
			Memory: c.memory, NoRefit: true, // which memory limits too
		}
		if c.left > 0 {
			o.Targets = []Target{share(MACs, 1)}
		}
		r, written := run(t, m, o, told(seen.add))
		if r.Calibration.Sweeps != c.sweeps || len(r.Skipped) != c.left {
			t.Fatalf("memory %d MiB: %d sweeps, %d nodes left alone; want %d and %d", c.memory>>20, r.Calibration.Sweeps, len(r.Skipped), c.sweeps, c.left)
		}
		if c.left > 0 {
			if s := r.Skipped[0]; s.Name != "Conv_2" || !strings.Contains(s.Reason, "and it is 40 MiB") {
				t.Errorf("left alone: %+v", s)
			}
			continue
		}
		written = unrecorded(t, written)
		if first == nil {
			first = written
		}
		if !bytes.Equal(first, written) {
			t.Errorf("memory %d MiB: other bytes", c.memory>>20)
		}
		if c.sweeps > 1 && !slices.Contains(seen.events, event{"calibrate 8/8", 60, 60}) {
			t.Errorf("the second sweep was not announced: %v", seen.events)
		}
	}
}

// TestSensitivitiesOnTheShelf: where not all fits into memory, nothing holds there what calibration saw of the sites' outputs.
func TestSensitivitiesOnTheShelf(t *testing.T) {
	needRuntime(t)
	env, m := in(t), wide(t, 2)
	o := Options{Targets: []Target{half(MACs)}, Source: drawn(80, "x", 12, 1, 1), CalibSamples: 60, Memory: 64 << 20, Methods: []string{"svd"}}.WithDefaults()
	a, err := analysed(context.Background(), env, m, o)
	if err != nil {
		t.Fatal(err)
	}
	of, err := Factor(context.Background(), env, a, o)
	if err != nil {
		t.Fatal(err)
	}
	defer of.close()
	if of.store.shelf == nil {
		t.Fatal("all is held in memory")
	}
	outputs := 0
	for i := range of.sites {
		for _, g := range of.sites[i].output {
			if outputs++; !of.store.shelf.here[&g.Data[0]] {
				t.Errorf("%s: what is felt of its outputs is in memory", of.sites[i].site.Name)
			}
		}
	}
	if outputs == 0 {
		t.Error("no site has sensitivities")
	}
}
