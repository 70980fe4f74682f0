package tensor

import (
	"fmt"
	"math"
)

// Type is the type of a tensor's elements. The numbers are those of ONNX's
// TensorProto.DataType, so the two convert by a plain cast.
type Type int32

// The element types of ONNX (up to IR version 13).
const (
	Undefined      Type = 0
	Float32        Type = 1
	Uint8          Type = 2
	Int8           Type = 3
	Uint16         Type = 4
	Int16          Type = 5
	Int32          Type = 6
	Int64          Type = 7
	String         Type = 8
	Bool           Type = 9
	Float16        Type = 10
	Float64        Type = 11
	Uint32         Type = 12
	Uint64         Type = 13
	Complex64      Type = 14
	Complex128     Type = 15
	BFloat16       Type = 16
	Float8E4M3FN   Type = 17
	Float8E4M3FNUZ Type = 18
	Float8E5M2     Type = 19
	Float8E5M2FNUZ Type = 20
	Uint4          Type = 21
	Int4           Type = 22
	Float4E2M1     Type = 23
	Float8E8M0     Type = 24
	Uint2          Type = 25
	Int2           Type = 26
)

// Bits returns the width of one element in bits, or 0 for String, Undefined and
// numbers that no known type has. Elements narrower than a byte are packed, the
// first in the lowest bits.
func (t Type) Bits() int {
	switch t {
	case Uint2, Int2:
		return 2
	case Uint4, Int4, Float4E2M1:
		return 4
	case Uint8, Int8, Bool, Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ, Float8E8M0:
		return 8
	case Uint16, Int16, Float16, BFloat16:
		return 16
	case Float32, Int32, Uint32:
		return 32
	case Float64, Int64, Uint64, Complex64:
		return 64
	case Complex128:
		return 128
	}
	return 0
}

// Size returns the width of one element in bytes: 0 for String, Undefined, unknown
// types, and types narrower than a byte, for which see [Type.Bytes].
func (t Type) Size() int { return t.Bits() / 8 }

// Bytes returns how many bytes n elements take, counting a last byte that is
// filled in part. It is 0 for types that have no fixed width.
func (t Type) Bytes(n int) int {
	bits := t.Bits()
	if bits == 0 || bits >= 8 {
		return n * (bits / 8)
	}
	perByte := 8 / bits
	return n/perByte + min(n%perByte, 1)
}

// Valid reports whether t is a type that ONNX defines, Undefined excepted.
func (t Type) Valid() bool { return t > Undefined && t <= Int2 }

// IsFloat reports whether t is a real floating-point type of any width.
func (t Type) IsFloat() bool {
	switch t {
	case Float16, BFloat16, Float32, Float64,
		Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ, Float8E8M0, Float4E2M1:
		return true
	}
	return false
}

// String returns the type's name in lower case as numpy writes it, such as
// "float32", or "type(99)" for a number that ONNX does not define.
func (t Type) String() string {
	switch t {
	case Undefined:
		return "undefined"
	case Float32:
		return "float32"
	case Uint8:
		return "uint8"
	case Int8:
		return "int8"
	case Uint16:
		return "uint16"
	case Int16:
		return "int16"
	case Int32:
		return "int32"
	case Int64:
		return "int64"
	case String:
		return "string"
	case Bool:
		return "bool"
	case Float16:
		return "float16"
	case Float64:
		return "float64"
	case Uint32:
		return "uint32"
	case Uint64:
		return "uint64"
	case Complex64:
		return "complex64"
	case Complex128:
		return "complex128"
	case BFloat16:
		return "bfloat16"
	case Float8E4M3FN:
		return "float8e4m3fn"
	case Float8E4M3FNUZ:
		return "float8e4m3fnuz"
	case Float8E5M2:
		return "float8e5m2"
	case Float8E5M2FNUZ:
		return "float8e5m2fnuz"
	case Uint4:
		return "uint4"
	case Int4:
		return "int4"
	case Float4E2M1:
		return "float4e2m1"
	case Float8E8M0:
		return "float8e8m0"
	case Uint2:
		return "uint2"
	case Int2:
		return "int2"
	}
	return fmt.Sprintf("type(%d)", int32(t))
}

// Elements returns the number of elements of a shape; the empty shape is a scalar
// and has one. It is an error for a dimension to be negative, and for the product,
// or its size in bytes at 16 bytes an element, to overflow an int.
func Elements(shape []int) (int, error) {
	n, zero := 1, false
	for i, d := range shape {
		switch {
		case d < 0:
			return 0, fmt.Errorf("dimension %d of shape %v is negative", i, shape)
		case d == 0:
			zero = true
		case n > math.MaxInt/16/d:
			return 0, fmt.Errorf("shape %v has more elements than memory can address", shape)
		default:
			n *= d
		}
	}
	if zero {
		return 0, nil
	}
	return n, nil
}

// Product is the product of sizes, 1 of none: Elements of a shape that is known to be valid.
func Product(sizes []int) int {
	n := 1
	for _, v := range sizes {
		n *= v
	}
	return n
}

// Coordinates turns a row-major index into one per axis of a shape.
func Coordinates(i int, shape []int) []int {
	at := make([]int, len(shape))
	for k := len(shape) - 1; k >= 0; k-- {
		at[k] = i % shape[k]
		i /= shape[k]
	}
	return at
}
