package calib

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/onnx-compress/onnx-compress/internal/linalg"
)

// statsMagic starts a file of statistics; its last byte is the version of the format.
const statsMagic = "onnx-compress.stats\x02"

// WriteTo writes the statistics in a form that ReadStats reads back exactly.
//
// The format is little-endian: the magic with its version, the length and the bytes of
// the site's name, positions, samples, the number of axes of the output shape and the
// axes, the number of groups, then for each group K, the upper triangle of the K×K
// moment, row by row, and the mean, [K]; the number of groups of sensitivities, then for
// each O and the upper triangle of the O×O moment; and the length and the bytes of the
// note. Counts are uint64, the moments float64.
func (s Stats) WriteTo(w io.Writer) (int64, error) {
	var b bytes.Buffer
	b.WriteString(statsMagic)
	count := func(n int) { b.Write(binary.LittleEndian.AppendUint64(nil, uint64(n))) }
	count(len(s.Site))
	b.WriteString(s.Site)
	count(int(s.Positions))
	count(int(s.Samples))
	count(len(s.OutputShape))
	for _, n := range s.OutputShape {
		count(n)
	}
	count(len(s.A))
	var written int64
	for g, a := range s.A {
		if g >= len(s.Mean) || len(s.Mean[g]) != a.Rows {
			return written, fmt.Errorf("statistics of site %q: group %d has no mean of length %d", s.Site, g, a.Rows)
		}
		n, err := writeMoment(w, &b, a)
		if written += n; err != nil {
			return written, fmt.Errorf("statistics of site %q: %w", s.Site, err)
		}
		for _, v := range s.Mean[g] {
			b.Write(binary.LittleEndian.AppendUint64(b.AvailableBuffer(), math.Float64bits(v)))
		}
	}
	count(len(s.G))
	for _, m := range s.G {
		n, err := writeMoment(w, &b, m)
		if written += n; err != nil {
			return written, fmt.Errorf("statistics of site %q: %w", s.Site, err)
		}
	}
	count(len(s.Note))
	b.WriteString(s.Note)
	n, err := b.WriteTo(w)
	return written + n, err
}

// writeMoment writes the order of a matrix and its upper triangle behind what is in b, a
// row at a time, so that nothing large is held twice.
func writeMoment(w io.Writer, b *bytes.Buffer, a *linalg.Matrix) (written int64, err error) {
	if a.Rows != a.Cols {
		return 0, fmt.Errorf("a moment is %d×%d; want a square one", a.Rows, a.Cols)
	}
	b.Write(binary.LittleEndian.AppendUint64(nil, uint64(a.Rows)))
	for i := range a.Rows {
		for _, v := range a.Row(i)[i:] {
			b.Write(binary.LittleEndian.AppendUint64(b.AvailableBuffer(), math.Float64bits(v)))
		}
		n, err := b.WriteTo(w)
		if written += n; err != nil {
			return written, err
		}
	}
	return written, nil
}

// Bounds of what a file of statistics may claim. Memory is taken only as data comes.
const (
	maxText   = 1 << 16
	maxAxes   = 64
	maxGroups = 1 << 20
	maxOrder  = 1 << 17
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
	for range in.next("number of groups", maxGroups) {
		a, err := readMoment(r, in.next("order of a moment", maxOrder))
		if in.err = errors.Join(in.err, err); in.err != nil {
			return Stats{}, in.err
		}
		mean, err := readNumbers(r, a.Rows)
		if err != nil {
			return Stats{}, err
		}
		s.A, s.Mean = append(s.A, a), append(s.Mean, mean)
	}
	for range in.next("number of groups of sensitivities", maxGroups) {
		a, err := readMoment(r, in.next("order of a moment", maxOrder))
		if in.err = errors.Join(in.err, err); in.err != nil {
			return Stats{}, in.err
		}
		s.G = append(s.G, a)
	}
	s.Note = in.text("length of the note")
	return s, in.err
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

// readNumbers reads n finite numbers.
func readNumbers(r io.Reader, n int) ([]float64, error) {
	b := make([]byte, 8*n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	out := make([]float64, n)
	for i := range out {
		if out[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:])); math.IsNaN(out[i]) || math.IsInf(out[i], 0) {
			return nil, fmt.Errorf("element %d of a mean or moment is %v", i, out[i])
		}
	}
	return out, nil
}

// readMoment reads the upper triangle of a k×k matrix, whose diagonal is a sum of squares.
func readMoment(r io.Reader, k int) (*linalg.Matrix, error) {
	var upper []float64 // grows as rows come: k is only a claim
	for i := range k {
		row, err := readNumbers(r, k-i)
		if err != nil {
			return nil, err
		}
		if row[0] < 0 {
			return nil, fmt.Errorf("element (%d, %d) of a moment is %v", i, i, row[0])
		}
		upper = append(upper, row...)
	}
	m := linalg.New(k, k)
	for i := range k {
		for j := i; j < k; j++ {
			m.Data[i*k+j], m.Data[j*k+i] = upper[0], upper[0]
			upper = upper[1:]
		}
	}
	return m, nil
}
