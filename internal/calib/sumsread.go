package calib

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// maxHead bounds what a section of sums may say of itself, in bytes.
const maxHead = 1 << 28

// Sums is a section of a file of sums, as Swept.Write writes it. Its numbers stay in the file.
type Sums struct {
	head     sumsHead
	from     io.ReaderAt
	readings [][]place // the nodes of each reading
	sites    [][]place // and of each site
	// End is where the section ends in the file.
	End int64
}

// place is where a node lies in a file.
type place struct {
	level, index   int
	offset, length int64
}

// ReadSums reads where the sums lie in a file of so many bytes that begin at an offset.
func ReadSums(from io.ReaderAt, offset, size int64) (*Sums, error) {
	s, err := readSums(from, offset, size)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("reading sums: %w", err)
	}
	return s, nil
}

func readSums(from io.ReaderAt, offset, size int64) (*Sums, error) {
	s := &Sums{from: from}
	r := &skipper{from: from, at: offset, size: size}
	magic := make([]byte, len(sumsMagic))
	if _, err := io.ReadFull(r, magic); err != nil {
		return nil, err
	}
	if string(magic) != sumsMagic {
		return nil, errors.New("there are none of this version")
	}
	in := counts{r: r}
	text := in.fill(nil, in.next("length of what was summed", maxHead))
	if in.err != nil {
		return nil, in.err
	}
	if err := json.Unmarshal(text, &s.head); err != nil {
		return nil, fmt.Errorf("what was summed: %w", err)
	}
	if err := s.head.check(); err != nil {
		return nil, err
	}
	for range s.head.Readings {
		s.readings = append(s.readings, in.places(r, s.head.heading))
	}
	for _, site := range s.head.Sites {
		if site.Feeling != nil {
			s.sites = append(s.sites, in.places(r, s.head.heading))
		}
	}
	for i, site := range s.head.Sites {
		if one, ok := s.head.Scales[i]; ok && site.Feeling != nil && site.Feeling.Pulled {
			if one.pulled = in.moment(); in.err == nil && one.pulled.Rows != site.Feeling.Order {
				in.err = fmt.Errorf("what is pulled back of site %q is of order %d, wanted %d", site.Name, one.pulled.Rows, site.Feeling.Order)
			}
			s.head.Scales[i] = one
		}
	}
	s.End = r.at
	return s, in.err
}

// check refuses what no sweep says.
func (h *sumsHead) check() error {
	if h.Cut.Blocks < 0 || h.Cut.Blocks > maxRows || h.Cut != cutInto(h.Cut.Blocks) || h.Part.Index < 0 || h.Part.Of < 1 || h.Part.Index >= h.Part.Of || h.Part.Of > maxRows {
		return fmt.Errorf("%d blocks are cut into %d chunks, of which there is part %d of %d", h.Cut.Blocks, h.Cut.Chunks, h.Part.Index+1, h.Part.Of)
	}
	for _, r := range h.Readings {
		if most := maxOrder; r.Groups < 1 || r.Groups > maxGroups || r.Columns < 1 || r.Columns > maxWidth || !r.Table && !r.Wide && r.Columns > most || (r.Table || r.Wide) && r.Groups > 1 {
			return fmt.Errorf("columns of %d groups are %d long", r.Groups, r.Columns)
		}
		if !r.Table && !r.Wide && tooLarge(r.Groups, r.Columns) {
			return fmt.Errorf("the moments of %d groups of %d columns take more than %d bytes", r.Groups, r.Columns, mostMoments)
		}
	}
	felt := 0
	for _, s := range h.Sites {
		if s.Reading < 0 || s.Reading >= len(h.Readings) {
			return fmt.Errorf("site %q reads value %d of %d", s.Name, s.Reading, len(h.Readings))
		}
		if f := s.Feeling; f != nil {
			if felt++; f.Groups < 1 || f.Groups > maxGroups || f.Order < 1 || f.Order > maxOrder || tooLarge(f.Groups, f.Order) {
				return fmt.Errorf("sensitivities of %d groups are of order %d", f.Groups, f.Order)
			}
		}
	}
	if first, end := h.Cut.part(h.Part); felt > 0 && first < end && h.Signs == nil {
		return errors.New("nothing is said of the sensitivities")
	} else if first == end && len(h.Signs) > 0 {
		return errors.New("sensitivities are known, but of no samples")
	}
	if felt != 0 && felt != len(h.Sites) || len(h.Signs) != 0 && len(h.Signs) != felt {
		return fmt.Errorf("%d sites have %d sensitivities, %d of them known", len(h.Sites), felt, len(h.Signs))
	}
	return nil
}

// mostMoments bounds what the moments of one site may take, in bytes.
const mostMoments = 1 << 36

func tooLarge(groups, order int) bool { return int64(groups)*int64(order)*int64(order) > mostMoments/8 }

// places reads where the nodes lie that a part has of something.
func (c *counts) places(r *skipper, h heading) (out []place) {
	first, end := h.Cut.part(h.Part)
	at := first
	for range c.next("number of nodes", 2*64) {
		p := place{level: c.next("level of a node", 6), index: c.next("number of a node", mostChunks)}
		p.length = int64(c.next("length of a node", math.MaxInt64))
		if p.offset = r.at; c.err == nil && (p.index<<p.level != at || at+1<<p.level > end) {
			c.err = fmt.Errorf("a node has the chunks from %d to %d, wanted some from %d to %d", p.index<<p.level, (p.index+1)<<p.level-1, at, end-1)
		}
		if c.err == nil {
			c.err = r.skip(p.length)
		}
		if c.err != nil {
			return nil
		}
		at += 1 << p.level
		out = append(out, p)
	}
	if c.err == nil && at != end {
		c.err = fmt.Errorf("chunks %d to %d are missing", at, end-1)
	}
	return out
}

// skipper reads a file from an offset on.
type skipper struct {
	from     io.ReaderAt
	at, size int64
	buffer   *bufio.Reader
}

func (s *skipper) Read(p []byte) (int, error) {
	if s.buffer == nil {
		s.buffer = bufio.NewReader(io.NewSectionReader(s.from, s.at, s.size-s.at))
	}
	n, err := s.buffer.Read(p)
	s.at += int64(n)
	return n, err
}

// skip leaves out so many bytes.
func (s *skipper) skip(n int64) error {
	if n < 0 || n > s.size-s.at {
		return io.ErrUnexpectedEOF
	}
	s.at, s.buffer = s.at+n, nil
	return nil
}

// opened is a node that was read up to its sums, which begin at an offset.
type opened[T any] struct {
	place
	from  io.ReaderAt
	value T
	sums  int64 // offset
	some  bool  // whether there are any
}

// open reads a node up to its sums, of which there are so many numbers or none.
func open[T holder](from io.ReaderAt, p place, count int64, head func(*counts) T) (opened[T], error) {
	r := &skipper{from: from, at: p.offset, size: p.offset + p.length}
	in := &counts{r: r}
	out := opened[T]{place: p, from: from, value: head(in), sums: r.at}
	left := p.offset + p.length - r.at
	if out.some = left > 0; in.err == nil && left != 0 && left != 8*count {
		in.err = fmt.Errorf("there are %d bytes of sums, wanted none or %d", left, 8*count)
	}
	if in.err == nil {
		in.err = out.value.holds(out.some)
	}
	if errors.Is(in.err, io.EOF) {
		in.err = io.ErrUnexpectedEOF
	}
	return out, in.err
}

// holder says whether what stands before sums fits that there are some, or none.
type holder interface{ holds(sums bool) error }

func (s *shown) holds(sums bool) error {
	kept := s.keeps()
	if s.reading.Table && !sums || s.positions == int64(kept) && !sums || kept == 0 && s.positions > 0 && sums {
		return nil
	}
	return fmt.Errorf("%d positions are summed (%t), or kept in %d columns", s.positions, sums, kept)
}

func (s *sensed) holds(sums bool) error {
	if (s.positions > 0) == sums && (!sums || len(s.spread.squares) == s.feeling.Groups) {
		return nil
	}
	return fmt.Errorf("%d positions are summed (%t), whose spread is known in %d groups", s.positions, sums, len(s.spread.squares))
}

// shown reads what stands before the sums of a reading.
func (c *counts) shown(f reading, b linalg.Backend) *shown {
	s := &shown{reading: f, backend: b}
	s.positions = int64(c.next("number of positions", math.MaxInt64))
	s.samples = int64(c.next("number of samples", math.MaxInt64))
	for i := range s.halves {
		s.halves[i] = int64(c.next("number of positions", math.MaxInt64))
	}
	for range c.next("number of axes", maxAxes) {
		s.shape = append(s.shape, c.next("axis", math.MaxInt64))
	}
	s.felt = c.felt()
	n := c.next("number of counts", maxWidth)
	if c.err == nil && (n != 0) != f.Table || n != 0 && n != f.Columns {
		c.err = fmt.Errorf("there are %d counts", n)
	}
	for range n {
		if s.counts = append(s.counts, int64(c.next("count", math.MaxInt64))); c.err != nil {
			return s
		}
	}
	for range c.next("number of runs", maxRows) {
		r := run{half: c.next("half", 1)}
		r.columns = c.floats(c.next("number of numbers", maxRows))
		if m := c.next("number of weights", maxRows); m > 0 {
			r.roots = c.weights(m)
		}
		if n := len(r.columns) / f.Columns; c.err == nil && (!f.Wide || n == 0 || n*f.Columns != len(r.columns) || r.roots != nil && (len(r.roots) != n || slices.Contains(r.roots, 0))) {
			c.err = fmt.Errorf("a run keeps %d numbers of columns of length %d, and %d weights", len(r.columns), f.Columns, len(r.roots))
		}
		if c.err != nil {
			return s
		}
		s.kept = append(s.kept, r)
	}
	return s
}

// sensed reads what stands before the sums of a site.
func (c *counts) sensed(f feeling) *sensed {
	s := &sensed{feeling: f, positions: int64(c.next("number of positions", math.MaxInt64))}
	s.spread.q = c.float()
	n := c.next("number of groups", maxGroups)
	if c.err == nil && n != 0 && n != f.Groups {
		c.err = fmt.Errorf("the spread of %d groups is known, wanted %d", n, f.Groups)
	}
	for range n {
		if s.spread.squares = append(s.spread.squares, c.float()); c.err != nil {
			return s
		}
	}
	s.why = c.text("length of what kept gradients away")
	return s
}

// float reads a number, which need not be finite.
func (c *counts) float() float64 {
	b := c.fill(nil, 8)
	if c.err != nil {
		return 0
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

// floats reads n numbers in float32, which need not be finite.
func (c *counts) floats(n int) []float32 {
	b := c.fill(nil, 4*n)
	if c.err != nil {
		return nil
	}
	out := make([]float32, n)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}
