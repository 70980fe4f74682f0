package tensor

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func all() []Type {
	types := make([]Type, 0, Int2)
	for t := Float32; t <= Int2; t++ {
		types = append(types, t)
	}
	return types
}

func TestTypes(t *testing.T) {
	seen := map[string]bool{}
	for _, typ := range all() {
		if !typ.Valid() || seen[typ.String()] || strings.HasPrefix(typ.String(), "type(") {
			t.Errorf("type %d: Valid %v, String %q", int32(typ), typ.Valid(), typ)
		}
		seen[typ.String()] = true
		if (typ.Bits() == 0) != (typ == String) {
			t.Errorf("%v has %d bits", typ, typ.Bits())
		}
		for n := range 9 {
			if got, want := typ.Bytes(n), (n*typ.Bits()+7)/8; got != want {
				t.Errorf("%v: %d elements take %d bytes, want %d", typ, n, got, want)
			}
		}
	}
	for _, typ := range []Type{Undefined, Int2 + 1, -1} {
		if typ.Valid() || typ.Bits() != 0 || typ.Bytes(3) != 0 || typ.IsFloat() {
			t.Errorf("%v should be no type at all", typ)
		}
	}
	if got := Type(99).String(); got != "type(99)" {
		t.Errorf("String of an unknown type is %q", got)
	}
}

func TestElements(t *testing.T) {
	for _, c := range []struct {
		shape []int
		want  int
		err   string
	}{
		{nil, 1, ""},
		{[]int{3}, 3, ""},
		{[]int{2, 0, 5}, 0, ""},
		{[]int{2, 3, 4}, 24, ""},
		{[]int{2, -1}, 0, "dimension 1 of shape [2 -1] is negative"},
		{[]int{0, -1}, 0, "negative"},
		{[]int{math.MaxInt, math.MaxInt}, 0, "more elements than memory"},
		{[]int{math.MaxInt}, 0, "more elements than memory"},
		{[]int{math.MaxInt, 0}, 0, "more elements than memory"},
		{[]int{0, math.MaxInt, math.MaxInt}, 0, "more elements than memory"},
	} {
		got, err := Elements(c.shape)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("Elements(%v) = %d, %v; want %d, %q", c.shape, got, err, c.want, c.err)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		d   Dense
		err string
	}{
		{New(Float32, 2, 3), ""},
		{New(Int4, 3), ""},
		{New(Float32), ""},
		{Dense{Type: Float32, Shape: []int{2}, Data: make([]byte, 7)}, "float32 tensor of shape [2] takes 8 bytes, has 7"},
		{Dense{Type: Uint4, Shape: []int{3}, Data: make([]byte, 1)}, "takes 2 bytes, has 1"},
		{Dense{Type: String, Shape: []int{1}}, "no fixed-width data"},
		{Dense{Shape: []int{0}}, "undefined has no fixed-width data"},
		{New(Float32, -1), "negative"},
	} {
		err := c.d.Check()
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("Check of %v%v: %v, want %q", c.d.Type, c.d.Shape, err, c.err)
		}
	}
}

func TestFloat32sIsAView(t *testing.T) {
	v := []float32{1, 2, 3}
	d := FromFloat32([]int{3}, v)
	got := d.Float32s()
	if nativeLittle() && &got[0] != &v[0] {
		t.Error("an aligned float32 tensor was copied")
	}
	shifted := append([]byte{0}, d.Data...)
	odd := Dense{Type: Float32, Shape: []int{3}, Data: shifted[1:]}
	if !slices.Equal(odd.Float32s(), v) {
		t.Errorf("at an odd address: %v, want %v", odd.Float32s(), v)
	}
	if len(New(Float32, 0).Float32s()) != 0 {
		t.Error("an empty tensor has numbers")
	}
	for _, bad := range []Dense{New(String, 1), New(Complex64, 1), {Type: Float32, Shape: []int{2}, Data: shifted}} {
		if bad.Float32s() != nil {
			t.Errorf("%v%v has float32 values", bad.Type, bad.Shape)
		}
	}
}

func TestSharedMemory(t *testing.T) {
	f64, i64 := []float64{1.5, -2}, []int64{1, -1 << 40}
	a, err := FromFloat64([]int{2}, f64).Float64s()
	if err != nil || !slices.Equal(a, f64) {
		t.Errorf("%v, %v; want %v", a, err, f64)
	}
	b, err := FromInt64([]int{2}, i64).Int64s()
	if err != nil || !slices.Equal(b, i64) {
		t.Errorf("%v, %v; want %v", b, err, i64)
	}
	if got := FromFloat32([]int{0}, nil); got.Check() != nil {
		t.Error(got.Check())
	}
}

func TestSwapped(t *testing.T) {
	if got := swapped([]byte{1, 2, 3, 4}, 2); !bytes.Equal(got, []byte{2, 1, 4, 3}) {
		t.Errorf("swapped: %v", got)
	}
}

// TestExactTypesRoundTrip encodes each value that a type can hold and expects it back.
func TestExactTypesRoundTrip(t *testing.T) {
	for _, c := range []struct {
		t Type
		v []float64
	}{
		{Float64, []float64{0, 1.1, -math.MaxFloat64, math.Inf(1), math.SmallestNonzeroFloat64}},
		{Float32, []float64{0, 1.5, -math.MaxFloat32, math.Inf(-1), math.SmallestNonzeroFloat32}},
		{Int8, []float64{-128, -1, 0, 127}},
		{Uint8, []float64{0, 255}},
		{Int16, []float64{-32768, 32767}},
		{Uint16, []float64{0, 65535}},
		{Int32, []float64{math.MinInt32, math.MaxInt32}},
		{Uint32, []float64{0, math.MaxUint32}},
		{Int64, []float64{math.MinInt64, -1, 1 << 53}},
		{Uint64, []float64{0, 1 << 63}},
		{Bool, []float64{0, 1}},
	} {
		data, err := Encode(c.t, c.v)
		if err != nil {
			t.Errorf("Encode(%v): %v", c.t, err)
			continue
		}
		d := Dense{Type: c.t, Shape: []int{len(c.v)}, Data: data}
		got, err := d.Float64s()
		if err != nil || !slices.Equal(got, c.v) {
			t.Errorf("%v: %v, %v; want %v", c.t, got, err, c.v)
		}
		for i, f := range d.Float32s() {
			if f != float32(c.v[i]) {
				t.Errorf("%v: Float32s[%d] is %v, want %v", c.t, i, f, float32(c.v[i]))
			}
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, c := range []struct {
		t   Type
		v   float64
		err string
	}{
		{Float32, 1e39, "element 1 is 1e+39, which float32 cannot hold"},
		{Float16, 65520, "float16 cannot hold"},
		{Float16, -1e300, "float16 cannot hold"},
		{BFloat16, math.MaxFloat64, "bfloat16 cannot hold"},
		{BFloat16, 3.4e38, "bfloat16 cannot hold"},
		{Int8, 127.5, "int8 cannot hold"},
		{Int8, math.NaN(), "int8 cannot hold"},
		{Uint8, -1, "uint8 cannot hold"},
		{Int64, 1 << 63, "int64 cannot hold"},
		{Uint64, 1 << 64, "uint64 cannot hold"},
		{Bool, math.NaN(), "bool cannot hold"},
		{Int4, 1, "encoding numbers as int4 is not supported"},
		{String, 1, "not supported"},
		{Type(99), 1, "not supported"},
	} {
		if _, err := Encode(c.t, []float64{0, c.v}); err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("Encode(%v, %v): %v, want %q", c.t, c.v, err, c.err)
		}
	}
}

// TestRoundToEven holds the 16-bit encoders against the definition: the nearest of all
// finite codes, and of two equally near the even one.
func TestRoundToEven(t *testing.T) {
	for _, typ := range []Type{Float16, BFloat16} {
		t.Run(typ.String(), func(t *testing.T) {
			value := codes(t, typ)
			inf := 0x7c00
			if typ == BFloat16 {
				inf = 0x7f80
			}
			for code := 0; code+1 < inf; code++ {
				low, high := value[code], value[code+1]
				even := code + code&1
				for _, c := range []struct {
					x    float64
					want int
				}{
					{low, code},
					{low + (high-low)/2, even},
					{math.Nextafter(low+(high-low)/2, 0), code},
					{math.Nextafter(low+(high-low)/2, math.Inf(1)), code + 1},
				} {
					for sign, x := range []float64{c.x, -c.x} {
						want := uint16(c.want | sign<<15)
						data, err := Encode(typ, []float64{x})
						if err != nil {
							t.Fatal(err)
						}
						if got := uint16(data[0]) | uint16(data[1])<<8; got != want {
							t.Fatalf("%v encodes as %#04x, want %#04x", x, got, want)
						}
					}
				}
			}
			for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1)} {
				data, err := Encode(typ, []float64{x})
				if err != nil {
					t.Fatal(err)
				}
				got := value[int(data[0])|int(data[1])<<8]
				if math.Signbit(got) != math.Signbit(x) || got != x && !(math.IsNaN(got) && math.IsNaN(x)) {
					t.Errorf("%v comes back as %v", x, got)
				}
			}
		})
	}
}

// codes returns the value of every 16-bit code of a type.
func codes(t *testing.T, typ Type) []float64 {
	t.Helper()
	d := New(typ, 1<<16)
	for i := range 1 << 16 {
		d.Data[2*i], d.Data[2*i+1] = byte(i), byte(i>>8)
	}
	v, err := d.Float64s()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestHalf holds known points of IEEE 754 binary16 and bfloat16.
func TestHalf(t *testing.T) {
	f16, bf16 := codes(t, Float16), codes(t, BFloat16)
	for _, c := range []struct{ got, want float64 }{
		{f16[0x0001], 0x1p-24},
		{f16[0x03ff], 1023 * 0x1p-24},
		{f16[0x0400], 0x1p-14},
		{f16[0x3c00], 1},
		{f16[0x3555], 0.333251953125},
		{f16[0x7bff], 65504},
		{f16[0xc000], -2},
		{f16[0x7c00], math.Inf(1)},
		{f16[0xfc00], math.Inf(-1)},
		{bf16[0x3f80], 1},
		{bf16[0x4049], 3.140625},
		{bf16[0x0001], 0x1p-133},
		{bf16[0xff7f], -3.3895313892515355e38},
	} {
		if c.got != c.want {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
	if !math.IsNaN(f16[0x7e00]) || !math.IsNaN(bf16[0x7fc0]) || !math.Signbit(f16[0x8000]) {
		t.Error("NaN or negative zero is lost")
	}
}

// TestSmallFloats holds known points of the 8- and 4-bit floats: the largest, the
// smallest normal, the smallest subnormal, and the special codes.
func TestSmallFloats(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		t    Type
		code byte
		want float64
	}{
		{Float8E4M3FN, 0x7e, 448},
		{Float8E4M3FN, 0x08, 0x1p-6},
		{Float8E4M3FN, 0x81, -0x1p-9},
		{Float8E4M3FN, 0x7f, nan},
		{Float8E4M3FN, 0xff, nan},
		{Float8E4M3FNUZ, 0x7f, 240},
		{Float8E4M3FNUZ, 0x08, 0x1p-7},
		{Float8E4M3FNUZ, 0x81, -0x1p-10},
		{Float8E4M3FNUZ, 0x80, nan},
		{Float8E5M2, 0x7b, 57344},
		{Float8E5M2, 0x04, 0x1p-14},
		{Float8E5M2, 0x81, -0x1p-16},
		{Float8E5M2, 0x7c, math.Inf(1)},
		{Float8E5M2, 0xfc, math.Inf(-1)},
		{Float8E5M2, 0x7d, nan},
		{Float8E5M2FNUZ, 0x7f, 57344},
		{Float8E5M2FNUZ, 0x04, 0x1p-15},
		{Float8E5M2FNUZ, 0x81, -0x1p-17},
		{Float8E5M2FNUZ, 0x80, nan},
		{Float8E8M0, 0, 0x1p-127},
		{Float8E8M0, 127, 1},
		{Float8E8M0, 254, 0x1p127},
		{Float8E8M0, 255, nan},
	} {
		got, err := Dense{Type: c.t, Shape: []int{1}, Data: []byte{c.code}}.Float64s()
		if err != nil || got[0] != c.want && !(math.IsNaN(got[0]) && math.IsNaN(c.want)) {
			t.Errorf("%v %#02x: %v, %v; want %v", c.t, c.code, got, err, c.want)
		}
	}
	for _, c := range []struct {
		t    Type
		data []byte
		want []float64
	}{
		{Float4E2M1, []byte{0x10, 0x32, 0x54, 0x76, 0x0f}, []float64{0, 0.5, 1, 1.5, 2, 3, 4, 6, -6}},
		{Int4, []byte{0x8f, 0x07}, []float64{-1, -8, 7}},
		{Uint4, []byte{0x8f, 0x07}, []float64{15, 8, 7}},
		{Int2, []byte{0b11_10_01_00, 0b10}, []float64{0, 1, -2, -1, -2}},
		{Uint2, []byte{0b11_10_01_00, 0b10}, []float64{0, 1, 2, 3, 2}},
		{Bool, []byte{0, 1, 2}, []float64{0, 1, 1}},
	} {
		d := Dense{Type: c.t, Shape: []int{len(c.want)}, Data: c.data}
		got, err := d.Float64s()
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, %v; want %v", c.t, got, err, c.want)
		}
		if c.t.IsFloat() {
			continue
		}
		ints, err := d.Int64s()
		if err != nil || fmt.Sprint(ints) != fmt.Sprint(c.want) {
			t.Errorf("%v: %v, %v; want %v", c.t, ints, err, c.want)
		}
	}
}

func TestInt64sRefuses(t *testing.T) {
	big := Dense{Type: Uint64, Shape: []int{1}, Data: bytes.Repeat([]byte{0xff}, 8)}
	if _, err := big.Int64s(); err == nil || !strings.Contains(err.Error(), "18446744073709551615, beyond int64") {
		t.Errorf("largest uint64: %v", err)
	}
	for _, typ := range []Type{Float32, Float16, Complex64, String} {
		if _, err := New(typ, 1).Int64s(); err == nil {
			t.Errorf("%v was read as integers", typ)
		}
	}
}

// TestFloatAndIntAgree reads random integers both ways.
func TestFloatAndIntAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, typ := range []Type{Int8, Uint8, Int16, Uint16, Int32, Uint32, Int64, Bool, Int4, Uint4, Int2, Uint2} {
		d := New(typ, 101)
		for i := range d.Data {
			d.Data[i] = byte(rng.Uint32())
		}
		f, err := d.Float64s()
		if err != nil {
			t.Fatal(err)
		}
		n, err := d.Int64s()
		if err != nil {
			t.Fatal(err)
		}
		for i := range f {
			if f[i] != float64(n[i]) {
				t.Errorf("%v: element %d is %v and %d", typ, i, f[i], n[i])
			}
		}
	}
}

func FuzzDense(f *testing.F) {
	f.Add(int32(1), 2, 3, []byte("................................"))
	f.Add(int32(22), 3, 1, []byte{0x21, 0x03})
	f.Add(int32(17), 1, 1, []byte{0x7f})
	f.Add(int32(1), math.MaxInt, 2, []byte{})
	f.Fuzz(func(t *testing.T, typ int32, a, b int, data []byte) {
		d := Dense{Type: Type(typ), Shape: []int{a, b}, Data: data}
		v, err := d.Float64s()
		if err == nil && (d.Check() != nil || len(v) != d.Len() || len(d.Float32s()) != d.Len()) {
			t.Errorf("%v%v gives %d numbers, Check says %v", d.Type, d.Shape, len(v), d.Check())
		}
		if n, err := d.Int64s(); err == nil && len(n) != d.Len() {
			t.Errorf("%v%v gives %d integers", d.Type, d.Shape, len(n))
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	v := make([]float64, 1<<16)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range v {
		v[i] = rng.NormFloat64()
	}
	for _, typ := range []Type{Float32, Float16, BFloat16} {
		b.Run(typ.String(), func(b *testing.B) {
			b.SetBytes(int64(typ.Bytes(len(v))))
			for b.Loop() {
				if _, err := Encode(typ, v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
