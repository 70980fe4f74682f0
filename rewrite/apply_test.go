package rewrite_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestNoPatches: without patches the model is equal as a message.
func TestNoPatches(t *testing.T) {
	for _, c := range testmodels.All() {
		m := testkit.Zoo(t, c.Name)
		out, err := rewrite.Apply(m, nil, rewrite.ApplyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if ok, why := onnxio.Equal(m, out); !ok {
			t.Errorf("%s: %s", c.Name, why)
		}
	}
}

// keepsOutputs rewrites a model at full rank and compares its outputs in the runtime, or
// where lib is nil in onnx.reference. The original must not change, and what is not
// replaced must be shared with it.
func keepsOutputs(t *testing.T, lib *ort.Library, python *pythonCheck, m *onnxio.Model) {
	t.Helper()
	saved := testkit.Bytes(t, m)
	sites, _ := linear(t, m)
	small := rewritten(t, m, sites, 0)
	if !slices.Equal(saved, testkit.Bytes(t, m)) {
		t.Error("the original model has changed")
	}
	untouched(t, m, small)
	feeds, err := testmodels.Feeds(m, 7, nil, 3)
	if err != nil {
		t.Fatal(err)
	}
	if lib == nil {
		python.addOriginal(t, small, m, feeds)
		return
	}
	python.add(t, small)
	compare(t, execute(t, lib, m, feeds), execute(t, lib, small, feeds))
}

// TestZoo rewrites every model of the zoo at full rank: its outputs stay, and the onnx
// package accepts it.
func TestZoo(t *testing.T) {
	lib := orttest.Open(t)
	python := newPythonCheck(t)
	for _, c := range testmodels.All() {
		if c.Name == "custom_operator" { // nothing can run it
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			lib := lib
			if !c.Runs || c.Name == "gemm_opset6" { // the runtime has no kernel for Gemm before opset 7
				lib = nil
			}
			keepsOutputs(t, lib, python, testkit.Zoo(t, c.Name))
		})
	}
	python.done(t)
}

// TestSituationsRun does the same for the situations that the zoo does not have. The
// runtime refuses two nodes of one name and has no kernel for an integer Gemm.
func TestSituationsRun(t *testing.T) {
	lib := orttest.Open(t)
	python := newPythonCheck(t)
	for name, m := range situations(t) {
		if _, ok := testmodels.Get(name); ok || name == "custom_weight" { // which nothing can run
			continue
		}
		t.Run(name, func(t *testing.T) {
			lib := lib
			if name == "names_taken" || name == "integer_gemm" {
				lib = nil
			}
			keepsOutputs(t, lib, python, m)
		})
	}
	python.done(t)
}

// TestExternal rewrites a model whose weights lie in a file of their own.
func TestExternal(t *testing.T) {
	lib := orttest.Open(t)
	folder := t.TempDir()
	path := filepath.Join(folder, "model.onnx")
	if err := testmodels.WriteLarge(path, 1, 1<<20, 64, true); err != nil {
		t.Fatal(err)
	}
	m, err := onnxio.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	sites, _ := linear(t, m)
	if len(sites) == 0 {
		t.Fatal("no sites")
	}
	small := rewritten(t, m, sites[:3], 0)
	out := filepath.Join(folder, "small.onnx")
	write(t, small, out)
	again, err := onnxio.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	feeds, err := testmodels.Feeds(m, 7, nil, 3)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, execute(t, lib, m, feeds), execute(t, lib, again, feeds))
}

// TestSettle: a shared weight stays when only one of its users is replaced.
func TestSettle(t *testing.T) {
	m := testkit.Zoo(t, "weight_shared")
	sites, _ := linear(t, m)
	if len(sites) != 2 || sites[0].WeightStays || sites[1].WeightStays {
		t.Fatalf("sites %+v", sites)
	}
	rewrite.Settle(m, sites[:1])
	if !sites[0].WeightStays {
		t.Error("the weight would go although another node needs it")
	}
	rewrite.Settle(m, sites)
	if sites[0].WeightStays || sites[1].WeightStays {
		t.Error("the weight would stay although both its users go")
	}
}

// TestStop applies the first patches only, as bisection does.
func TestStop(t *testing.T) {
	m := testkit.Zoo(t, "cnn")
	sites, _ := linear(t, m)
	patches := patchAll(t, m, sites, 2)
	for stop := 1; stop <= len(patches); stop++ {
		small, err := rewrite.Apply(m, patches, rewrite.ApplyOptions{Stop: stop})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := len(graph.Of(small).Nodes()), len(graph.Of(m).Nodes())+stop; got != want {
			t.Errorf("%d patches: %d nodes, wanted %d", stop, got, want)
		}
		if got, want := len(graph.Of(small).Initializers()), len(graph.Of(m).Initializers())+stop; got != want {
			t.Errorf("%d patches: %d initializers, wanted %d", stop, got, want)
		}
	}
	for _, stop := range []int{-1, len(patches) + 1} {
		if _, err := rewrite.Apply(m, patches, rewrite.ApplyOptions{Stop: stop}); err == nil {
			t.Errorf("stopping after patch %d of %d is no error", stop, len(patches))
		}
	}
}

// TestStopKeepsShared: a weight goes only with its last user.
func TestStopKeepsShared(t *testing.T) {
	m := testkit.Zoo(t, "weight_shared")
	sites, _ := linear(t, m)
	patches := patchAll(t, m, sites, 2)
	for stop, want := range []bool{1: true, 2: false} {
		if stop == 0 {
			continue
		}
		small, err := rewrite.Apply(m, patches, rewrite.ApplyOptions{Stop: stop})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := graph.Of(small).Initializer("weight"); ok != want {
			t.Errorf("after %d patches the weight is there: %t", stop, ok)
		}
	}
}

// TestApplyRefuses gives Apply patches that are not right; the error has their number.
func TestApplyRefuses(t *testing.T) {
	named := func(patch int, name string) func(p []rewrite.Patch) []rewrite.Patch {
		return func(p []rewrite.Patch) []rewrite.Patch {
			change(&p[patch].New[0], func(n *graph.Spec) { n.Name = name })
			return p
		}
	}
	for _, c := range []struct {
		name string
		edit func(p []rewrite.Patch) []rewrite.Patch
		want string
	}{
		{"twice", func(p []rewrite.Patch) []rewrite.Patch { return append(p, p[1]) }, `patch 4 of 4 (site "Gemm_1"): an earlier patch`},
		{"wrong place", func(p []rewrite.Patch) []rewrite.Patch { p[1].Index--; return p }, "patch 2 of 3"},
		{"no such place", func(p []rewrite.Patch) []rewrite.Patch { p[2].Index = 99; return p }, "patch 3 of 3"},
		{"no nodes", func(p []rewrite.Patch) []rewrite.Patch { p[0].New = nil; return p }, "no nodes stand"},
		{"another output", func(p []rewrite.Patch) []rewrite.Patch {
			change(&p[0].New[1], func(n *graph.Spec) { n.Outputs = []string{"elsewhere"} })
			return p
		}, "computes"},
		{"name taken", named(0, "Relu_1"), `"Relu_1" is empty or taken`},
		{"name of an earlier patch", named(1, "MatMul_1/svd.first"), "patch 2 of 3"},
		{"no name", named(0, ""), "empty or taken"},
		{"foreign input", func(p []rewrite.Patch) []rewrite.Patch {
			change(&p[0].New[1], func(n *graph.Spec) { n.Inputs = append(n.Inputs, "Relu_1.out") })
			return p
		}, `reads "Relu_1.out"`},
		{"unread weight", func(p []rewrite.Patch) []rewrite.Patch {
			p[0].Weights = append(p[0].Weights, onnxio.DenseTensor("more", tensor.New(tensor.Float32, 0)))
			return p
		}, `no new node reads "more"`},
		{"chain cut", func(p []rewrite.Patch) []rewrite.Patch {
			change(&p[0].New[1], func(n *graph.Spec) { n.Inputs[0] = "x" })
			return p
		}, `no new node reads "MatMul_1/svd.first.output"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, x := matrix()
			x = b.Node("Relu", []string{b.Linear(x, 6, 9, false)})
			x = b.Node("Relu", []string{b.Node("Gemm", []string{x, b.Weight("second", 9, 9, 8)})})
			b.Linear(x, 8, 7, false)
			m := model(t, done(b, 4, 7))
			sites, _ := linear(t, m)
			patches := c.edit(slices.Clip(patchAll(t, m, sites, 2)))
			out, err := rewrite.Apply(m, patches, rewrite.ApplyOptions{})
			if err == nil {
				t.Fatalf("no error, but a model of %d nodes", len(graph.Of(out).Nodes()))
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, wanted %q in it", err, c.want)
			}
		})
	}
}

// TestOrderOfPatches: patches may come in any order.
func TestOrderOfPatches(t *testing.T) {
	m := testkit.Zoo(t, "cnn")
	sites, _ := linear(t, m)
	patches := patchAll(t, m, sites, 2)
	one, err := rewrite.Apply(m, patches, rewrite.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(patches)
	other, err := rewrite.Apply(m, patches, rewrite.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range graph.Of(one).Nodes() {
		if graph.Of(other).Nodes()[i] != n {
			t.Fatalf("node %d differs", i)
		}
	}
}

// TestClosedOriginal: the rewritten model holds on to what it shares with the original file.
func TestClosedOriginal(t *testing.T) {
	path := t.TempDir() + "/model.onnx"
	if err := onnxio.Write(t.Context(), testkit.Zoo(t, "cnn"), path, onnxio.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	m, err := onnxio.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	sites, _ := linear(t, m)
	small := rewritten(t, m, sites[:1], 2)
	before, err := small.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	before = slices.Clone(before)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := small.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(before, after) {
		t.Error("the rewritten model changed when the original was closed")
	}
}
