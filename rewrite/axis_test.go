package rewrite_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// axes returns all axes of a model.
func axes(t testing.TB, m *onnxio.Model) ([]rewrite.Axis, []rewrite.Fixed) {
	t.Helper()
	list, fixed, err := rewrite.Axes(m, infer(m))
	if err != nil {
		t.Fatal(err)
	}
	return list, fixed
}

// halves keeps about half of the units of every axis, at random.
func halves(list []rewrite.Axis, seed uint64) []rewrite.Narrowing {
	r := rand.New(rand.NewPCG(seed, 11))
	out := make([]rewrite.Narrowing, len(list))
	for i := range list {
		out[i] = rewrite.Narrowing{Axis: &list[i], Keep: slices.Sorted(slices.Values(r.Perm(list[i].Units)[:max(1, list[i].Units/2)]))}
	}
	return out
}

// whole keeps all units.
func whole(list []rewrite.Axis) []rewrite.Narrowing {
	out := make([]rewrite.Narrowing, len(list))
	for i := range list {
		out[i] = rewrite.Narrowing{Axis: &list[i]}
		for unit := range list[i].Units {
			out[i].Keep = append(out[i].Keep, unit)
		}
	}
	return out
}

// readers returns the sites that read narrowed axes, by name.
func readers(list []rewrite.Narrowing) map[string]*rewrite.Site {
	out := map[string]*rewrite.Site{}
	for _, n := range list {
		for _, port := range n.Axis.Readers {
			out[port.Site.Name] = port.Site
		}
	}
	return out
}

// pickColumns returns the kernel over some of its input channels.
func pickColumns(k decomp.Kernel, left []int) decomp.Kernel {
	taps := k.Cols() / k.In
	out := decomp.Kernel{Shape: k.Shape}
	out.In = len(left)
	for o := range k.Out {
		for _, channel := range left {
			out.Weights = append(out.Weights, k.Weights[(o*k.In+channel)*taps:][:taps]...)
		}
	}
	return out
}

// folded gives every reader a kernel at random over what it keeps, and a shift where it has a place for one, and makes a
// model with the same numbers in the columns of the whole kernels, and zeros in the others.
func folded(t testing.TB, m *onnxio.Model, list []rewrite.Narrowing, seed uint64) (map[string]rewrite.Fold, *onnxio.Model) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 12))
	folds := map[string]rewrite.Fold{}
	names := graph.NewNameSet(m)
	var patches []rewrite.Patch
	all := readers(list)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := all[name]
		left := rewrite.Left(s, list)
		kernel, err := s.Load()
		if err != nil {
			t.Fatal(err)
		}
		for i := range kernel.Weights {
			kernel.Weights[i] *= 0.5 + r.Float64()
		}
		taps := kernel.Cols() / kernel.In
		for i := range kernel.Weights {
			if !slices.Contains(left, i/taps%kernel.In) {
				kernel.Weights[i] = 0
			}
		}
		var shift []float64
		if s.Bias() != rewrite.BiasNone && r.IntN(2) == 0 {
			for range kernel.Out {
				shift = append(shift, r.Float64()-0.5)
			}
		}
		folds[name] = rewrite.Fold{Kernel: pickColumns(kernel, left), Shift: shift}
		factor := decomp.Factor{Part: "zeros", Kernel: kernel, Axes: slices.Repeat([]bool{true}, len(kernel.Window)), Shift: shift}
		p, err := rewrite.Replace(m, s, decomp.Chain{factor}, names)
		if err != nil {
			t.Fatal(err)
		}
		patches = append(patches, p)
	}
	reference, err := rewrite.Apply(m, patches, rewrite.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	closing(t, reference)
	return folds, reference
}

func closing(t testing.TB, m *onnxio.Model) {
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
}

func narrow(t testing.TB, m *onnxio.Model, list []rewrite.Narrowing, folds map[string]rewrite.Fold) *onnxio.Model {
	t.Helper()
	out, err := rewrite.Narrow(m, list, folds)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, out)
	return out
}

// holdNarrow narrows all axes of a model: to all units, which changes nothing; to half of them, where what is left computes
// what the model does with zeros in the columns that go; and one axis by itself. lib may be nil.
func holdNarrow(t *testing.T, lib *ort.Library, python *pythonCheck, m *onnxio.Model, seed uint64) []rewrite.Axis {
	t.Helper()
	list, _ := axes(t, m)
	saved := testkit.Bytes(t, m)
	holdWhole(t, m, list)
	if len(list) > 0 {
		holdHalf(t, lib, python, m, halves(list, seed), seed)
		one := list[seed%uint64(len(list)):][:1]
		holdHalf(t, lib, nil, m, halves(one, seed+1), seed+1)
	}
	if !bytes.Equal(saved, testkit.Bytes(t, m)) {
		t.Error("the original model has changed")
	}
	return list
}

// holdWhole: with all units kept and no folds a model stays the same; with its own kernels as folds every weight does.
func holdWhole(t *testing.T, m *onnxio.Model, list []rewrite.Axis) {
	t.Helper()
	if ok, why := onnxio.Equal(m, narrow(t, m, whole(list), nil)); !ok {
		t.Errorf("all units kept: %s", why)
	}
	folds := map[string]rewrite.Fold{}
	for name, s := range readers(whole(list)) {
		k, err := s.Load()
		if err != nil {
			t.Fatal(err)
		}
		folds[name] = rewrite.Fold{Kernel: k}
	}
	after := narrow(t, m, whole(list), folds)
	sites, _ := linear(t, after)
	old, _ := linear(t, m)
	for i := range old {
		want, err := old[i].Load()
		if err != nil {
			t.Fatal(err)
		}
		got, err := sites[i].Load()
		if err != nil {
			t.Fatal(err)
		}
		if old[i].Name != sites[i].Name || !slices.Equal(want.Weights, got.Weights) {
			t.Errorf("all units kept, folded to the weights that are there: site %q changes", old[i].Name)
		}
	}
}

func holdHalf(t *testing.T, lib *ort.Library, python *pythonCheck, m *onnxio.Model, list []rewrite.Narrowing, seed uint64) {
	t.Helper()
	folds, reference := folded(t, m, list, seed)
	small := narrow(t, m, list, folds)
	holdSmaller(t, m, small, list)
	holdSmaller(t, m, narrow(t, m, list, nil), list)
	feeds, err := testmodels.Feeds(m, 7, nil, 10)
	if err != nil {
		t.Fatal(err)
	}
	if python != nil {
		python.add(t, small)
	}
	if lib != nil {
		compare(t, execute(t, lib, reference, feeds), execute(t, lib, small, feeds))
	} else if python != nil {
		python.addOriginal(t, small, reference, feeds)
	}
}

// holdSmaller: a narrowed model has no more parameters and fewer multiply-adds, and no node more or of another name.
func holdSmaller(t *testing.T, m, small *onnxio.Model, list []rewrite.Narrowing) {
	t.Helper()
	before, after := rewrite.MeasureCosts(m, infer(m)), rewrite.MeasureCosts(small, infer(small))
	copies := slices.ContainsFunc(list, func(n rewrite.Narrowing) bool { return len(n.Axis.Copied) > 0 })
	if after.Params > before.Params && !copies || after.MACs >= before.MACs && before.MACs > 0 {
		t.Errorf("%d parameters and %d MACs, were %d and %d", after.Params, after.MACs, before.Params, before.MACs)
	}
	var old []string
	for _, n := range graph.Of(m).Nodes() {
		old = append(old, n.Op()+" "+n.Label())
	}
	for _, n := range graph.Of(small).Nodes() {
		at := slices.Index(old, n.Op()+" "+n.Label())
		if at < 0 {
			t.Fatalf("%s %q is new, or in another place", n.Op(), n.Label())
		}
		for _, gone := range old[:at] { // nodes that led to constants which are new
			if op, _, _ := strings.Cut(gone, " "); !slices.Contains([]string{"Constant", "Identity", "Transpose", "Cast", "Concat", "ConstantOfShape", "Reshape", "Slice"}, op) {
				t.Errorf("%s is gone", gone)
			}
		}
		old = old[at+1:]
	}
	sized, s := infer(m), infer(small)
	for _, n := range graph.Of(small).Nodes() {
		for _, v := range n.Outputs() {
			if _, known := sized.Of(v); known && s.Why(v) != "" {
				t.Errorf("the shape of %q is not known any longer: %s", v, s.Why(v))
			}
		}
	}
	for _, v := range graph.Of(small).Values() {
		if shape, ok := s.Of(v.Name()); ok {
			for axis, d := range v.Dims() {
				if d.Size > 0 && d.Size != shape[axis] {
					t.Errorf("%q is declared as %v, and has the shape %v", v.Name(), v.Dims(), shape)
				}
			}
		}
	}
}

// TestNarrowZoo narrows every model of the zoo.
func TestNarrowZoo(t *testing.T) {
	lib, python := orttest.Open(t), newPythonCheck(t)
	found := 0
	for _, c := range testmodels.All() {
		t.Run(c.Name, func(t *testing.T) {
			engine, check := lib, python
			if !c.Runs {
				engine = nil
			}
			if c.Name == "custom_operator" || c.Name == "gemm_opset6" {
				check = nil // which nothing here runs
			}
			found += len(holdNarrow(t, engine, check, testkit.Zoo(t, c.Name), 3))
		})
	}
	python.done(t)
	if found < 30 {
		t.Errorf("%d axes in the whole zoo", found)
	}
}

// axisNet makes one of the nets for a test.
func axisNet(t testing.TB, name string, b *testmodels.Builder) *onnxio.Model {
	t.Helper()
	axisNets()[name](b)
	return model(t, b)
}

// TestNarrow narrows what axisNets has, in every type and wherever constants may stand.
func TestNarrow(t *testing.T) {
	lib, python := orttest.Open(t), newPythonCheck(t)
	for name := range axisNets() {
		t.Run(name, func(t *testing.T) {
			for seed, b := range []*testmodels.Builder{
				testmodels.NewBuilder(1, 17, 8), testmodels.NewBuilder(2, 17, 8).Place(testmodels.Overridable),
				testmodels.NewBuilder(3, 17, 8).Place(testmodels.ConstantNodes),
			} {
				if name == "resized" && seed == 1 {
					continue // the runtime wants constant sizes
				}
				holdNarrow(t, lib, python, axisNet(t, name, b), uint64(seed))
			}
		})
	}
	python.done(t)
}

// TestNarrowHalf narrows models whose numbers are float16.
func TestNarrowHalf(t *testing.T) {
	lib, python := orttest.Open(t), newPythonCheck(t)
	for _, name := range []string{"flatten_reshape", "glu_fused", "grouped", "inverted_residual", "line", "pad_shortcut", "swiglu"} {
		holdNarrow(t, lib, python, axisNet(t, name, testmodels.NewBuilder(1, 17, 8).Float(tensor.Float16)), 1)
	}
	python.done(t)
}

// TestAxesGolden holds what is found in axisNets, and the nets narrowed to half, against testdata/axes.
func TestAxesGolden(t *testing.T) {
	seen := map[string]bool{}
	for name := range axisNets() {
		seen[name+".golden"] = true
		t.Run(name, func(t *testing.T) {
			m := axisNet(t, name, testmodels.NewBuilder(1, 17, 8))
			list, fixed := axes(t, m)
			var b strings.Builder
			b.WriteString(print(t, m) + "--- found\n")
			describeAxes(&b, list, fixed)
			if len(list) > 0 {
				var half []rewrite.Narrowing
				for i := range list {
					n := rewrite.Narrowing{Axis: &list[i]}
					for unit := 1; unit < list[i].Units; unit += 2 {
						n.Keep = append(n.Keep, unit)
					}
					half = append(half, n)
				}
				b.WriteString("--- every other unit\n" + print(t, narrow(t, m, half, nil)))
			}
			golden(t, filepath.Join("testdata", "axes", name+".golden"), b.String())
		})
	}
	files, err := filepath.Glob(filepath.Join("testdata", "axes", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !seen[filepath.Base(f)] {
			t.Errorf("%s belongs to no net", f)
		}
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("differs from %s (go test -update writes it anew):\n%s", path, got)
	}
}

// describeAxes writes what Axes finds in a model.
func describeAxes(w *strings.Builder, list []rewrite.Axis, fixed []rewrite.Fixed) {
	ports := func(list []rewrite.Port) string {
		var out []string
		for _, p := range list {
			out = append(out, fmt.Sprintf("%s %s", p.Site.Name, runs(p.Units)))
		}
		return strings.Join(out, ", ")
	}
	for _, a := range list {
		fmt.Fprintf(w, "axis %s: %d units", a.Name, a.Units)
		if a.Residual {
			fmt.Fprint(w, ", residual")
		}
		fmt.Fprintf(w, "\n  from %s\n", ports(a.Producers))
		for _, n := range a.Between {
			fmt.Fprintf(w, "  by %s %s\n", n.Op(), n.Label())
		}
		fmt.Fprintf(w, "  to %s\n", ports(a.Readers))
	}
	for _, f := range fixed {
		fmt.Fprintf(w, "fixed %s: %d of %d channels: %s\n", f.Site.Name, f.Channels, f.Site.Kernel.Out, f.Reason)
	}
}

// runs writes a list of numbers with runs of them shortened.
func runs(list []int) string {
	var out []string
	for i := 0; i < len(list); {
		j := i + 1
		for j < len(list) && list[j] == list[i]+(j-i) {
			j++
		}
		same := i + 1
		for same < len(list) && list[same] == list[i] {
			same++
		}
		switch {
		case j-i > 1:
			out = append(out, fmt.Sprintf("%d…%d", list[i], list[j-1]))
		case same-i > 1:
			out = append(out, fmt.Sprintf("%d×%d", same-i, list[i]))
			j = same
		default:
			out = append(out, fmt.Sprint(list[i]))
		}
		i = j
	}
	return "[" + strings.Join(out, " ") + "]"
}
