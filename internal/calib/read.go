package calib

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// Bounds of what a file of statistics may claim. Memory is taken only as data comes.
const (
	maxText   = 1 << 16
	maxAxes   = 64
	maxGroups = 1 << 20
	maxOrder  = 1 << 17
	maxWidth  = 1 << 31 // of columns and tables
	maxRows   = 1 << 40
)

// ReadStats reads what WriteTo wrote, to its end and not beyond. Moments that are not
// finite, or that no sum of squares can have, are an error.
func ReadStats(r io.Reader) (Stats, error) {
	s, err := readStats(r)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return Stats{}, fmt.Errorf("reading statistics: %w", err)
	}
	return s, nil
}

func readStats(r io.Reader) (Stats, error) {
	magic := make([]byte, len(statsMagic))
	if _, err := io.ReadFull(r, magic); err != nil {
		return Stats{}, err
	}
	if last := len(magic) - 1; string(magic[:last]) != statsMagic[:last] {
		return Stats{}, errors.New("this is no file of statistics")
	} else if magic[last] != statsMagic[last] {
		return Stats{}, fmt.Errorf("version %d of the format is not known; want %d", magic[last], statsMagic[last])
	}
	in := counts{r: r}
	s := Stats{Site: in.text("length of the site's name")}
	s.Positions = int64(in.next("number of positions", math.MaxInt64))
	s.Samples = int64(in.next("number of samples", math.MaxInt64))
	for range in.next("number of axes", maxAxes) {
		s.OutputShape = append(s.OutputShape, in.next("axis", math.MaxInt64))
	}
	in.inputs(&s)
	for _, side := range []*[]*linalg.Matrix{&s.G, &s.Pullback} {
		for range in.next("number of groups of sensitivities", maxGroups) {
			if *side = append(*side, in.moment()); in.err != nil {
				break
			}
		}
	}
	s.Note, s.Unusable = in.text("length of the note"), in.text("length of why they are unusable")
	s.Felt = in.felt()
	return s, in.err
}

// inputs reads the inputs' statistics, in the form that they say they have.
func (c *counts) inputs(s *Stats) {
	switch form := c.next("form of the inputs' statistics", countForm); {
	case c.err != nil:
	case form == columnForm:
		c.columns(s)
	case form == countForm:
		s.Counts = []int64{} // grows as counts come: their number is only a claim
		left := s.Positions
		for range c.next("length of a table", maxWidth) {
			n := int64(c.next("count", uint64(left)))
			if c.err != nil {
				return
			}
			s.Counts, left = append(s.Counts, n), left-n
		}
		if c.err == nil && left != 0 {
			c.err = fmt.Errorf("the counts make %d, wanted the %d positions", s.Positions-left, s.Positions)
		}
		s.Mean = [][]float64{frequencies(s.Counts, s.Positions)}
	default:
		for range c.next("number of groups", maxGroups) {
			a := c.moment()
			if c.err != nil {
				return
			}
			s.A, s.Mean = append(s.A, a), append(s.Mean, c.numbers(a.Rows))
		}
		c.noise(s, len(s.A))
	}
}

// noise reads the noise of all groups, or that it is not known.
func (c *counts) noise(s *Stats, groups int) {
	n := c.next("number of groups whose noise is known", uint64(groups))
	if c.err == nil && n != 0 && n != groups {
		c.err = fmt.Errorf("the noise of %d groups is known, wanted all %d or none", n, groups)
	}
	for range n {
		shares := c.numbers(3)
		if c.err != nil {
			return
		}
		for i, most := range []float64{1, 1, mostNoise} {
			if v := shares[i]; v < 0 || v > most {
				c.err = fmt.Errorf("a share of noise is %g, wanted 0 to %g", v, most)
			}
		}
		s.Noise = append(s.Noise, Noise{shares[0], shares[1], shares[2]})
	}
}

// felt reads the weights of positions.
func (c *counts) felt() moments.Felt {
	var out moments.Felt
	last := -1
	for range c.next("number of samples with weights", maxRows) {
		i := c.next("number of a sample", math.MaxInt64)
		n := c.next("number of positions", maxRows)
		if c.err == nil && i <= last {
			c.err = fmt.Errorf("weights of sample %d follow those of sample %d", i, last)
		}
		if c.err != nil {
			return nil
		}
		weights := c.weights(n)
		if c.err != nil {
			return nil
		}
		if out == nil {
			out = moments.Felt{}
		}
		out[i], last = weights, i
	}
	return out
}

// weights reads n of them, a piece at a time: n is only a claim.
func (c *counts) weights(n int) []float32 {
	out := []float32{}
	piece := make([]byte, 4*min(n, 1<<14))
	for len(out) < n && c.err == nil {
		b := piece[:min(len(piece), 4*(n-len(out)))]
		if _, c.err = io.ReadFull(c.r, b); c.err != nil {
			return nil
		}
		for ; len(b) > 0; b = b[4:] {
			v := math.Float32frombits(binary.LittleEndian.Uint32(b))
			if !(v >= 0) || math.IsInf(float64(v), 0) {
				c.err = fmt.Errorf("a weight is %v; want a finite one, at least 0", v)
				return nil
			}
			out = append(out, v)
		}
	}
	return out
}

// columns reads columns and their mean.
func (c *counts) columns(s *Stats) {
	k, n := c.next("length of a column", maxWidth), c.next("number of columns", maxRows)
	if c.err == nil && (k == 0 || n == 0 || int64(n) != s.Positions) {
		c.err = fmt.Errorf("%d columns of length %d stand for %d positions", n, k, s.Positions)
	}
	if c.err != nil {
		return
	}
	s.Columns = linalg.Block32{Rows: n, Cols: k, Stride: k}
	var row []byte
	for range n {
		if row = c.fill(row, 4*k); c.err != nil {
			return
		}
		for i := range k {
			s.Columns.Data = append(s.Columns.Data, math.Float32frombits(binary.LittleEndian.Uint32(row[4*i:])))
		}
	}
	if _, c.err = s.finite(); c.err != nil {
		return
	}
	s.Mean = [][]float64{c.numbers(k)}
	switch m := c.next("number of weights", maxRows); {
	case m == 0 || c.err != nil:
	case m != n:
		c.err = fmt.Errorf("%d columns have %d weights", n, m)
	default:
		s.Roots = c.weights(m)
	}
	c.noise(s, 1)
}

// counts reads numbers until the first error.
type counts struct {
	r   io.Reader
	err error
}

func (c *counts) next(what string, most uint64) int {
	var b [8]byte
	if c.err == nil {
		_, c.err = io.ReadFull(c.r, b[:])
	}
	if c.err != nil {
		return 0
	}
	n := binary.LittleEndian.Uint64(b[:])
	if n > most {
		c.err = fmt.Errorf("the %s is %d; want at most %d", what, n, most)
		return 0
	}
	return int(n)
}

// text reads a length, and as many bytes.
func (c *counts) text(what string) string {
	b := make([]byte, c.next(what, maxText))
	if c.err == nil {
		_, c.err = io.ReadFull(c.r, b)
	}
	return string(b)
}

// fill reads n bytes, into b where that has room. Else it takes memory as they come: n is only a claim.
func (c *counts) fill(b []byte, n int) []byte {
	for b = b[:0]; len(b) < n && c.err == nil; {
		from := len(b)
		b = slices.Grow(b, min(n-from, max(from, 1<<20)))
		b = b[:min(n, cap(b))]
		_, c.err = io.ReadFull(c.r, b[from:])
	}
	return b
}

// numbers reads n finite numbers.
func (c *counts) numbers(n int) []float64 {
	b := c.fill(nil, 8*n)
	if c.err != nil {
		return nil
	}
	out := make([]float64, n)
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		if c.err == nil && (math.IsNaN(out[i]) || math.IsInf(out[i], 0)) {
			c.err = fmt.Errorf("element %d of a mean or moment is %v", i, out[i])
		}
	}
	return out
}

// negative is how far below zero, as a share of the largest, a sum of squares about a mean comes by rounding: products are in float32.
const negative = 1e-6

// moment reads the order k and the upper triangle of a k×k matrix, whose diagonal is a sum of squares.
func (c *counts) moment() *linalg.Matrix {
	var upper []float64 // grows as rows come: k is only a claim
	k := c.next("order of a moment", maxOrder)
	least, at, largest := 0.0, 0, 0.0
	for i := range k {
		row := c.numbers(k - i)
		if c.err != nil {
			return nil
		}
		if row[0] < least {
			least, at = row[0], i
		}
		largest = max(largest, math.Abs(row[0]))
		upper = append(upper, row...)
	}
	if least < -negative*largest {
		c.err = fmt.Errorf("element (%d, %d) of a moment is %v", at, at, least)
		return nil
	}
	m := linalg.New(k, k)
	for i := range k {
		for j := i; j < k; j++ {
			m.Data[i*k+j], m.Data[j*k+i] = upper[0], upper[0]
			upper = upper[1:]
		}
	}
	return m
}
