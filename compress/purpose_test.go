package compress

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/costs"
	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/timing"
)

// TestProfiled: a purpose sets what is not set, says all that it does, and leaves what is.
func TestProfiled(t *testing.T) {
	channels, _ := timing.Blocks()
	conv, matrix := decomp.Shape{Out: 64, In: 64, Window: []int{3, 3}, Groups: 1}, decomp.Shape{Out: 512, In: 512, Groups: 1}
	there := &costs.Table{Machine: costs.Machine{Processor: "Another CPU"}}
	for _, c := range []struct {
		name         string
		o            Options
		conv, matrix int
		width        int
		targets      []Target
		methods      int
		set          int
	}{
		{"nothing", Options{}, 16, 1, 16, nil, 0, 0},
		{"cpu", Options{For: ForCPU}, channels, channels, channels, []Target{share(RunTime, 1)}, 0, 2},
		{"cpu with samples", Options{For: ForCPU, Source: images(4)}, channels, channels, channels, []Target{share(RunTime, 1)}, 1 + len(decomp.Methods()), 3},
		{"cpu with samples, by a table", Options{For: ForCPU, Source: images(4), Costs: there}, 16, 16, 16, []Target{share(RunTime, 1)}, 0, 2},
		{"cpu, by another's table", Options{For: ForCPU, Costs: there}, 16, 16, 16, []Target{share(RunTime, 1)}, 0, 2},
		{"cpu with a time", Options{For: ForCPU, Targets: []Target{share(RunTime, 0.5)}}, channels, channels, channels, []Target{share(RunTime, 0.5)}, 0, 1},
		{"cpu with ranks", Options{For: ForCPU, RankMultiple: 4, Targets: []Target{share(MACs, 0.5)}}, 4, 4, 4, []Target{share(MACs, 0.5), share(RunTime, 1)}, 0, 1},
		{"cpu-int8", Options{For: ForCPUInt8}, 16, 16, 16, nil, 6, 3},
		{"cpu-int8 with samples", Options{For: ForCPUInt8, Source: images(4), RankMultiple: 8}, 8, 8, 8, nil, 7, 2},
		{"cpu-int8 of a plan", Options{For: ForCPUInt8, FromPlan: &Plan{}}, 16, 16, 16, nil, 0, 2},
		{"tensorrt", Options{For: ForTensorRT}, 8, 8, 8, nil, 5, 2},
		{"tensorrt with a table", Options{For: ForTensorRT, Costs: there, Methods: []string{"svd"}}, 8, 8, 8, []Target{share(RunTime, 1)}, 1, 2},
		{"size", Options{For: ForSize}, 1, 1, 1, []Target{share(Bytes, 1)}, 0, 2},
	} {
		o, p := c.o.profiled()
		if got := [3]int{o.multiple(conv), o.multiple(matrix), o.widthMultiple(64)}; got != [3]int{c.conv, c.matrix, c.width} {
			t.Errorf("%s: multiples %v", c.name, got)
		}
		if !slices.Equal(o.Targets, c.targets) || len(o.Methods) != c.methods {
			t.Errorf("%s: %v, %v", c.name, o.Targets, o.Methods)
		}
		if (p == nil) != (c.o.For == "") || p != nil && (len(p.Set) != c.set || p.Purpose != c.o.For) {
			t.Errorf("%s: %+v", c.name, p)
		}
		if (o.eight != nil) != (c.o.For == ForCPUInt8) {
			t.Errorf("%s: eight bits: %+v", c.name, o.eight)
		}
		if again, _ := o.profiled(); !slices.Equal(again.Targets, o.Targets) || again.RankMultiple != o.RankMultiple || again.block != o.block {
			t.Errorf("%s: twice is another thing", c.name)
		}
	}
	if err := (Options{For: "gpu", Targets: []Target{half(MACs)}}).check(); !errors.As(err, new(*UsageError)) || !strings.Contains(err.Error(), "unknown purpose") {
		t.Error(err)
	}
}

// TestForCPU: a run for a processor bounds the time by the original's beside its target, says what it set, and writes a model that is not
// foretold to be slower; the record has the purpose.
func TestForCPU(t *testing.T) {
	m := inverted(t)
	table := foreign(t, m, CostOptions{Methods: []string{"svd", "spatial"}})
	r, _ := run(t, m, Options{For: ForCPU, Costs: table, Targets: []Target{half(MACs)}, Source: images(60), CalibSamples: 40, Probes: 1})
	if r.For == nil || r.For.Purpose != ForCPU || len(r.For.Set) != 2 || len(r.Targets) != 2 {
		t.Fatalf("%+v, %+v", r.For, r.Targets)
	}
	if late := r.Targets[1]; late.Resource != RunTime || late.Reached > late.Original {
		t.Errorf("%+v", late)
	}
	list, err := RunOptions{Options: Options{For: ForCPU, Targets: []Target{half(MACs)}}}.Recorded()
	if err != nil || list["for"] != "cpu" || list["targets"] != "macs=0.5" {
		t.Errorf("%v, %v", list, err)
	}
}

// TestForSize: a run for the size of the file meets a bound on that.
func TestForSize(t *testing.T) {
	needRuntime(t)
	o := Options{For: ForSize, Targets: []Target{share(Bytes, 0.7)}}
	r, _ := run(t, zoo(t, "cnn"), o)
	if float64(r.Output.Bytes) > 0.7*float64(r.Input.Bytes) || r.For == nil {
		t.Errorf("%d of %d bytes, %+v", r.Output.Bytes, r.Input.Bytes, r.For)
	}
}
