package rewrite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
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

// netBuilder begins one of the nets, which is for operator set 17 unless its name says otherwise.
func netBuilder(name string) *testmodels.Builder {
	if strings.HasSuffix(name, "_opset9") {
		return testmodels.NewBuilder(1, 9, 4)
	}
	return testmodels.NewBuilder(1, 17, 8)
}

// axisNet makes one of the nets for a test.
func axisNet(t testing.TB, name string, b *testmodels.Builder) *onnxio.Model {
	t.Helper()
	axisNets()[name](b)
	return model(t, b)
}

// TestAxesGolden holds what is found in axisNets, and the nets narrowed to half, against testdata/axes.
func TestAxesGolden(t *testing.T) {
	seen := map[string]bool{}
	for name := range axisNets() {
		seen[name+".golden"] = true
		t.Run(name, func(t *testing.T) {
			m := axisNet(t, name, netBuilder(name))
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
		if len(a.Copied) > 0 {
			fmt.Fprintf(w, ", with copies of %s", strings.Join(a.Copied, ", "))
		}
		fmt.Fprintf(w, "\n  from %s\n", ports(a.Producers))
		for _, n := range a.Between {
			fmt.Fprintf(w, "  by %s %s\n", n.Op(), n.Label())
		}
		fmt.Fprintf(w, "  to %s\n", ports(a.Readers))
		for _, n := range a.Products {
			fmt.Fprintf(w, "  multiplied by %s %s\n", n.Op(), n.Label())
		}
		if p, ok := a.Pairs(); ok {
			for i, k := range p.Of {
				fmt.Fprintf(w, "  head of %s %s with that of %s %s\n", p.Query.Name, runs(p.QueryHeads[i]), p.Key.Name, runs(p.KeyHeads[k]))
			}
		}
		if h, ok := a.Heads(); ok {
			for i, channels := range h.Channels {
				fmt.Fprintf(w, "  head %d: %s\n", i, runs(channels))
			}
			for _, r := range h.Readers {
				for i, channels := range r.Channels {
					fmt.Fprintf(w, "  head %d read by %s: %s\n", r.Of[i], r.Site.Name, runs(channels))
				}
			}
		}
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

// TestPorts: the channels of a port are told by unit, and so are those that stay.
func TestPorts(t *testing.T) {
	list, _ := axes(t, axisNet(t, "flatten", netBuilder("")))
	port := list[0].Readers[0]
	if got := port.Channels(8)[2]; !slices.Equal(got, []int{8, 9, 10, 11}) {
		t.Errorf("unit 2 has the channels %v", got)
	}
	got := rewrite.Left(port.Site, []rewrite.Narrowing{{Axis: &list[0], Keep: []int{0, 7}}})
	if !slices.Equal(got, []int{0, 1, 2, 3, 28, 29, 30, 31}) {
		t.Errorf("with units 0 and 7, %v are left", got)
	}
	list, _ = axes(t, axisNet(t, "concat", netBuilder("")))
	port = list[1].Readers[0]
	got = rewrite.Left(port.Site, []rewrite.Narrowing{{Axis: &list[0], Keep: []int{7}}, {Axis: &list[1], Keep: []int{3}}})
	if !slices.Equal(got, []int{7, 8, 9, 10, 11, 12, 13, 14, 15, 19}) {
		t.Errorf("beside what is on no axis, %v are left", got)
	}
}
