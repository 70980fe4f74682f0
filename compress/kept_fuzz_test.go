package compress

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/refit"
)

// FuzzRefitFile reads what refits came to, whatever is inside. What can be read is written again, and read as the same.
func FuzzRefitFile(f *testing.F) {
	kernel := decomp.Kernel{Shape: decomp.Shape{Out: 2, In: 1, Groups: 1}, Weights: []float64{1, -2}}
	path := filepath.Join(f.TempDir(), "seed")
	err := writeRefit(path, nil, refit.Walked{Fit: 7, Held: 1, Sites: []refit.Outcome{
		{Site: "a", Kept: true, Ridge: math.Inf(1), Before: 1, After: 0.5, Chain: decomp.Chain{{Part: "refit", Kernel: kernel, Axes: []bool{}, Shift: []float64{3, 4}}}},
		{Site: "b", Why: "for a reason"},
	}})
	if err != nil {
		f.Fatal(err)
	}
	seed, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed[8+binary.LittleEndian.Uint64(seed):len(seed)-32], seed[8:8+binary.LittleEndian.Uint64(seed)], uint64(0))
	f.Add([]byte{}, []byte(`{"Sites":[{"Chain":[{"Out":9,"In":9,"Groups":1,"Window":[99999]}]}]}`), uint64(0))
	f.Add([]byte{}, []byte(`{"Sites":[{"Chain":[{"Out":-1}]}]}`), uint64(1<<63))
	f.Fuzz(func(t *testing.T, weights, text []byte, more uint64) {
		data := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))+more), text...)
		data = append(data, weights...)
		w, err := readWalked(io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))))
		if err != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "again")
		for i := range w.Sites { // as of those alone chains are written
			w.Sites[i].Kept = len(w.Sites[i].Chain) > 0
		}
		if err := writeRefit(path, nil, w); err != nil {
			t.Fatal(err)
		}
		got, err := readRefit(path, 0)
		if err != nil || len(got.Sites) != len(w.Sites) || got.Fit != w.Fit || got.Held != w.Held {
			t.Fatalf("%+v, %v; want %+v", got, err, w)
		}
		for i, s := range w.Sites {
			if len(s.Chain) != len(got.Sites[i].Chain) || math.Float64bits(s.Ridge) != math.Float64bits(got.Sites[i].Ridge) {
				t.Errorf("%+v, want %+v", got.Sites[i], s)
			}
			for n, c := range s.Chain {
				other := got.Sites[i].Chain[n]
				if c.Part != other.Part || !bytes.Equal(littleEndian(c.Kernel.Weights), littleEndian(other.Kernel.Weights)) || !bytes.Equal(littleEndian(c.Shift), littleEndian(other.Shift)) {
					t.Errorf("%+v, want %+v", other, c)
				}
			}
		}
	})
}

// FuzzKept reads what is remembered of a judgement, whatever is inside.
func FuzzKept(f *testing.F) {
	x := exact(math.Inf(1))
	text, err := json.Marshal(judgement{Values: []*exact{&x, nil}, Met: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"Values":["00"]}`))
	f.Add([]byte{})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(dir, "k.ock")
		if err := os.WriteFile(path, append(text, make([]byte, 32)...), 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := readKept[judgement](path, 0)
		if err != nil {
			return
		}
		text, err = json.Marshal(j)
		if err != nil {
			t.Fatal(err)
		}
		var again judgement
		if err := json.Unmarshal(text, &again); err != nil || len(again.Values) != len(j.Values) || again.Met != j.Met || !reflect.DeepEqual(again.Why, j.Why) {
			t.Errorf("%+v, %v; want %+v", again, err, j)
		}
	})
}
