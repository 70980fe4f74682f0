package calib

import (
	"fmt"
	"math"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// convert brings a tensor to another element type. Floating-point numbers are rounded
// to nearest even; a number that an integer or boolean type cannot hold exactly is an
// error.
func convert(d tensor.Dense, to tensor.Type) (tensor.Dense, error) {
	if d.Type == to {
		return d, nil
	}
	if to == tensor.Int64 && !d.Type.IsFloat() {
		v, err := d.Int64s()
		if err != nil {
			return tensor.Dense{}, err
		}
		return tensor.FromInt64(d.Shape, v), nil
	}
	values, err := d.Float64s()
	if err != nil {
		return tensor.Dense{}, err
	}
	if !to.IsFloat() {
		for i, v := range values {
			if v != math.Trunc(v) || math.Abs(v) > 1<<53 || to == tensor.Bool && v != 0 && v != 1 {
				return tensor.Dense{}, fmt.Errorf("element %d is %v, which is no %s", i, v, to)
			}
		}
	}
	data, err := tensor.Encode(to, values)
	if err != nil {
		return tensor.Dense{}, err
	}
	return tensor.Dense{Type: to, Shape: d.Shape, Data: data}, nil
}
