package tensor

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Float32s returns the elements as float32. For an aligned Float32 tensor on a
// little-endian machine that is a view of Data, not a copy: treat it as read-only. Any
// other numeric type is converted, rounding to nearest even; a value beyond float32's
// range becomes infinite. It returns nil where Float64s would return an error.
func (d Dense) Float32s() []float32 {
	if d.Check() != nil {
		return nil
	}
	if d.Type == Float32 {
		if v, ok := view[float32](d.Data); ok {
			return v
		}
		out := make([]float32, d.Len())
		for i := range out {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(d.Data[4*i:]))
		}
		return out
	}
	at, err := d.reader()
	if err != nil {
		return nil
	}
	out := make([]float32, d.Len())
	for i := range out {
		out[i] = float32(at(i))
	}
	return out
}

// Float64s returns the elements converted to float64, always a copy. Every real type
// of at most 32 bits, and Float64, converts exactly; 64-bit integers round to nearest
// even. Booleans become 0 and 1. Strings and complex numbers are an error.
func (d Dense) Float64s() ([]float64, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	at, err := d.reader()
	if err != nil {
		return nil, err
	}
	out := make([]float64, d.Len())
	for i := range out {
		out[i] = at(i)
	}
	return out, nil
}

// Int64s returns the elements of an integer or boolean tensor as int64, always a copy.
// Any other type is an error, and so is a Uint64 beyond int64's range.
func (d Dense) Int64s() ([]int64, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	out, at := make([]int64, d.Len()), d.integers()
	for i := range out {
		if at == nil {
			return nil, fmt.Errorf("a tensor of type %v does not hold integers", d.Type)
		}
		if out[i] = at(i); d.Type == Uint64 && out[i] < 0 {
			return nil, fmt.Errorf("element %d is %d, beyond int64", i, uint64(out[i]))
		}
	}
	return out, nil
}

// integers returns a function that gives element i of an integer or boolean type, wrapped around where it is beyond int64;
// nil for other types. Data must have passed Check.
func (d Dense) integers() func(i int) int64 {
	b, le := d.Data, binary.LittleEndian
	switch t := d.Type; t {
	case Int64, Uint64:
		return func(i int) int64 { return int64(le.Uint64(b[8*i:])) }
	case Int32:
		return func(i int) int64 { return int64(int32(le.Uint32(b[4*i:]))) }
	case Uint32:
		return func(i int) int64 { return int64(le.Uint32(b[4*i:])) }
	case Int16:
		return func(i int) int64 { return int64(int16(le.Uint16(b[2*i:]))) }
	case Uint16:
		return func(i int) int64 { return int64(le.Uint16(b[2*i:])) }
	case Int8:
		return func(i int) int64 { return int64(int8(b[i])) }
	case Uint8:
		return func(i int) int64 { return int64(b[i]) }
	case Bool:
		return func(i int) int64 { return int64(min(b[i], 1)) }
	case Int4, Uint4, Int2, Uint2:
		return func(i int) int64 { return packed(t, b, i) }
	}
	return nil
}

// packed returns element i of an integer type narrower than a byte.
func packed(t Type, b []byte, i int) int64 {
	bits := t.Bits()
	perByte := 8 / bits
	raw := b[i/perByte] >> (i % perByte * bits) & (1<<bits - 1)
	if t == Int4 || t == Int2 {
		shift := 8 - bits
		return int64(int8(raw<<shift) >> shift)
	}
	return int64(raw)
}

// reader returns a function that gives element i as a float64; Data must have passed
// Check.
func (d Dense) reader() (func(i int) float64, error) {
	b, le := d.Data, binary.LittleEndian
	switch d.Type {
	case Float32:
		return func(i int) float64 { return float64(math.Float32frombits(le.Uint32(b[4*i:]))) }, nil
	case Float64:
		return func(i int) float64 { return math.Float64frombits(le.Uint64(b[8*i:])) }, nil
	case Float16:
		return func(i int) float64 { return half(le.Uint16(b[2*i:])) }, nil
	case BFloat16:
		return func(i int) float64 { return float64(math.Float32frombits(uint32(le.Uint16(b[2*i:])) << 16)) }, nil
	case Uint64:
		return func(i int) float64 { return float64(le.Uint64(b[8*i:])) }, nil
	case Float4E2M1:
		return func(i int) float64 { return float4(b[i/2] >> (i % 2 * 4) & 0xf) }, nil
	case Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ, Float8E8M0:
		t := d.Type
		return func(i int) float64 { return float8(t, b[i]) }, nil
	}
	if at := d.integers(); at != nil {
		return func(i int) float64 { return float64(at(i)) }, nil
	}
	return nil, fmt.Errorf("a tensor of type %v does not hold real numbers", d.Type)
}

// half decodes an IEEE 754 binary16 number.
func half(h uint16) float64 {
	sign, exp, man := uint32(h>>15)<<31, uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exp {
	case 0:
		return math.Copysign(float64(man)*0x1p-24, -float64(int32(sign>>31))+0.5)
	case 0x1f:
		return float64(math.Float32frombits(sign | 0xff<<23 | man<<13))
	}
	return float64(math.Float32frombits(sign | (exp+112)<<23 | man<<13))
}

// float4 decodes FLOAT4E2M1 (OCP Microscaling Formats 1.0): one sign bit, two exponent
// bits with bias 1, one mantissa bit, neither infinity nor NaN.
func float4(x byte) float64 {
	magnitude := [8]float64{0, 0.5, 1, 1.5, 2, 3, 4, 6}[x&7]
	if x&8 != 0 {
		return -magnitude
	}
	return magnitude
}

// float8 decodes ONNX's 8-bit floats. FN: no infinities, NaN when all bits below the
// sign are set. FNUZ: besides, no negative zero, whose code is the only NaN, and a bias
// one larger. E5M2 follows IEEE 754. E8M0 is a power of two alone, with bias 127.
func float8(t Type, x byte) float64 {
	man, bias := 3, 7
	switch t {
	case Float8E8M0:
		if x == 0xff {
			return math.NaN()
		}
		return math.Ldexp(1, int(x)-127)
	case Float8E4M3FN:
		if x&0x7f == 0x7f {
			return math.NaN()
		}
	case Float8E4M3FNUZ:
		bias = 8
	case Float8E5M2:
		man, bias = 2, 15
		if x&0x7f == 0x7c {
			return math.Inf(1 - int(x>>7)*2)
		}
		if x&0x7f > 0x7c {
			return math.NaN()
		}
	case Float8E5M2FNUZ:
		man, bias = 2, 16
	}
	if (t == Float8E4M3FNUZ || t == Float8E5M2FNUZ) && x == 0x80 {
		return math.NaN()
	}
	exp, frac := int(x&0x7f)>>man, int(x)&(1<<man-1)
	if exp == 0 {
		exp = 1
	} else {
		frac += 1 << man
	}
	v := math.Ldexp(float64(frac), exp-bias-man)
	if x&0x80 != 0 {
		return math.Copysign(v, -1)
	}
	return v
}

// Convert returns the numbers in another element type. Floating-point numbers are rounded
// to nearest even; a number that an integer or boolean type cannot hold exactly is an
// error.
func (d Dense) Convert(to Type) (Dense, error) {
	if d.Type == to {
		return d, nil
	}
	if to == Int64 && !d.Type.IsFloat() {
		v, err := d.Int64s()
		if err != nil {
			return Dense{}, err
		}
		return FromInt64(d.Shape, v), nil
	}
	values, err := d.Float64s()
	if err != nil {
		return Dense{}, err
	}
	if !to.IsFloat() {
		for i, v := range values {
			if v != math.Trunc(v) || math.Abs(v) > 1<<53 || to == Bool && v != 0 && v != 1 {
				return Dense{}, fmt.Errorf("element %d is %v, which is no %s", i, v, to)
			}
		}
	}
	data, err := Encode(to, values)
	if err != nil {
		return Dense{}, err
	}
	return Dense{Type: to, Shape: d.Shape, Data: data}, nil
}
