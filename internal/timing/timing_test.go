package timing

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTurns: every run has every place as often, warm-ups do not count, and the first error ends it.
func TestTurns(t *testing.T) {
	var order []int
	run := func(i int) func(context.Context) error {
		return func(context.Context) error { order = append(order, i); return nil }
	}
	took, err := Turns(context.Background(), Limits{WarmUps: 3, Least: 6, Most: 50}, run(0), run(1), run(2))
	if err != nil || len(took) != 3 {
		t.Fatal(took, err)
	}
	first := [3]int{}
	for turn := range len(order) / 3 {
		places := slices.Clone(order[3*turn : 3*turn+3])
		first[places[0]]++
		if slices.Sort(places); !slices.Equal(places, []int{0, 1, 2}) {
			t.Errorf("turn %d runs %v", turn, places)
		}
	}
	if first != [3]int{3, 3, 3} {
		t.Errorf("first of their turns: %v", first)
	}
	for i, v := range took {
		if len(v) != 6 || slices.Min(v) <= 0 {
			t.Errorf("run %d: %v", i, v)
		}
	}
	failed := errors.New("failed")
	if _, err := Turns(context.Background(), Limits{Least: 1, Most: 1}, run(0), func(context.Context) error { return failed }); !errors.Is(err, failed) {
		t.Error(err)
	}
	order = nil
	if took, err := Turns(context.Background(), Limits{Most: 4, For: time.Hour}, run(0)); err != nil || len(took[0]) != 4 {
		t.Error(took, err)
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		v    []float64
		want Spread
		mid  float64
	}{
		{[]float64{3}, Spread{3, 3, 3}, 3},
		{[]float64{4, 2}, Spread{2.5, 3, 3.5}, 3},
		{[]float64{5, 1, 4, 2, 3}, Spread{2, 3, 4}, 3},
		{[]float64{1000, 1, 2, 2, 3, 0, 2, 2}, Spread{1.75, 2, 2.25}, 2},
	} {
		if got := SpreadOf(c.v); got != c.want {
			t.Errorf("%v: %v, want %v", c.v, got, c.want)
		}
		if got := Middle(c.v); got != c.mid {
			t.Errorf("%v: the middle is %v, want %v", c.v, got, c.mid)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		v := make([]float64, 1+random.IntN(20))
		for i := range v {
			v[i] = random.Float64()
		}
		s, m := SpreadOf(v), Middle(v)
		if !(slices.Min(v) <= s.Low && s.Low <= s.Median && s.Median <= s.High && s.High <= slices.Max(v) && m >= slices.Min(v) && m <= slices.Max(v)) {
			t.Fatalf("%v of %v, middle %v", s, v, m)
		}
	}
	if got := Ratios([]float64{2, 3}, []float64{4, 1}); !slices.Equal(got, []float64{0.5, 3}) {
		t.Error(got)
	}
}

const profile = `[{"cat":"Session","name":"model_run","dur":90,"args":{}},
{"cat":"Node","name":"a_kernel_time","dur":10,"args":{"op_name":"Conv","node_index":"1"}},
{"cat":"Node","name":"b_kernel_time","dur":5,"args":{"op_name":"Relu","node_index":"2"}},
{"cat":"Node","name":"l_kernel_time","dur":50,"args":{"op_name":"Loop","node_index":"3"}},
{"cat":"Node","name":"in_kernel_time","dur":1,"args":{"op_name":"Conv","node_index":"1"}},
{"cat":"Node","name":"in_kernel_time","dur":1,"args":{"op_name":"Conv","node_index":"1"}},
{"cat":"Node","name":"a_fence_before","dur":7,"args":{"op_name":"Conv","node_index":"1"}},
{"cat":"Node","name":"a_kernel_time","dur":12,"args":{"op_name":"Conv","node_index":"1"}},
{"cat":"Node","name":"in_kernel_time","dur":3,"args":{"op_name":"Conv","node_index":"1"}},
{"cat":"Node","name":"in_kernel_time","dur":3,"args":{"op_name":"Conv","node_index":"1"}},
{"cat":"Node","name":"b_kernel_time","dur":5,"args":{"op_name":"Relu","node_index":"2"}}]`

func TestReadProfile(t *testing.T) {
	kernels, err := readProfile(strings.NewReader(profile))
	if err != nil || len(kernels) != 3 || kernels[0].Node != "a" || !slices.Equal(kernels[0].Micros, []float64{10, 12}) {
		t.Fatal(kernels, err)
	}
	for skip, want := range [][]Operator{{{"Conv", 2, 15}, {"Relu", 1, 5}}, {{"Conv", 2, 18}, {"Relu", 1, 5}}} {
		if got := Operators(kernels, 2, skip); !slices.Equal(got, want) {
			t.Errorf("%v without the first %d runs, want %v", got, skip, want)
		}
	}
	if _, err := ReadProfile(t.TempDir() + "/none"); err == nil {
		t.Error("a file that is not there was read")
	}
}

func FuzzReadProfile(f *testing.F) {
	f.Add(profile)
	f.Add(`[{"cat":"Node","name":"_kernel_time","args":null}]`)
	f.Fuzz(func(t *testing.T, text string) {
		kernels, err := readProfile(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, o := range Operators(kernels, 1, 1) {
			if o.Nodes < 1 || math.IsNaN(o.Micros) {
				t.Errorf("%+v", o)
			}
		}
	})
}

func TestProcessor(t *testing.T) {
	for list, want := range map[string]string{
		"processor\t: 0\nmodel name\t: Some   CPU @ 2 GHz\nmodel name\t: Other\n": "Some CPU @ 2 GHz",
		"CPU part\t: 0xd0b\nModel\t\t: Raspberry Pi 5\n":                          "Raspberry Pi 5",
		"CPU part : 0xd0c\n": "0xd0c",
	} {
		if got := processor(list); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if processor("") == "" || Processor() == "" {
		t.Error("no name at all")
	}
}
