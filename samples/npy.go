package samples

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// npyHeader is what a .npy file says of its array (NEP 1, and numpy.lib.format).
type npyHeader struct {
	typ    tensor.Type
	swap   bool // big-endian
	column bool // column by column: the first axis runs fastest
	shape  []int
	offset int64 // of the data
}

// npyMagic starts every .npy file.
const npyMagic = "\x93NUMPY"

// maxHeader bounds the header, whose length the file itself states.
const maxHeader = 1 << 20

// readNPYHeader reads up to where the data starts.
func readNPYHeader(r io.Reader) (npyHeader, error) {
	start := make([]byte, len(npyMagic)+2)
	if _, err := io.ReadFull(r, start); err != nil || !bytes.HasPrefix(start, []byte(npyMagic)) {
		return npyHeader{}, errors.New("it is no .npy array: it does not start with its signature")
	}
	width := 4
	switch major := start[len(npyMagic)]; major {
	case 1:
		width = 2
	case 2, 3:
	default:
		return npyHeader{}, fmt.Errorf("version %d of the .npy format is not known; save it with NumPy's save", major)
	}
	size := make([]byte, 4)
	if _, err := io.ReadFull(r, size[:width]); err != nil {
		return npyHeader{}, errors.New("the .npy array is cut off in its header")
	}
	n := binary.LittleEndian.Uint32(size)
	if n > maxHeader {
		return npyHeader{}, fmt.Errorf("the .npy header claims %d bytes; want at most %d", n, maxHeader)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return npyHeader{}, errors.New("the .npy array is cut off in its header")
	}
	h, err := parseNPYHeader(string(text))
	h.offset = int64(len(start)+width) + int64(n)
	return h, err
}

// parseNPYHeader reads the header's Python dictionary, for example
// {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
func parseNPYHeader(text string) (npyHeader, error) {
	fields, err := parseDict(text)
	if err != nil {
		return npyHeader{}, fmt.Errorf(".npy header %.80q: %w", text, err)
	}
	var h npyHeader
	if h.typ, h.swap, err = npyType(fields["descr"]); err != nil {
		return h, err
	}
	if h.shape, err = npyShape(fields["shape"], h.typ); err != nil {
		return h, err
	}
	switch fields["fortran_order"] {
	case "False":
	case "True":
		long := slices.IndexFunc(h.shape, func(n int) bool { return n > 1 })
		h.column = long >= 0 && slices.ContainsFunc(h.shape[long+1:], func(n int) bool { return n > 1 })
	default:
		return h, fmt.Errorf("the .npy header says fortran_order is %q; want True or False", fields["fortran_order"])
	}
	return h, nil
}

// parseDict splits a flat Python dictionary with string keys into the texts of its values.
func parseDict(text string) (map[string]string, error) {
	text = strings.TrimSpace(text)
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' {
		return nil, errors.New("it is no dictionary")
	}
	out := map[string]string{}
	rest := strings.TrimSpace(text[1 : len(text)-1])
	for rest != "" {
		if rest[0] != '\'' && rest[0] != '"' {
			return nil, errors.New("a key is no string")
		}
		end := strings.IndexByte(rest[1:], rest[0])
		if end < 0 {
			return nil, errors.New("a key has no end")
		}
		key := rest[1 : 1+end]
		rest = strings.TrimSpace(rest[2+end:])
		if rest == "" || rest[0] != ':' {
			return nil, errors.New("a key has no value")
		}
		n := valueLength(rest[1:])
		out[key] = strings.TrimSpace(rest[1 : 1+n])
		rest = strings.TrimSpace(strings.TrimPrefix(rest[1+n:], ","))
	}
	return out, nil
}

// valueLength is the number of bytes before the comma that ends a value.
func valueLength(text string) int {
	depth, quote := 0, rune(0)
	for i, r := range text {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '\'' || r == '"':
			quote = r
		case r == '(' || r == '[':
			depth++
		case r == ')' || r == ']':
			depth--
		case r == ',' && depth == 0:
			return i
		}
	}
	return len(text)
}

// npyType reads a type such as '<f4'.
func npyType(descr string) (tensor.Type, bool, error) {
	name := strings.Trim(descr, `'"`)
	if name == descr || len(name) < 3 {
		return 0, false, fmt.Errorf("the array's type is %s; want a plain numeric type", descr)
	}
	typ, ok := map[string]tensor.Type{
		"f2": tensor.Float16, "f4": tensor.Float32, "f8": tensor.Float64,
		"i1": tensor.Int8, "i2": tensor.Int16, "i4": tensor.Int32, "i8": tensor.Int64,
		"u1": tensor.Uint8, "u2": tensor.Uint16, "u4": tensor.Uint32, "u8": tensor.Uint64, "b1": tensor.Bool,
	}[name[1:]]
	if !ok || !strings.ContainsRune("<>=|", rune(name[0])) {
		return 0, false, fmt.Errorf("the array's type is %s; want a plain numeric type such as float32 or int64", descr)
	}
	return typ, name[0] == '>', nil
}

// npyShape reads a shape such as (3, 4) and checks that its size can be counted.
func npyShape(text string, typ tensor.Type) ([]int, error) {
	if len(text) < 2 || text[0] != '(' || text[len(text)-1] != ')' {
		return nil, fmt.Errorf("the .npy header gives the shape %q; want a tuple", text)
	}
	shape, total := []int{}, int64(typ.Size())
	for part := range strings.SplitSeq(text[1:len(text)-1], ",") {
		part = strings.TrimSuffix(strings.TrimSpace(part), "L") // Python 2 wrote long integers so
		if part == "" {
			continue
		}
		n, err := strconv.ParseInt(part, 10, 62)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("the .npy header gives the shape %q; want a tuple of sizes", text)
		}
		if n > 0 && total > math.MaxInt64/4/n {
			return nil, fmt.Errorf("the .npy header gives the shape %q, which is too large", text)
		}
		total *= max(n, 1)
		shape = append(shape, int(n))
	}
	return shape, nil
}

// size is the number of bytes of the data.
func (h npyHeader) size() int64 {
	n := int64(h.typ.Size())
	for _, d := range h.shape {
		n *= int64(d)
	}
	return n
}

// row reads entry i of the first axis; data starts at offset.
func (h npyHeader) row(r io.ReaderAt, offset int64, i int) (tensor.Dense, error) {
	d := tensor.New(h.typ, h.shape[1:]...)
	if _, err := r.ReadAt(d.Data, offset+int64(i)*int64(len(d.Data))); err != nil && len(d.Data) > 0 {
		return d, err
	}
	if width := h.typ.Size(); h.swap && width > 1 {
		for at := 0; at < len(d.Data); at += width {
			slices.Reverse(d.Data[at : at+width])
		}
	}
	return d, nil
}

// maxColumns bounds the arrays that are turned in memory.
const maxColumns = 4 << 30

// rows turns an array that is stored column by column, so that each entry of the first axis lies in one piece.
func (h npyHeader) rows(data []byte) []byte {
	out := make([]byte, len(data))
	width := h.typ.Size()
	if len(data) == 0 || width == 0 {
		return out
	}
	steps := make([]int, len(h.shape)) // of each axis, in the data
	step := width
	for a, n := range h.shape {
		steps[a] = step
		step *= n
	}
	at, from := make([]int, len(h.shape)), 0
	for to := 0; to < len(out); to += width {
		copy(out[to:to+width], data[from:])
		for a := len(at) - 1; a >= 0; a-- { // the next element, the last axis first
			if at[a]++; at[a] < h.shape[a] {
				from += steps[a]
				break
			}
			from -= (h.shape[a] - 1) * steps[a]
			at[a] = 0
		}
	}
	return out
}
