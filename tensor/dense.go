package tensor

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unsafe"
)

// Dense is a tensor held in memory: row-major, little-endian, elements narrower than a
// byte packed from the lowest bits up. A nil or empty Shape is a scalar.
type Dense struct {
	Type  Type
	Shape []int
	Data  []byte
}

// New returns a tensor of zeros. A shape with a negative or an overflowing size gives a
// tensor without data, which Check refuses.
func New(t Type, shape ...int) Dense {
	d := Dense{Type: t, Shape: slices.Clone(shape)}
	if n, err := Elements(shape); err == nil {
		d.Data = make([]byte, t.Bytes(n))
	}
	return d
}

// FromFloat32 returns a float32 tensor over v. On little-endian machines it shares
// v's memory.
func FromFloat32(shape []int, v []float32) Dense {
	return Dense{Type: Float32, Shape: slices.Clone(shape), Data: littleEndian(v)}
}

// FromFloat64 returns a float64 tensor over v. On little-endian machines it shares
// v's memory.
func FromFloat64(shape []int, v []float64) Dense {
	return Dense{Type: Float64, Shape: slices.Clone(shape), Data: littleEndian(v)}
}

// FromInt64 returns an int64 tensor over v. On little-endian machines it shares v's
// memory.
func FromInt64(shape []int, v []int64) Dense {
	return Dense{Type: Int64, Shape: slices.Clone(shape), Data: littleEndian(v)}
}

// Len returns the number of elements that the shape asks for, or 0 where the shape is
// not valid.
func (d Dense) Len() int {
	n, err := Elements(d.Shape)
	if err != nil {
		return 0
	}
	return n
}

// Check reports whether the data has the length that type and shape ask for.
func (d Dense) Check() error {
	if d.Type.Bits() == 0 {
		return fmt.Errorf("tensor of type %v has no fixed-width data", d.Type)
	}
	n, err := Elements(d.Shape)
	if err != nil {
		return err
	}
	if want := d.Type.Bytes(n); len(d.Data) != want {
		return fmt.Errorf("%v tensor of shape %v takes %d bytes, has %d", d.Type, d.Shape, want, len(d.Data))
	}
	return nil
}

// nativeLittle reports whether this machine keeps numbers as ONNX does.
func nativeLittle() bool { return binary.NativeEndian.Uint16([]byte{1, 0}) == 1 }

type number interface{ float32 | float64 | int64 }

// littleEndian returns v's elements as bytes: v's own memory where the machine is
// little-endian, else a copy.
func littleEndian[T number](v []T) []byte {
	if len(v) == 0 {
		return []byte{}
	}
	width := int(unsafe.Sizeof(v[0]))
	native := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*width)
	if nativeLittle() {
		return native
	}
	return swapped(native, width)
}

// swapped returns a copy of b with the bytes of each element of the given width in
// reverse order.
func swapped(b []byte, width int) []byte {
	out := slices.Clone(b)
	for i := 0; i+width <= len(out); i += width {
		slices.Reverse(out[i : i+width])
	}
	return out
}

// view returns b as a slice of T without copying, or false where b is not aligned for T
// or the machine is not little-endian.
func view[T number](b []byte) ([]T, bool) {
	var zero T
	width := int(unsafe.Sizeof(zero))
	if len(b) == 0 {
		return []T{}, true
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	if !nativeLittle() || uintptr(p)%unsafe.Alignof(zero) != 0 || len(b)%width != 0 {
		return nil, false
	}
	return unsafe.Slice((*T)(p), len(b)/width), true
}

// ShapeText writes a shape as `[2,3]`, with ? for an open dimension; no shape at all
// is written as `[…]`.
func ShapeText(shape []int) string {
	if shape == nil {
		return "[…]"
	}
	parts := make([]string, len(shape))
	for i, n := range shape {
		if parts[i] = strconv.Itoa(n); n < 0 {
			parts[i] = "?"
		}
	}
	return "[" + strings.Join(parts, ",") + "]"
}
