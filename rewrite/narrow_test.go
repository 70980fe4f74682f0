package rewrite_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

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

// factors returns the sites that compute what products sum over, by name, with the output channels that go.
func factors(list []rewrite.Narrowing) (map[string]*rewrite.Site, map[string][]int) {
	sites, gone := map[string]*rewrite.Site{}, map[string][]int{}
	for _, n := range list {
		if len(n.Axis.Products) == 0 {
			continue
		}
		for _, port := range n.Axis.Producers {
			sites[port.Site.Name] = port.Site
			for c, unit := range port.Units {
				if unit >= 0 && !slices.Contains(n.Keep, unit) {
					gone[port.Site.Name] = append(gone[port.Site.Name], c)
				}
			}
		}
	}
	return sites, gone
}

// silent makes output channels of a site zero, whatever it reads.
func silent(t testing.TB, s *rewrite.Site, kernel decomp.Kernel, shift []float64, channels []int) []float64 {
	t.Helper()
	if len(channels) == 0 {
		return shift
	}
	adds, ok := s.Addend()
	if !ok {
		t.Fatalf("site %q has no place for a shift", s.Name)
	}
	for _, c := range channels {
		clear(kernel.Weights[c*kernel.Cols():][:kernel.Cols()])
		if shift == nil && adds != nil {
			shift = make([]float64, kernel.Out)
		}
		if shift != nil {
			shift[c] = 0
		}
		if adds != nil {
			shift[c] = -adds[c]
		}
	}
	return shift
}

// folded gives every reader a kernel at random over what it keeps, and a shift where it has a place for one, and makes a
// model with the same numbers in the columns of the whole kernels, and zeros in the others; so it does with the rows of what products sum
// over.
func folded(t testing.TB, m *onnxio.Model, list []rewrite.Narrowing, seed uint64) (map[string]rewrite.Fold, *onnxio.Model) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 12))
	folds := map[string]rewrite.Fold{}
	names := graph.NewNameSet(m)
	var patches []rewrite.Patch
	all := readers(list)
	computed, gone := factors(list)
	reads := maps.Clone(all)
	maps.Copy(all, computed)
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
		switch {
		case reads[name] != nil:
			folds[name] = rewrite.Fold{Kernel: pickColumns(kernel, left), Shift: shift}
		default:
			folds[name] = rewrite.Fold{Kernel: kernel, Shift: shift, Site: s}
		}
		kernel.Weights = slices.Clone(kernel.Weights)
		shift = silent(t, s, kernel, slices.Clone(shift), gone[name])
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
	sites, _ := linear(t, m)
	narrowed, _ := linear(t, small)
	for i := range sites {
		got, want := narrowed[i].Kernel, rewrite.NarrowedShape(&sites[i], list)
		if got.Out != want.Out || got.In != want.In || got.Groups != want.Groups {
			t.Errorf("site %q has a kernel %v, foretold %v", sites[i].Name, got, want)
		}
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

// TestNarrow narrows what axisNets has, in every type and wherever constants may stand.
func TestNarrow(t *testing.T) {
	lib, python := orttest.Open(t), newPythonCheck(t)
	for name := range axisNets() {
		t.Run(name, func(t *testing.T) {
			for _, place := range []testmodels.Placement{testmodels.Initializers, testmodels.Overridable, testmodels.ConstantNodes} {
				if name == "resized" && place == testmodels.Overridable {
					continue // the runtime wants constant sizes
				}
				holdNarrow(t, lib, python, axisNet(t, name, netBuilder(name).Place(place)), uint64(place))
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

// TestNarrowErrors: what cannot be done is refused, in words.
func TestNarrowErrors(t *testing.T) {
	m := axisNet(t, "inverted_residual", netBuilder(""))
	list, _ := axes(t, m)
	other, _ := axes(t, axisNet(t, "swiglu", netBuilder("")))
	keep := func(units ...int) []rewrite.Narrowing { return []rewrite.Narrowing{{Axis: &list[0], Keep: units}} }
	reader := list[0].Readers[1].Site
	kernel := func(in int) decomp.Kernel {
		k := reader.Kernel
		k.In = in
		return decomp.Kernel{Shape: k, Weights: make([]float64, k.Params())}
	}
	for name, c := range map[string]struct {
		list  []rewrite.Narrowing
		folds map[string]rewrite.Fold
		words []string
	}{
		"other model": {[]rewrite.Narrowing{{Axis: &other[0], Keep: []int{0}}}, nil, []string{other[0].Name, "another model"}},
		"twice":       {append(keep(1), keep(2)...), nil, []string{list[0].Name, "twice"}},
		"nothing":     {keep(), nil, []string{list[0].Name, "no unit is kept", "keep one"}},
		"too large":   {keep(1, 16), nil, []string{list[0].Name, "[1 16]", "below 16"}},
		"negative":    {keep(-1), nil, []string{list[0].Name, "ascending"}},
		"descending":  {keep(3, 1), nil, []string{list[0].Name, "ascending"}},
		"no reader":   {keep(1), map[string]rewrite.Fold{"Conv_6": {}}, []string{"Conv_6", "reads none of the axes"}},
		"fold's size": {keep(1, 2), map[string]rewrite.Fold{reader.Name: {Kernel: kernel(3)}}, []string{reader.Name, "6×3", "6×2"}},
		"shift":       {keep(1, 2), map[string]rewrite.Fold{reader.Name: {Kernel: kernel(2), Shift: []float64{1}}}, []string{reader.Name, "shifts 1 channels"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rewrite.Narrow(m, c.list, c.folds)
			testkit.WantError(t, err, c.words...)
		})
	}
	if _, _, err := rewrite.Axes(nil, nil); err == nil {
		t.Error("no error without a model")
	}
}

// TestNarrowByElimination: what decomp.Eliminate chooses and folds on an axis is what Narrow takes.
func TestNarrowByElimination(t *testing.T) {
	for _, name := range []string{"flatten", "glu_fused", "inverted_residual", "pad_shortcut"} {
		m := axisNet(t, name, netBuilder(name))
		list, _ := axes(t, m)
		for i := range list {
			a := &list[i]
			var all []decomp.Reader
			for _, port := range a.Readers {
				k, err := port.Site.Load()
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, decomp.Reader{Kernel: k, Scale: 1, Channels: port.Channels(a.Units)})
			}
			e, err := decomp.Eliminate(linalg.Gonum(), a.Units, all)
			if err != nil {
				t.Fatal(err)
			}
			kept, err := e.Kept(a.Units / 2)
			if err != nil {
				t.Fatal(err)
			}
			half := []rewrite.Narrowing{{Axis: a, Keep: kept}}
			folds := map[string]rewrite.Fold{}
			for r, port := range a.Readers {
				channels, err := e.Channels(a.Units/2, r)
				if left := rewrite.Left(port.Site, half); err != nil || !slices.Equal(left, channels) {
					t.Fatalf("%s: reader %q is left with %v, the elimination's with %v: %v", name, port.Site.Name, left, channels, err)
				}
				fold, err := e.Fold(a.Units/2, r)
				if err != nil {
					t.Fatal(err)
				}
				folds[port.Site.Name] = rewrite.Fold{Kernel: fold}
			}
			holdSmaller(t, m, narrow(t, m, half, folds), half)
		}
	}
}
