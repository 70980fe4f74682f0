package rewrite_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// TestRounded wants the numbers that Replace writes.
func TestRounded(t *testing.T) {
	for _, name := range []string{"matmul_float16", "matmul_bfloat16", "matmul_float64", "conv_bfloat16"} {
		m := testkit.Zoo(t, name)
		sites, _ := linear(t, m)
		chain := factor(t, &sites[0], 2)
		rounded, err := sites[0].Rounded(chain)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []int{0, 1} {
			if same := slices.Equal(rounded[c].Kernel.Weights, chain[c].Kernel.Weights); same != (name == "matmul_float64") {
				t.Errorf("%s: the weights are as they were: %t", name, same)
			}
		}
		exact, err := rewrite.Replace(m, &sites[0], chain, graph.NewNameSet(m))
		if err != nil {
			t.Fatal(err)
		}
		again, err := rewrite.Replace(m, &sites[0], rounded, graph.NewNameSet(m))
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range exact.Weights {
			written, err := p.Raw()
			if err != nil {
				t.Fatal(err)
			}
			if want, err := again.Weights[i].Raw(); err != nil || !slices.Equal(written, want) {
				t.Errorf("%s: %s is written otherwise than it is rounded (%v)", name, p.Name(), err)
			}
		}
	}
}

// TestOverflow: a factor that its type cannot hold is refused, by the names of node and tensor.
func TestOverflow(t *testing.T) {
	m := testkit.Zoo(t, "matmul_float16")
	sites, _ := linear(t, m)
	chain := factor(t, &sites[0], 2)
	chain[1].Kernel.Weights[3] = 7e4
	_, err := sites[0].Rounded(chain)
	if err == nil || !strings.Contains(err.Error(), "svd.last") || !strings.Contains(err.Error(), "70000, which float16 cannot hold") {
		t.Errorf("%v", err)
	}
	_, err = rewrite.Replace(m, &sites[0], chain, graph.NewNameSet(m))
	for _, want := range []string{sites[0].Name, `tensor "` + sites[0].Name + `/svd.last.weight"`, "70000, which float16 cannot hold"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
}
