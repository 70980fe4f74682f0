package calib

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"reflect"
	"runtime"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
)

func someStats() Stats {
	return Stats{
		Site: "/layer1/conv", Positions: 96, Samples: 6, OutputShape: []int{5, 4, 4},
		A: []*linalg.Matrix{
			{Rows: 2, Cols: 2, Data: []float64{4, -1.5, -1.5, 1}},
			{Rows: 2, Cols: 2, Data: []float64{0.1, 0, 0, math.SmallestNonzeroFloat64}},
		},
		Mean: [][]float64{{-1.25, 0.5}, {0, 1}}, Noise: []Noise{{0.25, 0.125, 0.5}, {1, 0, 7}},
		G: []*linalg.Matrix{
			{Rows: 1, Cols: 1, Data: []float64{0.25}},
			{Rows: 3, Cols: 3, Data: []float64{1, 2, 3, 2, 5, 6, 3, 6, 9}},
		},
		Note: "measured", Unusable: "not", Felt: moments.Felt{0: {1, 0, 0.5}, 7: {}},
	}
}

// columnStats and countStats have other forms of the inputs' statistics.
func columnStats() Stats {
	return Stats{
		Site: "fc", Positions: 2, Samples: 2, OutputShape: []int{4},
		Columns: linalg.Block32{Rows: 2, Cols: 3, Stride: 3, Data: []float32{1, -2, 3, 5, 6, -7}}, Mean: [][]float64{{3, 2, -2}}, Roots: []float32{1, 0.5}, Noise: []Noise{{0.5, 0.25, 0.75}},
	}
}

func countStats() Stats {
	return Stats{
		Site: "words", Positions: 6, Samples: 3, OutputShape: []int{2, 4},
		Counts: []int64{0, 5, 1, 0}, Mean: [][]float64{{0.1, 0.6, 0.2, 0.1}},
	}
}

func TestStatsFile(t *testing.T) {
	for _, want := range []Stats{someStats(), {}, columnStats(), countStats()} {
		var b bytes.Buffer
		n, err := want.WriteTo(&b)
		if err != nil || n != int64(b.Len()) {
			t.Fatalf("wrote %d bytes of %d: %v", n, b.Len(), err)
		}
		b.WriteString("more")
		got, err := ReadStats(&b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("read %+v (%v), want %+v", got, err, want)
		}
		if rest, _ := io.ReadAll(&b); string(rest) != "more" {
			t.Errorf("%q is left, want what came behind", rest)
		}
	}
}

func TestStatsFileErrors(t *testing.T) {
	var b bytes.Buffer
	if _, err := someStats().WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	good := b.Bytes()
	for n := range good {
		_, err := ReadStats(bytes.NewReader(good[:n]))
		testkit.WantError(t, err, "unexpected EOF")
	}
	edit := func(at int, v byte) []byte {
		out := bytes.Clone(good)
		out[at] = v
		return out
	}
	_, err := ReadStats(bytes.NewReader(edit(0, 'x')))
	testkit.WantError(t, err, "no file of statistics")
	_, err = ReadStats(bytes.NewReader(edit(len(statsMagic)-1, 9)))
	testkit.WantError(t, err, "version 9")
	_, err = ReadStats(bytes.NewReader(edit(len(statsMagic)+7, 1)))
	testkit.WantError(t, err, "length of the site's name")
	// The last number of G is its corner, before the lengths and the texts of the note and of why they are unusable, and the weights:
	// how many samples have some, the numbers and lengths of two, and three weights.
	note := len(good) - 6*8 - 3*4 - len(someStats().Note) - len(someStats().Unusable)
	corner := note - 16 - 8 // and how many are pulled back
	if got := math.Float64frombits(binary.LittleEndian.Uint64(good[corner:])); got != 9 {
		t.Fatalf("%v where G's corner is looked for, want 9", got)
	}
	_, err = ReadStats(bytes.NewReader(edit(corner+7, 0xc0)))
	testkit.WantError(t, err, "element (2, 2) of a moment is -9")
	if _, err = ReadStats(bytes.NewReader(edit(corner+7, 0xbc))); err != nil { // -5e-16, as rounding gives it
		t.Error(err)
	}
	// The mean of the last group ends before the counts, and the 8 numbers, of G, and before the noise.
	mean := corner - 7*8 - 2*8 - 8 - 7*8 // and the count and six shares of noise
	if got := math.Float64frombits(binary.LittleEndian.Uint64(good[mean:])); got != 1 {
		t.Fatalf("%v where the last mean is looked for, want 1", got)
	}
	_, err = ReadStats(bytes.NewReader(edit(mean+7, 0x7f)))
	testkit.WantError(t, err, "element 1 of a mean")
	_, err = ReadStats(bytes.NewReader(edit(note-1, 1)))
	testkit.WantError(t, err, "length of the note")
	lost := someStats()
	lost.Mean = lost.Mean[:1]
	_, err = lost.WriteTo(io.Discard)
	testkit.WantError(t, err, "group 1 has no mean")
}

func TestStatsFileErrorsOfForms(t *testing.T) {
	written := func(s Stats) []byte {
		var b bytes.Buffer
		if _, err := s.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for _, s := range []Stats{columnStats(), countStats()} {
		good := written(s)
		for n := range good {
			_, err := ReadStats(bytes.NewReader(good[:n]))
			testkit.WantError(t, err, "unexpected EOF")
		}
	}
	for _, c := range []struct {
		change func(*Stats)
		word   string
	}{
		{func(s *Stats) { s.Columns.Data[4] = float32(math.NaN()) }, "element 1 of column 1 is NaN"},
		{func(s *Stats) { s.Positions = 3 }, "2 columns of length 3 stand for 3 positions"},
		{func(s *Stats) { s.Mean[0][1] = math.Inf(1) }, "element 1 of a mean"},
		{func(s *Stats) { s.Felt = moments.Felt{3: {1, -1}} }, "a weight is -1"},
	} {
		s := columnStats()
		c.change(&s)
		_, err := ReadStats(bytes.NewReader(written(s)))
		testkit.WantError(t, err, c.word)
	}
	s := countStats()
	s.Positions = 7
	_, err := ReadStats(bytes.NewReader(written(s)))
	testkit.WantError(t, err, "the counts make 6, wanted the 7 positions")
	s.Positions = 4
	_, err = ReadStats(bytes.NewReader(written(s)))
	testkit.WantError(t, err, "the count is 5; want at most 4")
	lost := columnStats()
	lost.Mean = nil
	_, err = lost.WriteTo(io.Discard)
	testkit.WantError(t, err, "columns of length 3 have no mean")
}

// A claim of gigabytes in a file of bytes takes no memory.
func TestReadStatsClaims(t *testing.T) {
	var b bytes.Buffer
	if _, err := columnStats().WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b.Bytes(), binary.LittleEndian.AppendUint64([]byte{columnForm, 0, 0, 0, 0, 0, 0, 0}, 3)) + 8
	binary.LittleEndian.PutUint64(b.Bytes()[at:], 1<<30)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := ReadStats(&b)
	runtime.ReadMemStats(&after)
	testkit.WantError(t, err, "unexpected EOF")
	if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20 {
		t.Errorf("%d MiB were taken", took>>20)
	}
}

func FuzzReadStats(f *testing.F) {
	for _, s := range []Stats{someStats(), {}, columnStats(), countStats()} {
		var b bytes.Buffer
		if _, err := s.WriteTo(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ReadStats(bytes.NewReader(data))
		if err != nil {
			return
		}
		var b bytes.Buffer
		n, err := s.WriteTo(&b)
		if err != nil || !bytes.Equal(b.Bytes(), data[:n]) {
			t.Errorf("written again it is %d other bytes (%v)", n, err)
		}
	})
}

func TestAdd(t *testing.T) {
	a, b := someStats(), someStats()
	b.Positions, b.Samples = 32, 2
	b.A = []*linalg.Matrix{linalg.New(2, 2), linalg.Identity(2)}
	b.Mean = [][]float64{{2.75, 0.5}, {4, 0}}
	b.G = []*linalg.Matrix{{Rows: 1, Cols: 1, Data: []float64{2.25}}, linalg.New(3, 3)}
	sum, err := Add(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Positions != 128 || sum.Samples != 8 || sum.A[0].At(0, 0) != 3 || sum.A[1].At(1, 1) != 0.25 ||
		!reflect.DeepEqual(sum.Mean, [][]float64{{-0.25, 0.5}, {1, 0.75}}) {
		t.Errorf("sum %+v of 96 and 32 positions", sum)
	}
	if sum.G[0].At(0, 0) != 0.75 || sum.G[1].At(2, 1) != 4.5 || sum.Note != "measured" {
		t.Errorf("sensitivities %v and %v, note %q", sum.G[0], sum.G[1], sum.Note)
	}
	b.Note = "by other means"
	if sum, _ := Add(a, b); sum.Note != "measured; by other means" {
		t.Errorf("note %q, want both", sum.Note)
	}
	b.Note = ""
	for _, pair := range [][2]Stats{{a, b}, {b, a}} {
		if sum, _ := Add(pair[0], pair[1]); sum.Note != "measured" {
			t.Errorf("note %q, want that of the one", sum.Note)
		}
	}
	if !reflect.DeepEqual(a, someStats()) {
		t.Errorf("the first has changed: %+v", a)
	}
	if got := sum.PositionsPerSample(); got != 16 {
		t.Errorf("%v positions per sample, want 16", got)
	}
	b.Site = "other"
	_, err = Add(a, b)
	testkit.WantError(t, err, "other", "/layer1/conv")
	b = someStats()
	b.A[1] = linalg.New(3, 3)
	_, err = Add(a, b)
	testkit.WantError(t, err, "2×2 and 3×3")
	b = someStats()
	b.G[1] = linalg.New(2, 2)
	_, err = Add(a, b)
	testkit.WantError(t, err, "3×3 and 2×2")
	b.G = nil
	_, err = Add(a, b)
	testkit.WantError(t, err, "sensitivities of 2 groups and of 0")
	b = someStats()
	b.Mean[1] = nil
	_, err = Add(a, b)
	testkit.WantError(t, err, "length 2 and 0")
}

func TestAddForms(t *testing.T) {
	a, b := columnStats(), columnStats()
	b.Columns.Data, b.Mean = []float32{0, 1, 0, 4, 1, 2}, [][]float64{{2, 1, 1}}
	sum, err := Add(a, b)
	if err != nil || sum.Columns.Rows != 4 || sum.Columns.Data[3*sum.Columns.Stride+2] != 2 || sum.A != nil || !reflect.DeepEqual(sum.Mean, [][]float64{{2.5, 1.5, -0.5}}) {
		t.Errorf("columns add up to %+v (%v)", sum, err)
	}
	// Columns and a moment make a moment.
	b.Columns, b.A = linalg.Block32{}, []*linalg.Matrix{linalg.Identity(3)}
	if sum, err = Add(a, b); err != nil || sum.Columns.Rows != 0 || len(sum.A) != 1 || math.Abs(sum.A[0].At(0, 1)-14./2) > 1e-12 || math.Abs(sum.A[0].At(2, 2)-15) > 1e-12 {
		t.Errorf("columns and a moment add up to %+v (%v)", sum, err)
	}
	c, d := countStats(), countStats()
	d.Positions, d.Counts, d.Mean = 2, []int64{1, 0, 0, 1}, [][]float64{{2. / 6, 1. / 6, 1. / 6, 2. / 6}}
	if sum, err = Add(c, d); err != nil || !reflect.DeepEqual(sum.Counts, []int64{1, 5, 1, 1}) || !reflect.DeepEqual(sum.Mean, [][]float64{{2. / 12, 6. / 12, 2. / 12, 2. / 12}}) {
		t.Errorf("counts add up to %+v (%v)", sum, err)
	}
	d.Counts, d.A = nil, []*linalg.Matrix{linalg.Identity(4)}
	_, err = Add(c, d)
	testkit.WantError(t, err, "counts and moments")
}
