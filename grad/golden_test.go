package grad

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

var update = flag.Bool("update", false, "write golden files instead of comparing with them")

// text is the printed form of a model.
func text(m *onnxio.Model) string {
	var b strings.Builder
	if err := onnxio.Print(&b, m); err != nil {
		return err.Error()
	}
	return b.String()
}

// The nodes emitted for the graphs that matter most, so that a change of form is seen.
func TestGolden(t *testing.T) {
	for _, c := range []struct {
		name  string
		opset int
		fed   bool
		build func(n *net)
	}{
		{"chain", 13, false, convChain},
		{"chain_fed", 13, true, convChain},
		{"strided_old", 9, false, func(n *net) {
			y := n.op("Conv", []string{n.in(normal, 2, 3, 9, 9), n.weight(normal, 4, 3, 2, 2)}, graph.Ints("strides", 3, 2), graph.Ints("pads", 1, 1, 1, 1))
			n.out(n.op("MaxPool", []string{n.op("Relu", []string{y})}, graph.Ints("kernel_shape", 2, 1)))
		}},
		{"linear", 17, false, func(n *net) {
			x := n.in(normal, 2, 5, 8)
			y := n.op("Add", []string{n.op("MatMul", []string{x, n.weight(normal, 8, 8)}), n.weight(normal, 8)})
			n.out(n.op("LayerNormalization", []string{n.op("Add", []string{x, y}), n.weight(normal, 8), n.weight(normal, 8)}))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNet(c.opset, tensor.Float32, 1)
			c.build(n)
			m := n.model()
			o := Options{Values: n.inferred(m), Wanted: n.wanted}
			if c.fed {
				o.Feed = n.initializers()
			}
			g, err := Build(m, o)
			if err != nil {
				t.Fatal(err)
			}
			defer g.Model.Close()
			path := filepath.Join("testdata", c.name+".golden")
			got := text(g.Model)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant %s\n%s\nif the change is meant, run go test -update", got, path, want)
			}
		})
	}
}

func convChain(n *net) {
	mid := n.op("Conv", []string{n.in(normal, 2, 16, 8, 8), n.weight(normal, 4, 16, 1, 3)}, graph.Ints("pads", 0, 1, 0, 1))
	n.out(n.op("Relu", []string{n.op("Conv", []string{mid, n.weight(normal, 16, 4, 1, 1), n.weight(normal, 16)})}))
}
