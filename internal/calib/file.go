package calib

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// Version is that of what statistics hold and how they are summed; those of another are collected anew.
const Version = 8

// statsMagic starts a file of statistics; its last byte is the version of the format.
const statsMagic = "onnx-compress.stats" + string(rune(Version))

// WriteTo writes the statistics in a form that ReadStats reads back exactly.
//
// The format is little-endian: the magic with its version, the length and the bytes of
// the site's name, positions, samples, the number of axes of the output shape and the
// axes; the form of the inputs' statistics and what belongs to it; the number of groups of
// sensitivities, then for each O and the upper triangle of the O×O moment, row by row; likewise for those pulled back; the
// length and the bytes of the note, and of why they are unusable; and the number of samples that have weights, and in
// the order of their numbers each one's number, how many positions it has, and their weights, float32.
// Counts are uint64, the moments float64.
//
//   - Form 0, moments: the number of groups, then for each K, the upper triangle of the K×K
//     moment, and the mean, [K].
//   - Form 1, columns: K, their number n, the columns one after the other, n·K float32, the mean, [K],
//     and the roots of the columns' weights: 0 or n of them, and as many float32.
//   - Form 2, counts: K, and as many counts.
//
// Behind forms 0 and 1 follow the number of groups whose noise is known, and the three shares of each.
func (s Stats) WriteTo(w io.Writer) (int64, error) {
	out := writer{w: w}
	out.b.WriteString(statsMagic)
	out.text(s.Site)
	out.count(int(s.Positions))
	out.count(int(s.Samples))
	out.count(len(s.OutputShape))
	for _, n := range s.OutputShape {
		out.count(n)
	}
	if err := out.inputs(&s); err != nil {
		return out.written, fmt.Errorf("statistics of site %q: %w", s.Site, err)
	}
	for _, side := range [][]*linalg.Matrix{s.G, s.Pullback} {
		out.count(len(side))
		for _, m := range side {
			if err := out.moment(m); err != nil {
				return out.written, fmt.Errorf("statistics of site %q: %w", s.Site, err)
			}
		}
	}
	out.text(s.Note)
	out.text(s.Unusable)
	out.felt(s.Felt)
	return out.written, out.flush()
}

// The forms of the inputs' statistics.
const (
	momentForm = iota
	columnForm
	countForm
)

// writer holds little at a time, so that nothing large is held twice.
type writer struct {
	w       io.Writer
	b       bytes.Buffer
	written int64
}

// text writes a length, and as many bytes.
func (w *writer) text(s string) {
	w.count(len(s))
	w.b.WriteString(s)
}

func (w *writer) count(n int) {
	w.b.Write(binary.LittleEndian.AppendUint64(w.b.AvailableBuffer(), uint64(n)))
}

func (w *writer) numbers(v []float64) {
	for _, x := range v {
		w.b.Write(binary.LittleEndian.AppendUint64(w.b.AvailableBuffer(), math.Float64bits(x)))
	}
}

func (w *writer) flush() error {
	n, err := w.b.WriteTo(w.w)
	w.written += n
	return err
}

// inputs writes the form of the inputs' statistics and what belongs to it.
func (w *writer) inputs(s *Stats) error {
	switch {
	case s.Counts != nil:
		w.count(countForm)
		w.count(len(s.Counts))
		for _, n := range s.Counts {
			w.count(int(n))
		}
		return nil
	case s.Columns.Rows > 0:
		return w.columns(s)
	}
	w.count(momentForm)
	w.count(len(s.A))
	for g, a := range s.A {
		if g >= len(s.Mean) || len(s.Mean[g]) != a.Rows {
			return fmt.Errorf("group %d has no mean of length %d", g, a.Rows)
		}
		if err := w.moment(a); err != nil {
			return err
		}
		w.numbers(s.Mean[g])
	}
	w.noise(s)
	return nil
}

func (w *writer) noise(s *Stats) {
	w.count(len(s.Noise))
	for _, n := range s.Noise {
		w.numbers([]float64{n.OffDiagonal, n.Diagonal, n.Whole})
	}
}

func (w *writer) columns(s *Stats) error {
	c := s.Columns
	if len(s.Mean) != 1 || len(s.Mean[0]) != c.Cols {
		return fmt.Errorf("columns of length %d have no mean", c.Cols)
	}
	w.count(columnForm)
	w.count(c.Cols)
	w.count(c.Rows)
	for i := range c.Rows {
		for _, v := range c.Data[i*c.Stride:][:c.Cols] {
			w.b.Write(binary.LittleEndian.AppendUint32(w.b.AvailableBuffer(), math.Float32bits(v)))
		}
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.numbers(s.Mean[0])
	if s.Roots != nil && len(s.Roots) != c.Rows {
		return fmt.Errorf("%d columns have %d weights", c.Rows, len(s.Roots))
	}
	w.weights(s.Roots)
	w.noise(s)
	return nil
}

// weights writes their number, and them.
func (w *writer) weights(v []float32) {
	w.count(len(v))
	for _, x := range v {
		w.b.Write(binary.LittleEndian.AppendUint32(w.b.AvailableBuffer(), math.Float32bits(x)))
	}
}

// moment writes the order of a matrix and its upper triangle.
func (w *writer) moment(a *linalg.Matrix) error {
	if a.Rows != a.Cols {
		return fmt.Errorf("a moment is %d×%d; want a square one", a.Rows, a.Cols)
	}
	w.count(a.Rows)
	for i := range a.Rows {
		w.numbers(a.Row(i)[i:])
		if err := w.flush(); err != nil {
			return err
		}
	}
	return nil
}

// felt writes the weights of positions.
func (w *writer) felt(f moments.Felt) {
	w.count(len(f))
	for _, i := range slices.Sorted(maps.Keys(f)) {
		w.count(i)
		w.weights(f[i])
	}
}
