package tensor

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Encode returns v as little-endian elements of type t, each rounded once to nearest
// even. Float32, Float64, Float16, BFloat16, the integers of 8 bits and more, and Bool
// (zero is false) are supported. A finite value that would become infinite, and for
// integers a NaN or a value out of range, is an error that names its index.
func Encode(t Type, v []float64) ([]byte, error) {
	out := make([]byte, t.Bytes(len(v)))
	le := binary.LittleEndian
	for i, x := range v {
		var ok bool
		switch t {
		case Float64:
			le.PutUint64(out[8*i:], math.Float64bits(x))
			ok = true
		case Float32:
			f := float32(x)
			le.PutUint32(out[4*i:], math.Float32bits(f))
			ok = !math.IsInf(float64(f), 0) || math.IsInf(x, 0)
		case Float16:
			var h uint16
			h, ok = narrow(x, 5, 10)
			le.PutUint16(out[2*i:], h)
		case BFloat16:
			var h uint16
			h, ok = narrow(x, 8, 7)
			le.PutUint16(out[2*i:], h)
		case Bool:
			if x != 0 {
				out[i] = 1
			}
			ok = !math.IsNaN(x)
		case Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64:
			ok = putInt(t, out[i*t.Size():], x)
		default:
			return nil, fmt.Errorf("encoding numbers as %v is not supported", t)
		}
		if !ok {
			return nil, fmt.Errorf("element %d is %g, which %v cannot hold", i, x, t)
		}
	}
	return out, nil
}

// putInt writes x, rounded to nearest even, as one element of an integer type; false
// where it is out of range or NaN.
func putInt(t Type, out []byte, x float64) bool {
	x = math.RoundToEven(x)
	bits := t.Bits()
	signed := t == Int8 || t == Int16 || t == Int32 || t == Int64
	low, high := 0.0, math.Ldexp(1, bits)
	if signed {
		low, high = -math.Ldexp(1, bits-1), math.Ldexp(1, bits-1)
	}
	if !(x >= low && x < high) {
		return false
	}
	u := uint64(x)
	if signed {
		u = uint64(int64(x))
	}
	switch bits {
	case 8:
		out[0] = byte(u)
	case 16:
		binary.LittleEndian.PutUint16(out, uint16(u))
	case 32:
		binary.LittleEndian.PutUint32(out, uint32(u))
	default:
		binary.LittleEndian.PutUint64(out, u)
	}
	return true
}

// narrow rounds x once to a 16-bit binary float with the given numbers of exponent and
// mantissa bits; false where a finite x becomes infinite.
func narrow(x float64, expBits, manBits int) (uint16, bool) {
	var sign uint16
	if math.Signbit(x) {
		sign = 1 << 15
	}
	inf := uint16(1<<expBits-1) << manBits
	switch {
	case math.IsNaN(x):
		return sign | inf | 1<<(manBits-1), true
	case math.IsInf(x, 0):
		return sign | inf, true
	case x == 0:
		return sign, true
	}
	least := 2 - 1<<(expBits-1) // exponent of the smallest normal number
	e := max(math.Ilogb(x), least)
	if e > -least+1 {
		return sign | inf, false
	}
	// q counts units in the last place. Adding it to the exponent field lets a
	// carry out of the mantissa raise the exponent by itself.
	q := math.RoundToEven(math.Ldexp(math.Abs(x), manBits-e))
	bits := uint16(e-least)<<manBits + uint16(q)
	return sign | bits, bits < inf
}
