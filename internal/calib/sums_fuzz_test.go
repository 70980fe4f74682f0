package calib

import (
	"bytes"
	"math"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/internal/ordered"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// oneChunk is a collector that has summed one chunk: a site that reads columns of length 2, one that keeps some, and a table.
func oneChunk() *collector {
	c := &collector{cut: cut{1, 1}, part: Part{0, 1}}
	for i, r := range []reading{{Input: "x", Groups: 1, Columns: 2}, {Input: "y", Groups: 1, Columns: 3, Wide: true}, {Input: "z", Groups: 1, Columns: 2, Table: true}} {
		s := newShown(r, linalg.Gonum(), nil)
		s.positions, s.samples, s.shape = 3, 3, []int{1, r.Columns}
		switch i {
		case 0:
			s.sums = nil
			s.wake()
			s.halves = [2]int64{2, 1}
			copy(s.sums.Numbers()[0], []float64{4, 1, 0.5, 3})
			s.felt = moments.Felt{0: {1}, 1: {2}, 2: {0.5}}
		case 1:
			s.kept = []run{{columns: []float32{1, 2, 3, 4, 5, 6}, half: 0}, {columns: []float32{7, 8, 9}, roots: []float32{2}, half: 1}}
		default:
			s.counts = []int64{1, 2}
		}
		st := &station{reading: r}
		_ = st.seen.tree.Put(ordered.Node[*shown]{Value: s}, nil)
		c.stations, c.of = append(c.stations, st), append(c.of, i)
	}
	return c
}

// FuzzReadSums reads sums and, if they are those of a single part, makes statistics of them.
func FuzzReadSums(f *testing.F) {
	c := oneChunk()
	h := heading{Cut: c.cut, Part: c.part}
	for i, st := range c.stations {
		h.Readings = append(h.Readings, st.reading)
		h.Sites = append(h.Sites, siteForm{Name: st.reading.Input, Reading: i, Shape: []int{4}})
	}
	var out bytes.Buffer
	if err := c.writeAs(f.Context(), h, &out); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	s := newSensed(feeling{Groups: 1, Order: 2}, nil)
	s.positions, s.spread = 3, variance{[]float64{1}, 3}
	s.settle()
	c.stations = c.stations[:1]
	h.Readings, h.Sites = h.Readings[:1], h.Sites[:1]
	h.Sites[0].Feeling = &s.feeling
	n := &sensor{feeling: s.feeling}
	_ = n.seen.tree.Put(ordered.Node[*sensed]{Value: s}, nil)
	c.sensors, c.account.Signs = []*sensor{n}, []signs{{Positions: 3, Finite: true, Moved: true}}
	out.Reset()
	if err := c.writeAs(f.Context(), h, &out); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Add(out.Bytes()[:out.Len()-9])
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ReadSums(bytes.NewReader(data), 0, int64(len(data)))
		if err != nil {
			return
		}
		if s.End > int64(len(data)) {
			t.Fatalf("sums end at %d of %d bytes", s.End, len(data))
		}
		for _, site := range s.head.Sites { // these are as large as they say, where they are measured by perturbing
			if site.Feeling != nil && site.Feeling.Groups*site.Feeling.Order > 1<<9 {
				return
			}
		}
		sites := 0
		err = Merge(t.Context(), []*Sums{s}, linalg.Gonum(), func(Stats) error { sites++; return nil })
		if err == nil && sites != len(s.head.Sites) {
			t.Errorf("%d statistics of %d sites", sites, len(s.head.Sites))
		}
	})
}

// TestSumsAreWhole wants the seeds of the fuzz target to be read and merged.
func TestSumsAreWhole(t *testing.T) {
	c := oneChunk()
	h := heading{Cut: c.cut, Part: c.part}
	for i, st := range c.stations {
		h.Readings, h.Sites = append(h.Readings, st.reading), append(h.Sites, siteForm{Name: st.reading.Input, Reading: i, Shape: []int{4}})
	}
	var out bytes.Buffer
	if err := c.writeAs(t.Context(), h, &out); err != nil {
		t.Fatal(err)
	}
	s, err := ReadSums(bytes.NewReader(out.Bytes()), 0, int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	var got []Stats
	if err := Merge(t.Context(), []*Sums{s}, linalg.Gonum(), func(s Stats) error { got = append(got, s); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || math.Abs(got[0].A[0].At(0, 0)-4./3) > 1e-15 || got[1].Columns.Rows != 3 || got[2].Counts[1] != 2 {
		t.Errorf("%+v", got)
	}
	for cut := range out.Len() {
		if s, err := ReadSums(bytes.NewReader(out.Bytes()[:cut]), 0, int64(cut)); err == nil && s.End <= int64(cut) {
			t.Fatalf("%d of %d bytes are read", cut, out.Len())
		}
	}
}
