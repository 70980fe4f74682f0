package outputs

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestAxis: names of dimensions say along which axis samples lie, or the only one that is open; sizes do not.
func TestAxis(t *testing.T) {
	for _, c := range []struct {
		name    string
		in, out []any
		want    int
	}{
		{"first", []any{"N", 4, 4}, []any{"N", 4, 4}, 0},
		{"named", []any{"N", "T", 4}, []any{"T", "N", 4}, 1},
		{"the only open one", []any{-1, 4, 4}, []any{4, -1, 4}, 1},
		{"two of the name", []any{"N", 4, 4}, []any{"N", "N", 4}, Undeclared},
		{"another name", []any{"N", 4, 4}, []any{"M", 4, 4}, Undeclared},
		{"open inside, without names", []any{-1, -1, 4}, []any{-1, -1, 4}, Undeclared},
		{"nothing declared", []any{"N", 4, 4}, nil, Undeclared},
		{"a size by chance", []any{4, 4, 4}, []any{1, 4, 3}, Undeclared},
	} {
		b := testmodels.NewBuilder(1, 17, 8)
		b.Node("Relu", []string{b.Input("x", tensor.Float32, c.in...)})
		b.Output(b.Rename("y"), tensor.Float32, c.out...)
		list, err := Of(testkit.Built(t, b), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if list[0].Axis != c.want {
			t.Errorf("%s: axis %d, want %d", c.name, list[0].Axis, c.want)
		}
	}
}
