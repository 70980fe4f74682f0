package grad

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// reference is what testdata/make.py stored for a network.
type reference struct {
	feeds     map[string]tensor.Dense
	cotangent map[string]tensor.Dense // by output
	gradients map[string][]float64    // by value
}

func readReference(t *testing.T, path string) reference {
	t.Helper()
	ref := reference{map[string]tensor.Dense{}, map[string]tensor.Dense{}, map[string][]float64{}}
	for key, d := range testkit.Arrays(t, path) {
		kind, name, found := strings.Cut(key, ":")
		switch {
		case !found:
			ref.feeds[kind] = d
		case kind == "v":
			ref.cotangent[name] = d
		default:
			v, err := d.Float64s()
			if err != nil {
				t.Fatal(err)
			}
			ref.gradients[name] = v
		}
	}
	return ref
}

// Whole networks against PyTorch, with the weights constant and with the weights fed. The
// reference is float64, the runtime float32 in sums of up to a thousand terms over some
// twenty layers: 2e-5 of the largest entry is some hundred roundings. Entries below 1e-3
// count as 1e-3, since the gradient of the key's bias is zero but for rounding.
func TestNetworksAgainstPyTorch(t *testing.T) {
	l := orttest.Open(t)
	models, err := filepath.Glob("testdata/*.onnx")
	if err != nil || len(models) == 0 {
		t.Fatal("no networks in testdata", err)
	}
	for _, path := range models {
		name := strings.TrimSuffix(filepath.Base(path), ".onnx")
		base, _, versioned := strings.Cut(name, "_1")
		if !versioned {
			base = name
		}
		ref := readReference(t, filepath.Join("testdata", base+".npz"))
		m, err := onnxio.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		shapes := map[string][]int{}
		for in, d := range ref.feeds {
			shapes[in] = d.Shape
		}
		observed, err := observe(context.Background(), l, graph.Of(m), ref.feeds)
		if err != nil {
			t.Fatal(err)
		}
		wanted := slices.Sorted(maps.Keys(ref.gradients))
		if len(wanted) < 20 {
			t.Errorf("%s: only %d gradients to compare", name, len(wanted))
		}
		var weights []string
		for _, w := range wanted {
			if _, ok := graph.Of(m).Initializer(w); ok {
				weights = append(weights, w)
			}
		}
		block, err := ChannelBlock(context.Background(), l)
		if err != nil {
			t.Fatal(err)
		}
		for kind, o := range map[string]Options{
			"observed": {Values: observed, Wanted: wanted},
			"inferred": {Values: Infer(m, shapes), Wanted: wanted},
			"fed":      {Values: observed, Wanted: wanted, Feed: weights},
			"blocked":  {Values: observed, Wanted: wanted, Feed: weights, Block: block},
		} {
			t.Run(name+"/"+kind, func(t *testing.T) { compareNetwork(t, m, o, ref) })
		}
	}
}

func compareNetwork(t *testing.T, m *onnxio.Model, o Options, ref reference) {
	g, err := Build(m, o)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Model.Close()
	feeds := maps.Clone(ref.feeds)
	for out, d := range ref.cotangent {
		feeds[g.Cotangents[out]] = d
	}
	for _, name := range o.Feed {
		p, _ := graph.Of(m).Initializer(name)
		d, err := p.Dense()
		if err != nil {
			t.Fatal(err)
		}
		feeds[name] = d
	}
	var names []string
	for _, w := range o.Wanted {
		names = append(names, g.Gradients[w])
	}
	got := run(t, session(t, orttest.Open(t), g.Model), feeds, names)
	for i, w := range o.Wanted {
		want := ref.gradients[w]
		if at, off, size := farthest(got[i], want); !(off <= 2e-5*max(size, 1e-3)) {
			t.Errorf("gradient of %s: entry %d of %d is off by %.3g of %.3g", w, at, len(want), off, size)
		}
	}
}
